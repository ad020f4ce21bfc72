"""Every document of an index as it is at one moment: in the order in which they were written, or as fast as may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from harvesters import exact
from harvesters.elastic import pit
from harvesters.elastic.answers import WHOLE
from harvesters.elastic.client import Answer, SearchClient, read_json
from harvesters.elastic.errors import Refused
from harvesters.errors import ProtocolError, Unavailable

PAGE = 1000
_KEEP = "5m"
_MOST_HITS = 10_000  # of a page (index.max_result_window)
_MOST = 5  # times that a point in time may be forgotten without any progress
_NOTHING = msgspec.Raw()
_BY_NUMBER = [{"_seq_no": {"order": "asc", "unmapped_type": "long"}}]  # unmapped it is where nothing is
_AS_THEY_LIE = [{"_shard_doc": "asc"}]


class Verbatim(msgspec.Struct):
    """A search hit whose document is the bytes that Elasticsearch keeps; without any where it keeps none."""

    id: str = msgspec.field(name="_id")
    sort: list[Any]
    source: msgspec.Raw = msgspec.field(name="_source", default=_NOTHING)  # in a union msgspec takes no object for it
    routing: str | None = msgspec.field(name="_routing", default=None)


class _Hits(msgspec.Struct):
    hits: list[Verbatim]


class _Shards(msgspec.Struct):
    total: int


class _Found(msgspec.Struct):
    hits: _Hits
    pit_id: str
    shards: _Shards = msgspec.field(name="_shards")


_READER = msgspec.json.Decoder(_Found)


def pages(
    client: SearchClient,
    index: str,
    since: int | None = None,
    source: bool | list[str] = True,
    only: dict[str, Any] | None = None,
    ordered: bool = True,
) -> Iterator[list[dict[str, Any]]]:
    """Search hits, a page at a time, sorted by sequence number (the first value of ``sort``).

    All shards answer, or it is asked again. Where the cluster forgets the point in time, as it does when a node is
    started again, a new one goes on with the last sequence number: then a few documents come twice.

    Not `ordered`, they come as they lie on the disk. The cluster takes a tenth of the processor's time then, for it
    unpacks each block of documents once and not once for each of them; but a forgotten point in time has it begin anew,
    and many documents come twice.

    Args:
        since: begin with this sequence number. Shards number by themselves, so several documents may have it.
        source: whether the documents (or which of their fields) come along, or their ids alone.
        only: a query that selects documents; None for all.
    """
    yield from _Scan(client, index, since, source, only, ordered).pages(_of_json, unread=False)


def verbatim(
    client: SearchClient, index: str, since: int | None = None, ordered: bool = True
) -> Iterator[list[Verbatim]]:
    """As `pages`, with the documents as they were sent: numbers of any size, and what is hardly JSON, included."""
    yield from _Scan(client, index, since, ordered=ordered).pages(_of_bytes, unread=True)


class _Page(NamedTuple):
    """What a search answers; `values` are what each hit was sorted by."""

    pit: str
    hits: list[Any]
    values: list[list[Any]]
    shards: Mapping[str, Any]


def _of_json(body: Any) -> _Page:
    hits = body["hits"]["hits"]
    return _Page(body["pit_id"], hits, [hit["sort"] for hit in hits], body["_shards"])


def _of_bytes(found: _Found) -> _Page:
    hits = found.hits.hits
    return _Page(found.pit_id, hits, [hit.sort for hit in hits], {"total": found.shards.total})


def _read(body: bytes) -> _Found:
    """A page.

    Raises:
        Transient: it was cut off.
    """
    try:
        return _READER.decode(body)
    except msgspec.DecodeError:  # half of a surrogate pair
        pass
    value = read_json(body, exactly=True)
    hits = [
        Verbatim(
            hit["_id"],
            hit["sort"],
            msgspec.Raw(exact.dumps(hit["_source"])) if "_source" in hit else _NOTHING,
            hit.get("_routing"),
        )
        for hit in value["hits"]["hits"]
    ]
    return _Found(_Hits(hits), value["pit_id"], _Shards(value["_shards"]["total"]))


class _Scan:
    """A point in time, and how far it was read."""

    def __init__(
        self,
        client: SearchClient,
        index: str,
        since: int | None,
        source: bool | list[str] = True,
        only: dict[str, Any] | None = None,
        ordered: bool = True,
    ) -> None:
        self.client, self.index, self.since, self.source, self.only = client, index, since, source, only
        features = client.cluster.features
        self.ordered = ordered or "shard_doc" not in features
        self._total = "total_order" in features or not self.ordered
        self._size = PAGE
        self._pit = self._open()
        self._after: list[Any] | None = None
        self._forgotten = 0
        self._void = False

    def pages(self, read: Callable[[Any], _Page], unread: bool) -> Iterator[list[Any]]:
        """Each page of hits."""
        try:
            while True:
                answer = self._ask(read, unread)
                if answer is None:
                    continue
                if not answer.hits:
                    return
                count = self._whole(answer.values)
                self._pit = answer.pit
                if count:
                    self._after = answer.values[count - 1]
                    yield answer.hits[:count]
                elif self._size == _MOST_HITS:
                    raise ProtocolError(f"{self.index} has more shards than one page of {self.client.name} holds.")
                else:
                    self._size = _MOST_HITS
        finally:
            pit.close(self.client, self._pit)

    def _whole(self, values: list[list[Any]]) -> int:
        """How many hits may be taken: where nothing sorts equals, not the last ones of a full page.

        Documents of several shards have the same number, and others of that number may be on the next page, which
        begins behind it. So all of that number are taken from there.
        """
        if self._total or len(values) < self._size:
            return len(values)
        return sum(1 for value in values if value[0] != values[-1][0])

    def _ask(self, read: Callable[[Any], _Page], unread: bool) -> _Page | None:
        """The next page; None where the point in time is lost, and another one was opened to go on with."""
        body: dict[str, Any] = {
            "size": self._size,
            "_source": self.source,
            "track_total_hits": False,
            "query": self._query(),
            "pit": {"id": self._pit, "keep_alive": _KEEP},
            "sort": _BY_NUMBER if self.ordered else _AS_THEY_LIE,
        }
        if self._after is not None:
            body["search_after"] = self._after
        accept = (404,) if self._forgotten < _MOST else ()

        def attempt() -> Answer:
            answer = self.client.attempt("POST", "/_search", body, params=WHOLE, accept=accept, unread=unread)
            return Answer(answer.status, _read(answer.raw)) if unread and answer.found else answer

        answer = self.client.retry.call(attempt, self.client.name, Unavailable)
        page = read(answer.body) if answer.found else None
        if page is not None and (self._void or not pit.is_lost(page.shards)):
            if self.ordered:
                self._forgotten = 0
            return page
        self._void = page is not None  # asked again, an index without shards is one
        if self.ordered and self._after is not None:
            self.since = self._after[0]
        self._pit, self._after, self._forgotten = self._open(), None, self._forgotten + 1
        return None

    def _query(self) -> dict[str, Any]:
        wanted = [{"range": {"_seq_no": {"gte": self.since}}}] if self.since is not None else []
        wanted += [self.only] if self.only is not None else []
        return {"bool": {"filter": wanted}} if wanted else {"match_all": {}}

    def _open(self) -> str:
        id = pit.open(self.client, self.index, _KEEP)
        if id is None:
            raise Refused(f"{self.client.name} has no index {self.index!r}.", 404, "there is none")
        return id
