"""How much of each episode each person watched."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from harvesters.search.reader import IndexReader, Query
from harvesters.tables.selection import Selection
from harvesters.tables.viewers import actions_of, by_viewer, warn_where_there_are_none

log = logging.getLogger(__name__)

Witness = Literal["heartbeat", "footprint", "auto"]
"""Which actions show what was watched; ``auto``: footprints for an episode of which there is no heartbeat."""

_TYPES: dict[Witness, tuple[str, ...]] = {
    "heartbeat": ("HEARTBEAT",),
    "footprint": ("FOOTPRINT",),
    "auto": ("HEARTBEAT", "FOOTPRINT"),
}
_NAMED = 5  # episodes that a warning names
_AT_ONCE = 200_000  # footprints that one aggregation goes through, page by page; each page reads all of them

Durations = Mapping[str, int]


def milliseconds(duration: Any) -> int:
    """How long an episode is by what its document says; 0 where that is no number, as a migrated one may have it."""
    try:
        number = 0.0 if isinstance(duration, bool) else float(duration)
    except (TypeError, ValueError, OverflowError):
        return 0
    return int(number) if math.isfinite(number) else 0


def percent(seen: int, duration: int, chunk: int) -> int:
    """Whole percent, rounded down and at most 100, that `seen` chunks of `chunk` seconds are of `duration` ms."""
    chunks = -(-duration // (chunk * 1000))
    return min(100, 100 * seen // chunks)


def touched(intervals: Iterable[tuple[int, int]], duration: int, chunk: int) -> int:
    """How many chunks of `chunk` seconds are touched by `intervals` within `duration` ms.

    Args:
        intervals: ``[from, to)`` in seconds, in the order of their beginnings; they may overlap, be empty or reversed.
    """
    length = chunk * 1000
    seen = reached = 0  # every chunk before `reached` is counted, or will not be touched any more
    for begin, end in intervals:
        begin, end = max(0, begin * 1000), min(end * 1000, duration)
        if begin < end:
            first, behind = max(begin // length, reached), -(-end // length)
            if first < behind:
                seen += behind - first
                reached = behind
    return seen


@dataclass
class Attendance:
    """Distinct chunks of an episode that a person watched, by what the player told.

    That is a heartbeat from within the chunk while it played, or a footprint over some of its seconds. What lies
    outside of the recording counts for nothing.

    Args:
        chunk: seconds.
        live: of the live stream, against its duration, instead of the recording.
    """

    selection: Selection
    useractions: IndexReader
    chunk: int = 300
    live: bool = False
    witness: Witness = "auto"

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a row."""
        return ("mpid", "huid", "live_attendance" if self.live else "vod_attendance")

    def rows(self) -> Iterator[dict[str, Any]]:
        """One for each episode and person; episodes without a duration are left out, with a warning at the end."""
        warn_where_there_are_none(self.useractions, _TYPES[self.witness])
        name = "live_duration" if self.live else "duration"
        left_out = 0
        named: list[str] = []
        for batch in self.selection.batches(name):
            durations = {mpid: milliseconds(episode.get(name)) for mpid, episode in batch.items()}
            without = [mpid for mpid, duration in durations.items() if duration <= 0]
            left_out += len(without)
            named += without[: _NAMED - len(named)]
            yield from self._of({mpid: duration for mpid, duration in durations.items() if duration > 0})
        if left_out:
            more = ", …" if left_out > _NAMED else ""
            log.warning("%d episodes have no %s and are left out: %s%s", left_out, name, ", ".join(named), more)

    def _of(self, durations: Durations) -> Iterator[dict[str, Any]]:
        by_heartbeat = self._with_heartbeats(durations)
        shares = heapq.merge(
            self._by_heartbeats({mpid: durations[mpid] for mpid in durations if mpid in by_heartbeat}),
            self._by_footprints({mpid: durations[mpid] for mpid in durations if mpid not in by_heartbeat}),
        )
        yield from (dict(zip(self.columns, share, strict=True)) for share in shares)

    def _with_heartbeats(self, durations: Durations) -> set[str]:
        """The episodes whose heartbeats count."""
        if self.witness != "auto" or not durations:
            return set(durations) if self.witness == "heartbeat" else set()
        query = {"bool": {"filter": [self._about(durations), self._of_type("HEARTBEAT")]}}
        return {str(bucket["key"]["mpid"]) for bucket in self.useractions.buckets(self._by_mpid, query)}

    def _by_heartbeats(self, durations: Durations) -> Iterator[tuple[str, str, int]]:
        if not durations:
            return
        query = actions_of(
            self.useractions,
            durations,
            self._of_type("HEARTBEAT"),
            {"term": {self.useractions.boolean("action.is_playing"): True}},
            self._live_or_not,
        )
        chunks = {"chunk": {"histogram": {"field": "action.inpoint", "interval": self.chunk}}}
        # The last chunk may be longer than what is left of the recording, so its first heartbeat decides.
        first = {"first": {"min": {"field": "action.inpoint"}}}
        buckets = self.useractions.buckets({**by_viewer(self.useractions), **chunks}, query, first)
        for (mpid, huid), heard in groupby(buckets, _viewer):
            duration = durations[mpid]
            seen = sum(0 <= bucket["first"]["value"] * 1000 < duration for bucket in heard)
            yield mpid, huid, percent(seen, duration, self.chunk)

    def _by_footprints(self, durations: Durations) -> Iterator[tuple[str, str, int]]:
        if not durations:
            return
        filters = (self._of_type("FOOTPRINT"), self._live_or_not)
        counted = self.useractions.buckets(self._by_mpid, actions_of(self.useractions, durations, *filters))
        points = {name: {"terms": {"field": f"action.{name}"}} for name in ("inpoint", "outpoint")}
        for mpids in _groups((str(bucket["key"]["mpid"]), bucket["doc_count"]) for bucket in counted):
            query = actions_of(self.useractions, mpids, *filters)
            # In the order of their beginnings within a viewer, so that nothing has to be remembered.
            buckets = self.useractions.buckets({**by_viewer(self.useractions), **points}, query)
            for (mpid, huid), prints in groupby(buckets, _viewer):
                intervals = ((int(one["key"]["inpoint"]), int(one["key"]["outpoint"])) for one in prints)
                seen = touched(intervals, durations[mpid], self.chunk)
                yield mpid, huid, percent(seen, durations[mpid], self.chunk)

    @property
    def _by_mpid(self) -> dict[str, Query]:
        return {"mpid": by_viewer(self.useractions)["mpid"]}

    @property
    def _live_or_not(self) -> Query:
        return {"term": {self.useractions.boolean("is_live"): self.live}}

    def _about(self, mpids: Iterable[str]) -> Query:
        return {"terms": {self.useractions.exact("mpid"): list(mpids)}}

    def _of_type(self, name: str) -> Query:
        return {"term": {self.useractions.exact("action.type"): name}}


def _viewer(bucket: dict[str, Any]) -> tuple[str, str]:
    return str(bucket["key"]["mpid"]), bucket["key"]["huid"]


def _groups(counts: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Media packages in the order given, as many together as have `_AT_ONCE` actions at most; at least one."""
    group: list[str] = []
    size = 0
    for mpid, count in counts:
        if group and size + count > _AT_ONCE:
            yield group
            group, size = [], 0
        group.append(mpid)
        size += count
    if group:
        yield group
