"""In front of Elasticsearch, for documents that are read again and again: only what has changed is written."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from harvesters.document import Document, Outcome
from harvesters.elastic import paths
from harvesters.sinks.base import encodable
from harvesters.sinks.elastic import ElasticSink


class ChangedOnly:
    """Passes on to `sink`, which writes into the one index `index`, only documents that are new or differ."""

    durable = True

    def __init__(self, sink: ElasticSink, index: str) -> None:
        self.sink = sink
        self.index = index
        self.unchanged = 0
        self.written = 0

    @property
    def name(self) -> str:
        """The cluster and the index."""
        return f"{self.index} of {self.sink.name}"

    @property
    def address(self) -> str:
        """The sink's."""
        return self.sink.address

    def identity(self) -> tuple[str, bool]:
        """The sink's."""
        return self.sink.identity()

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """As the sink's; a document that is there just so counts as delivered."""
        good, outcomes = encodable(documents)
        same = self._same(good) if good else set()
        self.unchanged += len(same)
        self.sink.taken = self.sink.taken or bool(same)
        outcomes += [Outcome(document) for document in good if document in same]
        sent = self.sink.send([document for document in good if document not in same])
        self.written += sum(outcome.delivered for outcome in sent)
        return outcomes + sent

    def finish(self) -> None:
        """Make what was written visible to searches at once, where that is allowed."""
        self.sink.finish()
        self.sink.client.request("POST", f"/{paths.name(self.index)}/_refresh", accept=(403, 404))

    def close(self) -> None:
        """Close the sink."""
        self.sink.close()

    def _same(self, documents: Sequence[Document]) -> set[Document]:
        body = {"ids": [document.id for document in documents]}
        answer = self.sink.client.request("POST", f"/{paths.name(self.index)}/_mget", body, accept=(404,)).body
        stored = {found["_id"]: found["_source"] for found in answer.get("docs", ()) if found.get("found")}
        return {one for one in documents if one.id in stored and stored[one.id] == orjson.loads(one.encoded)}
