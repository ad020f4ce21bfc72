"""In which order rows come, which decides whether a run may commit in its middle."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from harvesters.timespan import floor_second

_SECOND = timedelta(seconds=1)


@dataclass
class Arrival:
    """Whether rows come in order of time, and how many of them lie before the second of the latest."""

    ordered: bool = True
    count: int = 0
    latest: datetime | None = None
    _fractions: bool = False
    _counted: int = 0
    _recent: deque[datetime | None] = field(default_factory=deque)

    def add(self, moment: datetime | None) -> None:
        """A row came; one that does not say when it happened takes its place between its neighbours."""
        self.count += 1
        self._recent.append(moment)
        if moment is not None:
            self.ordered = self.ordered and (self.latest is None or moment >= self.latest)
            self.latest = moment if self.latest is None else max(self.latest, moment)
            self._fractions = self._fractions or moment.microsecond > 0
        if not self.ordered:
            self._recent.clear()  # nobody asks any more, and it would grow with the window

    def cut(self, latest: datetime) -> datetime:
        """The last whole second before which rows can be counted: of the latest one there may be more to come."""
        return floor_second(latest) - (timedelta() if self._fractions else _SECOND)

    def until(self, cut: datetime) -> int:
        """How many rows came up to and with `cut`, which must not go back from call to call."""
        while self._recent and ((first := self._recent[0]) is None or first <= cut):
            self._recent.popleft()
            self._counted += 1
        return self._counted
