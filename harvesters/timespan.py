"""Windows of time, and texts for moments. Pure: no clock, no I/O.

All instants are aware and in UTC; all windows are half open, ``[start, end)``. Clients translate a window into what
their API means by start and end, and filter what comes back to exactly the window.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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
