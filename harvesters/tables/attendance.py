"""How much of each episode each person watched."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from harvesters.search.reader import IndexReader
from harvesters.tables.selection import Selection
from harvesters.tables.viewers import actions_of, by_viewer

log = logging.getLogger(__name__)

_NAMED = 5  # episodes that a warning names


def percent(seen: int, duration: int, chunk: int) -> int:
    """Whole percent, rounded down and at most 100, that `seen` chunks of `chunk` seconds are of `duration` ms."""
    chunks = -(-duration // (chunk * 1000))
    return min(100, 100 * seen // chunks)


@dataclass
class Attendance:
    """Distinct chunks of an episode in which a player's heartbeat was heard while it played.

    Args:
        chunk: seconds.
        live: of the live stream, against its duration, instead of the recording.
    """

    selection: Selection
    useractions: IndexReader
    chunk: int = 300
    live: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a row."""
        return ("mpid", "huid", "live_attendance" if self.live else "vod_attendance")

    def rows(self) -> Iterator[dict[str, Any]]:
        """One for each episode and person; episodes without a duration are left out, with a warning at the end."""
        name = "live_duration" if self.live else "duration"
        left_out: list[str] = []
        for batch in self.selection.batches(name):
            durations = {mpid: int(episode.get(name) or 0) for mpid, episode in batch.items()}
            left_out += [mpid for mpid, duration in durations.items() if duration <= 0]
            yield from self._of({mpid: duration for mpid, duration in durations.items() if duration > 0})
        if left_out:
            more = ", …" if len(left_out) > _NAMED else ""
            named = ", ".join(left_out[:_NAMED])
            log.warning("%d episodes have no %s and are left out: %s%s", len(left_out), name, named, more)

    def _of(self, durations: dict[str, int]) -> Iterator[dict[str, Any]]:
        if not durations:
            return
        query = actions_of(
            self.useractions,
            durations,
            {"term": {self.useractions.exact("action.type"): "HEARTBEAT"}},
            {"term": {self.useractions.boolean("action.is_playing"): True}},
            {"term": {self.useractions.boolean("is_live"): self.live}},
        )
        chunks = {"chunk": {"histogram": {"field": "action.inpoint", "interval": self.chunk}}}
        seen = self.useractions.buckets({**by_viewer(self.useractions), **chunks}, query)
        for (mpid, huid), buckets in groupby(seen, lambda bucket: (bucket["key"]["mpid"], bucket["key"]["huid"])):
            share = percent(sum(1 for _ in buckets), durations[mpid], self.chunk)
            yield dict(zip(self.columns, (mpid, huid, share), strict=True))
