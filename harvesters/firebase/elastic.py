"""What the events, profiles and classes need of Elasticsearch beyond a sink: their templates, and removal by id."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harvesters.document import Document, Outcome
from harvesters.elastic import bulk, paths
from harvesters.elastic.answers import WHOLE
from harvesters.elastic.client import SearchClient
from harvesters.errors import CredentialsRefused, ProtocolError, SinkUnavailable
from harvesters.firebase.documents import Row
from harvesters.firebase.events import Removal
from harvesters.firebase.indices import PREFIX
from harvesters.firebase.pushid import push_ms
from harvesters.pseudonyms import KEY
from harvesters.search import scan, templates
from harvesters.sinks.base import IndexMisfit, Sink

log = logging.getLogger(__name__)

Hit = dict[str, Any]
Body = dict[str, Any]

_BATCH = 1000
_SAFE = (KEY, "id", "type", "created_at", "hour", "weekday", "day_of_month", "day_of_year", "month", "year")
_RECENT = 20_000  # places of documents that are remembered until searches certainly see them
_NAMES = 100  # of indices in one URL, which Elasticsearch limits to 4 KB


def ensure_template(client: SearchClient, name: str) -> None:
    """Put the index template of `name` where there is none.

    Without it the first document would make an index that guesses: each push id a field of its own. One that is there
    is left alone, whoever changed it.
    """
    if client.request("GET", f"/_index_template/{paths.name(name)}", accept=(404,)).found:
        return
    for kind in ("events", "profiles", "classes"):
        if name.endswith(kind):
            templates.put(client, templates.find(f"{PREFIX}{kind}").renamed(name))
            log.info("put the index template %s", name)


@dataclass
class SearchIndex:
    """The documents behind an alias, or in one index."""

    client: SearchClient
    name: str

    def ids(self) -> Iterator[list[str]]:
        """The ids of all documents as of now, in batches; none when there is no such index."""
        if not self.refresh():
            return
        for hits in scan.pages(self.client, self.name, source=False):
            yield [hit["_id"] for hit in hits]

    def keys_since(self, first: str) -> Iterator[list[Row]]:
        """The Firebase keys of all documents as of now that sort from `first` on, but for those of older events."""
        if not self.refresh():
            return
        push_ids = {"range": {"id": {"gte": first, "lt": "."}}}  # all push ids until the year 2109 begin with a hyphen
        since = {"range": {"created_at": {"gte": push_ms(first)}}}
        timeless = {"bool": {"must_not": {"exists": {"field": "created_at"}}}}
        others = {"bool": {"should": [push_ids, since, timeless], "minimum_should_match": 1}}
        only = {"bool": {"filter": [{"range": {"id": {"gte": first}}}, others]}}
        for hits in scan.pages(self.client, self.name, source=["id", "created_at"], only=only):
            yield [{"key": str(hit["_source"]["id"]), "value": hit["_source"]} for hit in hits]

    def remove(self, ids: Sequence[str]) -> int:
        """Delete documents by id, in whichever index behind the alias they are; how many there were.

        Raises:
            SinkUnavailable: the cluster did not take it within the retry budget.
        """
        return self._delete([_place(hit) for hit in self._hits(_any(ids))]) if self.refresh() else 0

    def elsewhere(self, places: Mapping[str, str]) -> list[Hit]:
        """Documents with the ids of `places` that are in other indices than it says, as far as searches see them."""
        return list(self._hits(_but(places)))

    def discard(self, hits: Sequence[Hit]) -> None:
        """Delete these, unless somebody has written them since.

        Raises:
            SinkUnavailable: the cluster did not take it within the retry budget.
        """
        versions = ("_seq_no", "_primary_term")
        self._delete([{**_place(hit), **{f"if{name}": hit[name] for name in versions}} for hit in hits])

    def _hits(self, queries: Iterable[Body]) -> Iterator[Hit]:
        for query in queries:
            body = {"size": 10 * _BATCH, "_source": False, "seq_no_primary_term": True, "query": query}
            found = self.client.request("POST", f"/{paths.name(self.name)}/_search", body, params=WHOLE, accept=(404,))
            yield from found.body["hits"]["hits"] if found.found else ()

    def merge(self, names: Sequence[str]) -> None:
        """Have the cluster merge indices to which nothing more will come; it does so in its own time.

        They take two thirds of the space then. A cluster that does not let us has them larger, and nothing is lost.
        """
        params = {"max_num_segments": 1, "wait_for_completion": "false"}
        for start in range(0, len(names), _NAMES):
            path = f"/{paths.pattern(','.join(names[start : start + _NAMES]))}/_forcemerge"
            try:
                self.client.request("POST", path, params=params)
            except (CredentialsRefused, ProtocolError) as error:
                log.warning("indices are not merged: %s", error)
                return

    def refresh(self) -> bool:
        """Have searches see what was indexed; False when there is no such index."""
        return self.client.request("POST", f"/{paths.name(self.name)}/_refresh", accept=(404,)).found

    def _delete(self, places: Sequence[Mapping[str, Any]]) -> int:
        if not places:
            return 0
        # 404: it is gone already; 409: somebody has written it since
        refused = bulk.deliver(self.client, [_deletion(**place) for place in places], settled=(404, 409))
        if refused:
            refusal = next(iter(refused.values()))
            raise SinkUnavailable(
                f"{self.client.name}: {len(refused)} of {len(places)} documents were not deleted: {refusal.reason}"
            )
        return len(places)


def _deletion(_index: str, _id: str, **conditions: Any) -> bytes:
    return bulk.delete(_index, _id, **conditions)


def _place(hit: Hit) -> dict[str, Any]:
    return {"_index": hit["_index"], "_id": hit["_id"]}


@dataclass
class IndexingSink:
    """A sink into Elasticsearch that has the template there first, and takes removals for what they say.

    A document is in one index: where its time has changed since it was indexed, it leaves the one of the other month.
    One that Elasticsearch refuses for what it says is indexed by its typed fields, and kept whole as a text in `raw`.

    Args:
        sink: indexes documents.
        index: where removed ones are.
        place: the index of a document; None where there is only one.
        complete: the same if nothing more will come to it after this run; "" if more may. Such indices are merged at
            the end. None for a run that goes on and on.
    """

    sink: Sink
    index: SearchIndex
    place: Callable[[Document], str] | None = None
    complete: Callable[[Document], str] | None = None
    _complete: set[str] = field(default_factory=set)
    _ready: bool = False
    _may_move: bool = True
    _recent: dict[str, str] = field(default_factory=dict)
    _before: dict[str, str] = field(default_factory=dict)

    durable = True

    @property
    def name(self) -> str:
        """Where, and into what."""
        return f"{self.sink.name}, {self.index.name}"

    @property
    def address(self) -> str:
        """The sink's."""
        return self.sink.address

    def identity(self) -> tuple[str, bool]:
        """The sink's."""
        return self.sink.identity()

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Index, and remove."""
        if not self._ready:
            self._prepare()
        if self.complete is not None:
            self._complete.update(self.complete(document) for document in documents)
        removals = [document for document in documents if isinstance(document, Removal)]
        kept = [document for document in documents if not isinstance(document, Removal)] if removals else documents
        outcomes = self._index(kept)
        if removals:
            self.index.remove([document.id for document in removals])
            self.index.refresh()  # what is gone should not be found for as long as new documents may take to be
        return outcomes + [Outcome(document) for document in removals]

    def finish(self) -> None:
        """Have what is complete merged, and searches see a single index as it is now."""
        self.sink.finish()
        if self.place is None:
            self.index.refresh()  # before it is merged, so that nobody waits for that
        self.index.merge(sorted(self._complete - {""}))

    def close(self) -> None:
        """Close the sink."""
        self.sink.close()

    def _prepare(self) -> None:
        ensure_template(self.index.client, self.index.name)
        there = self.index.refresh()
        self._may_move = self.place is not None and (there or self.complete is None)
        self._ready = True

    def _index(self, documents: Sequence[Document]) -> list[Outcome]:
        """Index them; whatever is elsewhere is looked for before, so that nobody's newer version is taken away."""
        if not self._may_move or self.place is None:
            return self._whole_or_raw(documents)
        places = {document.id: self.place(document) for document in documents}
        if any(self._known_at(id, place) != place for id, place in places.items()):
            self.index.refresh()  # what moves was indexed a moment ago, and searches may not see it yet
        self._remember(places)
        before = self.index.elsewhere(places)
        outcomes = self._whole_or_raw(documents)
        there = {outcome.document.id for outcome in outcomes if outcome.delivered}
        self.index.discard([hit for hit in before if hit["_id"] in there])
        return outcomes

    def _remember(self, places: Mapping[str, str]) -> None:
        self._recent.update(places)
        if len(self._recent) > _RECENT:
            self._before, self._recent = self._recent, {}

    def _known_at(self, id: str, place: str) -> str:
        return self._recent.get(id) or self._before.get(id, place)

    def _whole_or_raw(self, documents: Sequence[Document]) -> list[Outcome]:
        outcomes = self._sent(documents)
        refused = {reduced(outcome.document): outcome for outcome in outcomes if _was_refused(outcome)}
        if not refused:
            return outcomes
        log.warning(
            "%d documents do not fit into the index and are kept as a text, the first is %s",
            len(refused),
            next(iter(refused)).id,
        )
        again = [
            Outcome(refused[outcome.document].document, outcome.reason) for outcome in self.sink.send(list(refused))
        ]
        return [outcome for outcome in outcomes if not _was_refused(outcome)] + again

    def _sent(self, documents: Sequence[Document]) -> list[Outcome]:
        """What the sink says, also where it suspects the index: for what is refused there is `raw`."""
        try:
            return self.sink.send(documents)
        except IndexMisfit as error:
            return error.outcomes


def _any(ids: Sequence[str]) -> Iterator[Body]:
    """Queries for these ids."""
    for start in range(0, len(ids), _BATCH):
        yield {"ids": {"values": list(ids[start : start + _BATCH])}}


def _but(places: Mapping[str, str]) -> Iterator[Body]:
    """Queries for these ids in any index but the one named: nothing is fetched of what is in its place."""
    groups: dict[str, list[str]] = {}
    for id, place in places.items():
        groups.setdefault(place, []).append(id)
    for place, ids in groups.items():
        for query in _any(ids):
            yield {"bool": {"filter": query, "must_not": {"term": {"_index": place}}}}


def reduced(document: Document) -> Document:
    """The document with what no index can refuse: fields of a fitting type, and all of it as a text in `raw`."""
    body = {name: document.body[name] for name in _SAFE if name in document.body}
    return Document(document.id, document.kind, document.timestamp, {**body, "raw": document.encoded.decode()})


def _was_refused(outcome: Outcome) -> bool:
    """For what it says; of a value that is too long to be indexed, OpenSearch says "immense term"."""
    return "parsing_exception" in outcome.reason or "immense term" in outcome.reason
