"""How Zoom reads ``from`` and ``to``: whole UTC days, at most one month, at most six months back, adjusted silently."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from harvesters.simulators.base import Request
from harvesters.simulators.zoom.errors import ZoomError, invalid

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}:\d{2})Z?)?\Z")
_DAY = timedelta(days=1)
ECHOES = ("iso", "unpadded", "nonsense")
"""How ``from`` and ``to`` of an answer are spelled: ``2026-05-09``, ``2026-5-9``, or so that they are no dates."""


@dataclass(frozen=True)
class DateRange:
    """What is searched, half open, and what the answer says was searched."""

    first: datetime
    last: datetime
    timed: bool = False
    spelling: str = "iso"

    def holds(self, moment: datetime) -> bool:
        """`moment` lies within."""
        return self.first <= moment < self.last

    def echo(self) -> dict[str, str]:
        """The ``from`` and ``to`` of the answer, which may not be the ones that were asked for."""
        if self.spelling == "nonsense":
            return {"from": "soon", "to": "2026-99-99"}
        if self.spelling == "unpadded":
            last = self.last - _DAY
            return {"from": f"{self.first.year}-{self.first.month}-{self.first.day}",
                    "to": f"{last.year}-{last.month}-{last.day}"}  # fmt: skip
        if self.timed:
            end = self.last - timedelta(seconds=1)
            return {"from": f"{self.first:%Y-%m-%d %H:%M:%S}", "to": f"{end:%Y-%m-%d %H:%M:%S}"}
        return {"from": f"{self.first:%Y-%m-%d}", "to": f"{self.last - _DAY:%Y-%m-%d}"}


def read_range(
    request: Request, now: datetime, *, clamp: str, time_of_day: bool, most_days: int = 0, echo: str = "iso"
) -> DateRange:
    """The range of a report or Dashboard request.

    More than a month is cut without a word: at ``from`` or at ``to``, as `clamp` says (v1's documentation says the one,
    what v2's users saw is the other). A range that begins more than six months ago begins six months ago; one that
    lies wholly before is refused. A time of day counts only with `time_of_day`. With `most_days`, ranges are cut to so
    many days; `echo` is one of `ECHOES`.
    """
    first, first_timed = _moment(request, "from")
    last, last_timed = _moment(request, "to")
    timed = time_of_day and (first_timed or last_timed)
    if timed:
        last += timedelta(seconds=1) if last_timed else _DAY
    else:
        first, last = _midnight(first), _midnight(last) + _DAY
    if last <= first:
        raise invalid("from", "to")
    if clamp == "from":
        first = max(first, add_months(last, -1))
    else:
        last = min(last, add_months(first, 1))
    if most_days and last - first > most_days * _DAY:
        first, last = (last - most_days * _DAY, last) if clamp == "from" else (first, first + most_days * _DAY)
    horizon = add_months(_midnight(now), -6)
    if last <= horizon:
        raise ZoomError(400, 300, "The requested date range is more than six months ago.", ("from", "to"))
    return DateRange(max(first, horizon), last, timed, echo)


def read_pair(request: Request) -> DateRange | None:
    """The range of ``/users/{id}/meetings``, where ``from`` without ``to`` (or the reverse) does nothing."""
    if not (request.param("from") and request.param("to")):
        return None
    return DateRange(_midnight(_moment(request, "from")[0]), _midnight(_moment(request, "to")[0]) + _DAY)


def add_months(moment: datetime, months: int) -> datetime:
    """The same day `months` later, or the month's last day where it has no such day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _moment(request: Request, name: str) -> tuple[datetime, bool]:
    match = _DATE.match(request.param(name))
    if match is None:
        raise invalid(name)
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00:00'}").replace(tzinfo=UTC)
    except ValueError as error:
        raise invalid(name) from error
    return moment, match[2] is not None
