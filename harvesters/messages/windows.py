"""The spans of time that analytics and exports are about: half open, between midnights of a zone, or as given.

Pure: who computes says what time it is.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any, NamedTuple

TODAY, ALL = "today", "all"
MOVING, FIXED = "moving", "fixed"

_TYPES = {"moving": MOVING, "default": MOVING, "fixed": FIXED, "custom": FIXED}  # by 1.x's names as well
_SPAN = re.compile(r"([0-9]+)([dwmy])", re.ASCII | re.IGNORECASE)
_DIGITS = 7  # of a number that the calendar may have room for
_UNITS = {"d": (1, 0), "w": (7, 0), "m": (0, 1), "y": (0, 12)}  # days, months


class Bounds(NamedTuple):
    """``[start, end)``, with the offset that a result shows; without `start` it begins with the first message."""

    start: datetime | None
    end: datetime


@dataclass(frozen=True)
class Moving:
    """So many days, weeks, months or years before today's midnight; ``today``; or ``all`` before today.

    Raises:
        ValueError: `value` is none of these.
    """

    value: str

    def __post_init__(self) -> None:
        if self.value.lower() not in (TODAY, ALL) and not _SPAN.fullmatch(self.value):
            raise ValueError(f"{self.value[:40]!r} is no span; write a number with d, w, m or y, or today, or all")

    def bounds(self, now: datetime, zone: tzinfo) -> Bounds:
        """The span as of `now`, between midnights of `zone`.

        Raises:
            ValueError: it begins before the calendar does.
        """
        day = now.astimezone(zone).date()
        last = _midnight(day, zone)
        if self.value.lower() == TODAY:
            return Bounds(last, _midnight(day + timedelta(days=1), zone))
        if self.value.lower() == ALL:
            return Bounds(None, last)
        found = _SPAN.fullmatch(self.value)
        assert found is not None
        number = found[1].lstrip("0") or "0"
        try:
            if len(number) > _DIGITS:
                raise ValueError(number[:_DIGITS])
            days, months = _UNITS[found[2].lower()]
            first = _months_before(day, int(number) * months) - timedelta(days=int(number) * days)
            return Bounds(_midnight(first, zone), last)
        except (ValueError, OverflowError):
            raise ValueError(f"{self.value[:40]!r} begins before the first year of the calendar") from None

    def out(self) -> dict[str, Any]:
        """As descriptors hold it."""
        return {"type": MOVING, "value": self.value}


@dataclass(frozen=True)
class Fixed:
    """From one time to another; one without an offset is UTC's, as Elasticsearch reads it.

    Raises:
        ValueError: it starts after it ends, or is beyond the calendar.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        bounds = self.bounds()
        assert bounds.start is not None
        try:
            start, end = bounds.start.astimezone(UTC), bounds.end.astimezone(UTC)
        except OverflowError:
            raise ValueError("the window is beyond the calendar") from None
        if start > end:
            raise ValueError("the window starts after it ends")

    @classmethod
    def parse(cls, start: str, end: str) -> Fixed:
        """Both as ISO 8601.

        Raises:
            ValueError: one is no time, or as for the class.
        """
        return cls(_moment(start), _moment(end))

    def bounds(self, now: datetime | None = None, zone: tzinfo = UTC) -> Bounds:
        """The times as given, whatever time it is, and where."""
        return Bounds(_aware(self.start), _aware(self.end))

    def out(self) -> dict[str, Any]:
        """As descriptors hold it."""
        return {"type": FIXED, "start": self.start.isoformat(), "end": self.end.isoformat()}


Window = Moving | Fixed


def parse(given: Any) -> Window:
    """The window that a descriptor's ``timespan`` is; ``DEFAULT`` and ``CUSTOM`` are 1.x's names for moving and fixed.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(given, Mapping):
        raise ValueError("timespan is no object")
    kind = _TYPES.get(str(given.get("type")).lower())
    if kind is None:
        raise ValueError("timespan.type is neither moving nor fixed")
    names = ("value",) if kind == MOVING else ("start", "end")
    texts = [given.get(name) for name in names]
    if missing := [name for name, text in zip(names, texts, strict=True) if not isinstance(text, str)]:
        raise ValueError(f"timespan.{missing[0]} is no text")
    return Moving(str(texts[0])) if kind == MOVING else Fixed.parse(str(texts[0]), str(texts[1]))


def instant(text: str) -> datetime:
    """An ISO 8601 time in UTC; without an offset it is UTC's.

    Raises:
        ValueError: it is none.
    """
    try:
        return _aware(_moment(text)).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is beyond the calendar") from None


def with_offset(moment: datetime) -> datetime:
    """The same instant with an offset of its own, so that two of them compare and subtract as instants do.

    An offset of seconds, as zones had before there was standard time, becomes UTC: nobody else reads it.
    """
    offset = moment.utcoffset() or timedelta()
    return moment.astimezone(timezone(offset) if offset and not offset.total_seconds() % 60 else UTC)


def _midnight(day: date, zone: tzinfo) -> datetime:
    """Where the clocks go forward at midnight, that is when the day begins all the same."""
    return with_offset(datetime.combine(day, time(), zone))


def _months_before(day: date, months: int) -> date:
    """The same day of an earlier month, or its last."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        raise ValueError(year)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no time; write ISO 8601, such as 2021-07-28T00:00:00+02:00") from None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
