"""What the events, profiles and classes need of Elasticsearch beyond a sink: their templates, and removal by id."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from harvesters.document import Document, Outcome
from harvesters.errors import CredentialsRefused, ProtocolError, SinkUnavailable
from harvesters.firebase.events import Removal
from harvesters.retry import Transient
from harvesters.search import scan, templates
from harvesters.search.client import SearchClient
from harvesters.sinks.base import Sink

log = logging.getLogger(__name__)

PREFIX = "buddyup"
"""What the names in the template files begin with."""

_BATCH = 1000
_NAMES = 100  # of indices in one URL, which Elasticsearch limits to 4 KB


def ensure_template(client: SearchClient, name: str) -> None:
    """Put the index template of `name` where there is none.

    Without it the first document would make an index that guesses: each push id a field of its own. One that is there
    is left alone, whoever changed it.
    """
    if client.request("GET", f"/_index_template/{name}", accept=(404,)).found:
        return
    for kind in ("events", "profiles", "classes"):
        if name.endswith(kind):
            text = orjson.dumps(templates.find(f"{PREFIX}{kind}").body).decode().replace(f"{PREFIX}{kind}", name)
            templates.put(client, templates.Template(name, orjson.loads(text)))
            log.info("put the index template %s", name)


@dataclass
class SearchIndex:
    """The documents behind an alias, or in one index."""

    client: SearchClient
    name: str

    def ids(self) -> Iterator[list[str]]:
        """The ids of all documents as of now, in batches; none when there is no such index."""
        if not self._refresh():
            return
        for hits in scan.pages(self.client, self.name, source=False):
            yield [hit["_id"] for hit in hits]

    def remove(self, ids: Sequence[str]) -> int:
        """Delete documents by id, in whichever index behind the alias they are; how many there were.

        Raises:
            SinkUnavailable: the cluster did not take it within the retry budget.
        """
        removed = 0
        if not self._refresh():
            return 0
        for start in range(0, len(ids), _BATCH):
            query = {
                "size": 10 * _BATCH,
                "_source": False,
                "query": {"ids": {"values": list(ids[start : start + _BATCH])}},
            }
            hits = self.client.request("POST", f"/{self.name}/_search", query).body["hits"]["hits"]
            removed += self._delete([(hit["_index"], hit["_id"]) for hit in hits])
        return removed

    def merge(self, names: Sequence[str]) -> None:
        """Have the cluster merge indices to which nothing more will come; it does so in its own time.

        They take two thirds of the space then. A cluster that does not let us has them larger, and nothing is lost.
        """
        params = {"max_num_segments": 1, "wait_for_completion": "false"}
        for start in range(0, len(names), _NAMES):
            path = f"/{','.join(names[start : start + _NAMES])}/_forcemerge"
            try:
                self.client.request("POST", path, params=params)
            except (CredentialsRefused, ProtocolError) as error:
                log.warning("indices are not merged: %s", error)
                return

    def _refresh(self) -> bool:
        """Have searches see what was indexed; False when there is no such index."""
        return self.client.request("POST", f"/{self.name}/_refresh", accept=(404,)).found

    def _delete(self, places: list[tuple[str, str]]) -> int:
        if not places:
            return 0
        lines = [orjson.dumps({"delete": {"_index": index, "_id": id}}) + b"\n" for index, id in places]

        def send() -> None:
            answer = self.client.attempt("POST", "/_bulk", b"".join(lines), lines=True).body
            failed = [item["delete"] for item in answer["items"] if item["delete"]["status"] not in (200, 404)]
            if failed:
                raise Transient(f"{len(failed)} of {len(lines)} documents were not deleted: {failed[0].get('error')}")

        self.client.retry.call(send, self.client.name, SinkUnavailable)
        return len(places)


@dataclass
class IndexingSink:
    """A sink into Elasticsearch that has the template there first, and takes removals for what they say.

    Args:
        sink: indexes documents.
        index: where removed ones are.
        complete: the index of a document, if nothing more will come to it after this run; "" if not. Such indices are
            merged at the end.
    """

    sink: Sink
    index: SearchIndex
    complete: Callable[[Document], str] = lambda document: ""
    _complete: set[str] = field(default_factory=set)
    _ready: bool = False

    durable = True

    @property
    def name(self) -> str:
        """Where, and into what."""
        return f"{self.sink.name}, {self.index.name}"

    def identity(self) -> tuple[str, bool]:
        """The sink's."""
        return self.sink.identity()

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Index, and remove."""
        if not self._ready:
            ensure_template(self.index.client, self.index.name)
            self._ready = True
        self._complete.update(self.complete(document) for document in documents)
        removals = [document for document in documents if isinstance(document, Removal)]
        if not removals:
            return self.sink.send(documents)
        outcomes = self.sink.send([document for document in documents if not isinstance(document, Removal)])
        self.index.remove([document.id for document in removals])
        return outcomes + [Outcome(document) for document in removals]

    def finish(self) -> None:
        """Have what is complete merged."""
        self.sink.finish()
        self.index.merge(sorted(self._complete - {""}))

    def close(self) -> None:
        """Close the sink."""
        self.sink.close()
