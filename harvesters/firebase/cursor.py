"""How far the events are harvested: the last push id; and what an output already got of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harvesters.cursor import KeyCursor
from harvesters.firebase.documents import milliseconds
from harvesters.firebase.keys import time_of
from harvesters.firebase.pushid import is_push_id, push_floor
from harvesters.sourceclock import SourceClock
from harvesters.spans import Plan
from harvesters.stores.delivered import DAY, DeliveredLog, Mark
from harvesters.timespan import Window, parse_checkpoint

_BEGINNING = KeyCursor(push_floor(0))


@dataclass(frozen=True)
class EventKeys:
    """Checkpoints that are push ids. A time, ``YYYYMMDDHHmmssZ``, is read too: for a person who wants to go back."""

    remedy: str = "delete it to read everything again"

    def decode(self, text: str) -> KeyCursor:
        """The push id, or the first one that a time can have.

        Raises:
            ValueError: it is neither.
        """
        if is_push_id(text):
            return KeyCursor(text)
        try:
            return KeyCursor(first_key(parse_checkpoint(text, UTC)))
        except ValueError as error:
            raise ValueError(f"{text[:40]!r} is no push id and no time such as 20160101000000Z") from error


@dataclass(frozen=True)
class SinceKey:
    """The events behind the checkpoint (`span` None), or by hand those of `span`, wherever their keys sort."""

    span: Window | None = None
    update: bool = True

    @property
    def needs_checkpoint(self) -> bool:
        """False for a range by hand."""
        return self.span is None

    def plan(self, checkpoint: Any, now: datetime, begun: Any = None) -> Plan:
        """What is read: a window, or the key to go on from; None for the first run, which reads everything."""
        if self.span is not None:
            return Plan(self.span, window=self.span)
        if checkpoint is not None:
            return Plan(checkpoint.key, moves=self.update)
        return Plan(None, moves=self.update, begins=_BEGINNING if self.update and begun is None else None)


@dataclass
class EventLog(DeliveredLog):
    """What an output already got of the events: for good what each run reads again, for two days what it passes.

    Read again are keys that are no push ids, or of a clock ahead of time, and the last `lookback` seconds.

    Args:
        clock: says, with ours, what is ahead of time: the database's.
    """

    ttl: float = 3650 * DAY
    lookback: float = 60.0
    clock: SourceClock | None = None

    def add(self, marks: Sequence[Mark]) -> None:
        """Remember rows that the output has acknowledged."""
        now = milliseconds(self.clock.earlier()) if self.clock is not None else 0
        times = {mark.id: time_of(mark.id, now) for mark in marks}
        last = max((time for time in times.values() if time is not None), default=0)
        passed = {id for id, time in times.items() if time is not None and time < last - self.lookback * 1000}
        self._put([mark for mark in marks if mark.id not in passed], self.ttl)
        self._put([mark for mark in marks if mark.id in passed], 2 * DAY)


def first_key(moment: datetime) -> str:
    """The first push id that can have been made at `moment`; before 1970 there were none."""
    return push_floor(max(0, milliseconds(moment)))
