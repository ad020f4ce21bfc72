"""Messages in time order, as a stream: to the microsecond, ties by trace id, whatever the form of their indices.

Indices of today's form are asked in just this order. Dynamic mapping keeps milliseconds, so what older indices hold is
read by the millisecond and sorted here. Both are streams with the same key, and merged.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from harvesters.elastic import pit
from harvesters.elastic.client import SearchClient
from harvesters.messages import moments, questions
from harvesters.messages.forms import Forms
from harvesters.messages.hits import Hit, Raw, search
from harvesters.messages.names import MESSAGES

_KEEP = "5m"
_LAST_INDEX = "\U0010ffff"  # behind all: a message whose index a migration has replaced is still the same
_TYPES_OF_TIME = {"numeric_type": "date_nanos", "unmapped_type": "date_nanos"}

Place = tuple[int, str, str]
"""Where a message stands: its instant in microseconds, its trace id, its index."""


@dataclass(frozen=True)
class Selection:
    """Which messages.

    Attributes:
        words: what their fields are, such as `project`.
        since, until: the first and the last microsecond.
    """

    words: Mapping[str, str] = field(default_factory=dict)
    since: int | None = None
    until: int | None = None

    @classmethod
    def between(cls, words: Mapping[str, str], start: datetime | None, end: datetime | None) -> Selection:
        """Those of ``[start, end)``; None: open."""
        since = moments.micros(start) if start is not None else None
        return cls(words, since, moments.micros(end) - 1 if end is not None else None)

    def holds(self, hit: Hit, micros: int) -> bool:
        """Whether a message that an old index found is one."""
        late = self.until is not None and micros > self.until
        return not late and (self.since is None or micros >= self.since) and questions.matches(hit.fields, self.words)

    def query(self, *more: questions.Query, since: int | None = None) -> questions.Query:
        """What finds them, and in old indices perhaps others."""
        first = max((each for each in (self.since, since) if each is not None), default=None)
        bounds = {"gte": _bound(first), "lte": _bound(self.until)}
        asked = {name: value for name, value in bounds.items() if value is not None}
        ranged = [{"range": {"timestamp": asked}}] if asked else []
        return questions.where(self.words, *ranged, *more)


def _bound(micros: int | None) -> str | None:
    """A bound as the cluster takes it: what lies beyond its years holds nothing back."""
    if micros is None:
        return None
    last = moments.micros(datetime(moments.YEARS[1] + 1, 1, 2))
    return moments.of_micros(max(0, min(micros, last))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Reader:
    """Reads; each read may also raise what `SearchClient.request` does."""

    client: SearchClient
    forms: Forms

    def read(
        self, selection: Selection, page: int, after: Place | None = None, frozen: bool = False
    ) -> Iterator[tuple[Place, Hit]]:
        """Messages in order, each with its place.

        Args:
            page: how many are asked for at once.
            after: go on behind this place.
            frozen: as they are now, whatever is written meanwhile.
        """
        old = self.forms.old(self.client, fresh=True)
        streams = [self._today(selection, old, page, after, frozen)]
        if old:
            streams.append(self._older(selection, old, page, after))
        return heapq.merge(*streams, key=lambda found: found[0])

    def _today(
        self, selection: Selection, old: frozenset[str], page: int, after: Place | None, frozen: bool
    ) -> Iterator[tuple[Place, Hit]]:
        # What the service of old has written since `old` was asked for has no id to be sorted by: it is read next time.
        query = selection.query(questions.outside(old), {"exists": {"field": "harvest.id"}})
        sort = [
            {"timestamp": {"order": "asc", **_TYPES_OF_TIME}},
            {"harvest.id": {"order": "asc", "unmapped_type": "keyword"}},
            {"_index": "asc"},
        ]
        behind: list[Any] | None = [after[0] * 1000, after[1], _LAST_INDEX] if after is not None else None
        for raw in self._walk(query, sort, page, behind, frozen):
            yield (raw.sort[0] // 1000, raw.id, raw.index), Hit.of(raw)

    def _older(
        self, selection: Selection, old: frozenset[str], page: int, after: Place | None
    ) -> Iterator[tuple[Place, Hit]]:
        since = after[0] // 1000 * 1000 if after is not None else None
        query = selection.query(questions.among(old), since=since)
        tie = "_shard_doc" if "shard_doc" in self.client.cluster.features else "_id"
        millis = {"order": "asc", "numeric_type": "date", "unmapped_type": "date"}
        sort = [{"timestamp": millis}, {tie: "asc"}]
        walk = self._walk(query, sort, page, None, True)
        for _, raws in groupby(walk, key=lambda raw: raw.sort[0]):
            yield from sorted(self._placed(selection, raws, after), key=lambda found: found[0])

    def _placed(self, selection: Selection, raws: Iterator[Raw], after: Place | None) -> Iterator[tuple[Place, Hit]]:
        for raw in raws:
            hit = Hit.of(raw)
            micros = _micros(hit.fields.get("timestamp"), raw.sort[0])
            place = micros, raw.id, raw.index
            if selection.holds(hit, micros) and (after is None or place[:2] > after[:2]):
                yield place, hit

    def _walk(
        self, query: questions.Query, sort: list[Any], page: int, after: list[Any] | None, frozen: bool
    ) -> Iterator[Raw]:
        """Every hit, page by page."""
        body: dict[str, Any] = {"size": page, "query": query, "sort": sort, "track_total_hits": False}
        path = f"/{MESSAGES}/_search"
        id = pit.open(self.client, MESSAGES, _KEEP) if frozen else None
        if frozen and id is None:  # there is no index
            return
        try:
            while True:
                if after is not None:
                    body["search_after"] = after
                if id is not None:
                    body["pit"], path = {"id": id, "keep_alive": _KEEP}, "/_search"
                hits, next_id = search(self.client, path, body)
                id = next_id or id
                yield from hits
                if len(hits) < page:
                    return
                after = hits[-1].sort
        finally:
            if id is not None:
                pit.close(self.client, id)


def _micros(timestamp: Any, millis: int) -> int:
    """The instant of a document, by what it says; by what the cluster has read there where that cannot be read here."""
    try:
        return moments.micros(moments.parse(timestamp))
    except (TypeError, ValueError):
        return millis * 1000
