"""Every document of an index as it is at one moment: in the order in which they were written, or as fast as may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from harvesters import exact
from harvesters.elastic import paths
from harvesters.elastic.client import Answer, SearchClient, read_json
from harvesters.errors import HarvestError, Unavailable
from harvesters.retry import Transient

PAGE = 1000
_KEEP = "5m"
_WHOLE = {"allow_partial_search_results": "false"}
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


class _Found(msgspec.Struct):
    hits: _Hits
    pit_id: str


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
    scan = _Scan(client, index, since, source, only, ordered)
    try:
        while True:
            answer = scan.ask(unread=False)
            if answer is None:
                continue
            hits = answer.body["hits"]["hits"]
            if not hits:
                return
            scan.go_on(answer.body["pit_id"], hits[-1]["sort"])
            yield hits
    finally:
        scan.close()


def verbatim(
    client: SearchClient, index: str, since: int | None = None, ordered: bool = True
) -> Iterator[list[Verbatim]]:
    """As `pages`, with the documents as they were sent: numbers of any size, and what is hardly JSON, included."""
    scan = _Scan(client, index, since, ordered=ordered)
    try:
        while True:
            answer = scan.ask(unread=True)
            if answer is None:
                continue
            found: _Found = answer.body
            if not found.hits.hits:
                return
            scan.go_on(found.pit_id, found.hits.hits[-1].sort)
            yield found.hits.hits
    finally:
        scan.close()


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
    return _Found(_Hits(hits), value["pit_id"])


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
        self.ordered = ordered
        self._pit = self._open()
        self._after: list[Any] | None = None
        self._forgotten = 0

    def ask(self, unread: bool) -> Answer | None:
        """The next page; None where the point in time is lost, and another one was opened to go on with."""
        body: dict[str, Any] = {
            "size": PAGE,
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
            answer = self.client.attempt("POST", "/_search", body, params=_WHOLE, accept=accept, unread=unread)
            return Answer(answer.status, _read(answer.raw)) if unread and answer.found else answer

        answer = self.client.retry.call(attempt, self.client.name, Unavailable)
        if answer.found:
            if self.ordered:
                self._forgotten = 0
            return answer
        if self.ordered and self._after is not None:
            self.since = self._after[0]
        self._pit, self._after, self._forgotten = self._open(), None, self._forgotten + 1
        return None

    def go_on(self, pit: str, after: list[Any]) -> None:
        """The page was taken: go on behind it."""
        self._pit, self._after = pit, after

    def close(self) -> None:
        """Let the cluster forget the point in time; where it does not answer, it will by itself."""
        with suppress(HarvestError, Transient):
            self.client.attempt("DELETE", "/_pit", {"id": self._pit}, accept=(404,))

    def _query(self) -> dict[str, Any]:
        wanted = [{"range": {"_seq_no": {"gte": self.since}}}] if self.since is not None else []
        wanted += [self.only] if self.only is not None else []
        return {"bool": {"filter": wanted}} if wanted else {"match_all": {}}

    def _open(self) -> str:
        path = f"/{paths.pattern(self.index)}/_pit"
        return str(self.client.request("POST", path, params={"keep_alive": _KEEP}).body["id"])
