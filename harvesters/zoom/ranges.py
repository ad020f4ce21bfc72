"""Zoom's ranges: whole UTC days, at most a month, at most six months back, and cut without a word. Pure."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from harvesters.timespan import Window, day_window

LONGEST = timedelta(hours=30)
"""How long a meeting can last."""
_ECHO = re.compile(r"\s*(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", re.ASCII)
MOST_DAYS = 30
"""How many days are asked for at once, at most; Zoom says "a month", and cuts what is longer without a word."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, order=True)
class Days:
    """UTC days from `first` to `last`, both included, as Zoom counts them."""

    first: date
    last: date

    @classmethod
    def of(cls, window: Window) -> Days:
        """Those that a window, which must not be empty, touches."""
        return cls(window.start.date(), (window.end - timedelta(microseconds=1)).date())

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __iter__(self) -> Iterator[date]:
        day = self.first
        while day <= self.last:
            yield day
            day += _DAY

    def __contains__(self, moment: datetime) -> bool:
        return self.first <= moment.astimezone(UTC).date() <= self.last

    @property
    def params(self) -> dict[str, str]:
        """As query parameters."""
        return {"from": f"{self.first:%Y-%m-%d}", "to": f"{self.last:%Y-%m-%d}"}

    def before(self) -> Days:
        """The days before, in which a meeting that ends in these can have begun."""
        start = day_window(self.first, UTC).start
        return Days((start - LONGEST).date(), self.first - _DAY)

    def halves(self) -> tuple[Days, Days]:
        """The earlier and the later half of two days or more."""
        middle = self.first + _DAY * (len(self) // 2)
        return Days(self.first, middle - _DAY), Days(middle, self.last)

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}/{self.last}"


def echoed(answer: dict[str, Any], asked: Days) -> Days:
    """What an answer says was searched; what was asked where it says nothing, or nothing that is a date."""
    return Days(_echo(answer.get("from")) or asked.first, _echo(answer.get("to")) or asked.last)


def _echo(value: Any) -> date | None:
    """A date as Zoom writes it, also as ``2013-5-19``; what follows it, such as a time of day, does not count."""
    match = _ECHO.match(value) if isinstance(value, str) else None
    try:
        return date(*map(int, match.groups())) if match is not None else None
    except ValueError:
        return None


def longest(first: date) -> date:
    """The last day of the longest range from `first` that Zoom takes: thirty days, and never over a calendar month."""
    year, month = divmod(first.year * 12 + first.month, 12)
    next_month = date(year, month + 1, min(first.day, calendar.monthrange(year, month + 1)[1]))
    return min(first + timedelta(days=MOST_DAYS - 1), next_month - _DAY)


def left_over(asked: Days, searched: Days) -> list[Days]:
    """The days of `asked` that were not searched.

    Raises:
        ValueError: none of them was.
    """
    if searched.last < asked.first or searched.first > asked.last or searched.first > searched.last:
        raise ValueError(f"{searched} was searched instead of {asked}")
    rest = []
    if searched.first > asked.first:
        rest.append(Days(asked.first, searched.first - _DAY))
    if searched.last < asked.last:
        rest.append(Days(searched.last + _DAY, asked.last))
    return rest


def horizon(now: datetime) -> date:
    """The first day that Zoom still has: six months ago."""
    today = now.astimezone(UTC).date()
    year, month = divmod(today.year * 12 + today.month - 1 - 6, 12)
    return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))
