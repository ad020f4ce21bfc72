"""Windows of time and the arithmetic of what has been harvested. Pure: no clock, no I/O.

All instants are aware and in UTC; all windows are half open, ``[start, end)``. Clients translate a window into what
their API means by start and end, and filter what comes back to exactly the window.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from harvesters.errors import SpanRefused

_COMPACT = re.compile(r"(\d{14})(Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_NO_DATE = re.compile(r"\d{9}")  # `fromisoformat` takes the ninth digit for a separator, and reads some other time
_CHECKPOINT = re.compile(r"\d{14}Z?", re.ASCII)


@dataclass(frozen=True, order=True)
class Window:
    """Half-open span of time ``[start, end)``; both ends aware, kept in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window needs aware datetimes")
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))
        if self.start > self.end:
            raise ValueError(f"the window starts ({self.start}) after it ends ({self.end})")

    @property
    def empty(self) -> bool:
        """True when no instant lies in it."""
        return self.start == self.end

    @property
    def seconds(self) -> float:
        """Its length; days count (`timedelta.seconds` alone would wrap at one)."""
        return (self.end - self.start).total_seconds()

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def widened(self, before: timedelta) -> Window:
        """The same window, starting `before` earlier."""
        return Window(self.start - before, self.end)

    def intersection(self, other: Window) -> Window | None:
        """What both cover, or None."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Window(start, end) if start < end else None

    def days(self, zone: tzinfo) -> Iterator[tuple[date, Window]]:
        """Each calendar day of `zone` that it touches, with the part of the window that lies in it."""
        if self.empty:
            return
        day = self.start.astimezone(zone).date()
        last = (self.end - timedelta(microseconds=1)).astimezone(zone).date()
        while day <= last:
            part = self.intersection(day_window(day, zone))
            if part is not None:
                yield day, part
            day += timedelta(days=1)

    def __str__(self) -> str:
        return f"{iso(self.start)}/{iso(self.end)}"


class IntervalSet:
    """Sorted, disjoint, non-empty windows: what a back-fill has done, and what it has not.

    Back-fills are the next thing that is built on it; until then only its tests use it.
    """

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        self._windows: tuple[Window, ...] = tuple(_merged(windows))

    def __iter__(self) -> Iterator[Window]:
        return iter(self._windows)

    def __bool__(self) -> bool:
        return bool(self._windows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalSet) and self._windows == other._windows

    def __hash__(self) -> int:
        return hash(self._windows)

    def __repr__(self) -> str:
        return f"IntervalSet([{', '.join(map(str, self._windows))}])"

    def __contains__(self, moment: datetime) -> bool:
        return any(moment in window for window in self._windows)

    @property
    def seconds(self) -> float:
        """The total length of its windows."""
        return sum(window.seconds for window in self._windows)

    def union(self, other: Iterable[Window]) -> IntervalSet:
        """Everything in either."""
        return IntervalSet([*self._windows, *other])

    def subtract(self, other: Iterable[Window]) -> IntervalSet:
        """What is here and not in `other`."""
        left = list(self._windows)
        for hole in IntervalSet(other):
            left = [piece for window in left for piece in _without(window, hole)]
        return IntervalSet(left)

    def gaps(self, within: Window) -> IntervalSet:
        """What `within` has and this set has not."""
        return IntervalSet([within]).subtract(self)


def _merged(windows: Iterable[Window]) -> Iterator[Window]:
    current: Window | None = None
    for window in sorted(window for window in windows if not window.empty):
        if current is None:
            current = window
        elif window.start <= current.end:
            current = Window(current.start, max(current.end, window.end))
        else:
            yield current
            current = window
    if current is not None:
        yield current


def _without(window: Window, hole: Window) -> Iterator[Window]:
    if hole.start >= window.end or hole.end <= window.start:
        yield window
        return
    if window.start < hole.start:
        yield Window(window.start, hole.start)
    if hole.end < window.end:
        yield Window(hole.end, window.end)


@dataclass(frozen=True)
class SpanGuard:
    """Refuses windows longer than `limit` seconds (``MAX_START_END_SPAN``); None refuses nothing."""

    limit: float | None

    def check(self, window: Window, checkpoint: str) -> None:
        """Raise `SpanRefused` when `window` is too long; `checkpoint` says where the checkpoint lives."""
        if self.limit is None or window.seconds <= self.limit:
            return
        raise SpanRefused(
            f"the start-end time span of {window.seconds:.0f} s ({window}) is larger than MAX_START_END_SPAN "
            f"({self.limit:.0f} s), so nothing was harvested. Either run once by hand with "
            f"--disable-start-end-span-check, or reset the start by deleting {checkpoint} and harvest what was "
            "missed by hand with --start/--end (in several runs if the gap is large)."
        )


def zone(name: str) -> ZoneInfo:
    """The time zone called `name` (IANA).

    Raises:
        ValueError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; use a name such as UTC or America/New_York") from error


def day_window(day: date, zone: tzinfo) -> Window:
    """The calendar day `day` of `zone`: 23, 24 or 25 hours."""
    start = datetime.combine(day, time(), zone)
    end = datetime.combine(day + timedelta(days=1), time(), zone)
    return Window(start, end)


def parse_moment(text: str, zone: tzinfo) -> datetime:
    """Read ``YYYYMMDDHHmmss`` or ISO 8601; without an offset (or ``Z``) the time is `zone`'s. Returns UTC.

    A wall-clock time that happens twice (the end of daylight saving) means the first of the two; one that does not
    exist is read with the offset before the change, as `zoneinfo` does.

    Raises:
        ValueError: the text is neither.
    """
    text = text.strip()
    try:
        if compact := _COMPACT.fullmatch(text):
            offset = compact[2] or ""
            moment = datetime.strptime(compact[1] + offset, "%Y%m%d%H%M%S%z" if offset else "%Y%m%d%H%M%S")
        elif len(text) < 8 or _NO_DATE.match(text):
            raise ValueError(text)
        else:
            moment = datetime.fromisoformat(text)
        return as_utc(moment, zone)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no time; write YYYYMMDDHHmmss or ISO 8601, such as 20260213093000 or 2026-02-13T09:30:00Z"
        ) from error


def as_utc(moment: datetime, zone: tzinfo) -> datetime:
    """`moment` in UTC; one without an offset is `zone`'s.

    Raises:
        OverflowError: that lies outside of the calendar.
    """
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def format_checkpoint(moment: datetime) -> str:
    """``YYYYMMDDHHmmssZ``, the second that holds `moment`."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def parse_checkpoint(text: str, zone: tzinfo) -> datetime:
    """Read a stored checkpoint; without ``Z`` (as older installations wrote it) it is in `zone`.

    Raises:
        ValueError: it is anything but 14 digits and an optional ``Z``.
    """
    if _CHECKPOINT.fullmatch(text.strip()) is None:
        raise ValueError(f"{text[:40]!r} is no checkpoint; it should read YYYYMMDDHHmmssZ")
    return parse_moment(text, zone)


def floor_second(moment: datetime) -> datetime:
    """`moment` without the fraction of its second."""
    return moment.replace(microsecond=0)


def iso(moment: datetime) -> str:
    """UTC ISO 8601 with ``Z``, the fraction only where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
