"""Which window a run covers, and whether it may move the checkpoint. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from harvesters.cursor import Cursor, TimeCursor
from harvesters.timespan import Window, floor_second, iso

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)  # no source has anything from before


class WindowError(ValueError):
    """The given start lies after the given end: a mistake in the command line."""


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        scope: what is read: a window, the key to go on from, whatever the harvest understands.
        end: where the checkpoint stands when all of it is delivered; None where the pages alone say so.
        moves: whether the checkpoint moves with it.
        begins: where a first run begins; written down before anything is read, so that the next one makes up for it
            if this one fails.
        window: what is harvested, for the report; None where there is none.
        note: what the operator should know, if anything.
    """

    scope: Any
    end: Cursor | None = None
    moves: bool = False
    begins: Cursor | None = None
    window: Window | None = None
    note: str = ""


class Asked(Protocol):
    """What a run was asked for."""

    @property
    def update(self) -> bool:
        """Whether the checkpoint may move."""

    @property
    def needs_checkpoint(self) -> bool:
        """False for what has nothing to do with the checkpoint."""

    def plan(self, checkpoint: Any, now: datetime, begun: Any = None) -> Plan | None:
        """The run that this asks for; None when there is nothing to do because the checkpoint lies in the future.

        Args:
            begun: where an earlier first run began, that never got as far as a checkpoint.

        Raises:
            WindowError: the start lies after the end.
        """


@dataclass(frozen=True)
class Everything:
    """All that a source has, which has no checkpoint: a dump, a node that is mirrored."""

    scope: Any = None
    update: bool = False
    needs_checkpoint: bool = False

    def plan(self, checkpoint: Any, now: datetime, begun: Any = None) -> Plan:
        """All of it, whatever the time is."""
        return Plan(self.scope)


@dataclass(frozen=True)
class Span:
    """A window given by hand (`start`, `end`), or the one since the checkpoint.

    Args:
        interval: how far back a first run goes.
        lookback: how far before the checkpoint a live run reads again, for rows that came late.
        update: whether the checkpoint may move.
    """

    start: datetime | None = None
    end: datetime | None = None
    interval: timedelta = timedelta(minutes=2)
    lookback: timedelta = timedelta(seconds=60)
    update: bool = True

    @property
    def needs_checkpoint(self) -> bool:
        """False for a range that has nothing to do with the checkpoint."""
        return self.update or self.start is None

    def plan(self, checkpoint: TimeCursor | None, now: datetime, begun: TimeCursor | None = None) -> Plan | None:
        """The window, its end cut back to `now`; see `Asked.plan`."""
        now = floor_second(now)
        before = checkpoint.moment if checkpoint is not None else None
        reached = begun.moment if before is None and begun is not None else before
        end = min(self.end, now) if self.end is not None else now
        note = "" if self.end is None or self.end <= now else f"the end is cut back to now ({iso(now)})"
        if self.start is None and before is not None and before > now:
            return None
        first = now - min(self.interval, now - _FIRST)
        if begun is not None:
            first = min(begun.moment, first)  # a clock that was ahead may have written it down
        start = self.start or before or min(first, end)
        if start > end:
            raise WindowError(f"the start ({iso(start)}) lies after the end ({iso(end)})")
        window = Window(max(start, _FIRST), max(end, _FIRST))
        moves = self.update
        if self.start is not None:
            touches = reached is None or start <= reached < end
            moves = self.update and touches
            if self.update and not touches and reached is not None:
                note = f"{note}; " if note else ""
                note += (
                    f"the checkpoint stays at {iso(reached)}, for this range does not touch it"
                    if before is not None
                    else f"no checkpoint is made: this range does not touch {iso(reached)}, where the first run began"
                )
        again = before is not None and (self.start is None or (moves and self.start == before))
        begins = TimeCursor(window.start) if moves and before is None and self.start is None and begun is None else None
        scope = window.widened(self.lookback) if again else window
        return Plan(scope, TimeCursor(window.end), moves, begins, window, note)
