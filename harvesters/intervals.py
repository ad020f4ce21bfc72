"""Sets of instants, as disjoint windows in order: what is done of a range, and what is left of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from harvesters.timespan import Window, iso


@dataclass(frozen=True)
class Intervals:
    """Disjoint windows in order; those that touch are one. Made by `of`."""

    windows: tuple[Window, ...] = ()

    @classmethod
    def of(cls, windows: Iterable[Window]) -> Intervals:
        """All that any of `windows` covers."""
        merged: list[Window] = []
        for window in sorted(window for window in windows if not window.empty):
            if merged and window.start <= merged[-1].end:
                merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
            else:
                merged.append(window)
        return cls(tuple(merged))

    def __iter__(self) -> Iterator[Window]:
        return iter(self.windows)

    def __bool__(self) -> bool:
        return bool(self.windows)

    def __or__(self, other: Iterable[Window]) -> Intervals:
        """What either covers."""
        return Intervals.of([*self.windows, *other])

    def __and__(self, other: Iterable[Window]) -> Intervals:
        """What both cover."""
        found: list[Window] = []
        mine, theirs = self.windows, Intervals.of(other).windows
        here = there = 0
        while here < len(mine) and there < len(theirs):
            both = mine[here].intersection(theirs[there])
            if both is not None:
                found.append(both)
            if mine[here].end <= theirs[there].end:
                here += 1
            else:
                there += 1
        return Intervals(tuple(found))

    def __sub__(self, other: Iterable[Window]) -> Intervals:
        """What this one covers and the other does not."""
        left: list[Window] = []
        holes = Intervals.of(other).windows
        at = 0
        for window in self.windows:
            start = window.start
            while at < len(holes) and holes[at].end <= start:
                at += 1
            hole = at
            while hole < len(holes) and holes[hole].start < window.end:
                if start < holes[hole].start:
                    left.append(Window(start, holes[hole].start))
                start = max(start, holes[hole].end)
                hole += 1
            if start < window.end:
                left.append(Window(start, window.end))
        return Intervals(tuple(left))

    def covers(self, window: Window) -> bool:
        """Whether all of `window` is in it."""
        return not Intervals.of([window]) - self

    def touches(self, window: Window) -> bool:
        """Whether any of `window` is in it."""
        return bool(self & [window])

    def encode(self) -> list[list[str]]:
        """For JSON: pairs of times."""
        return [[iso(window.start), iso(window.end)] for window in self.windows]

    @classmethod
    def decode(cls, pairs: Iterable[Iterable[str]]) -> Intervals:
        """From JSON.

        Raises:
            ValueError, TypeError: it is no such list.
        """
        return cls.of(Window(*map(datetime.fromisoformat, pair)) for pair in pairs)
