"""How a window is said to an Opencast: as ``start``/``end`` of the DCE dialect, or as days of the stock one.

All of it is in the server's zone, which has no name in the protocol (``OPENCAST_TIMEZONE``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from harvesters.opencast.client import ActionPage
from harvesters.opencast.idset import IdSet
from harvesters.timespan import Window, day_window, floor_second

_HOUR = timedelta(hours=1)
_SLACK = timedelta(minutes=1)
_MINUTE = 60.0
# Where in its second a request should arrive: late enough in second 59 to show nearly all of it, early enough in
# second 0, and both with room for a clock and a network that are not perfect.
_EARLY, _LATE = 0.1, 59.75


def start_end(window: Window, zone: ZoneInfo) -> dict[str, str]:
    """``start`` and ``end`` that show at least `window`: whole seconds, both inclusive, the server's wall clock.

    A wall-clock time that happens twice (the end of daylight saving) may be read as either, so an hour is added on
    that side; what is too much is filtered out by the window.
    """
    start, end = floor_second(window.start), window.end
    if end != floor_second(end):
        end = floor_second(end) + timedelta(seconds=1)
    if _twice(start, zone):
        start -= _HOUR
    if _twice(end, zone):
        end += _HOUR
    return {"start": _wall(start, zone), "end": _wall(end, zone)}


def shown(asked: dict[str, str], zone: ZoneInfo) -> Window:
    """All that a server may show for these ``start`` and ``end``, whichever way it reads a time that happens twice.

    A minute is added on both sides, for a server that rounds; no time zone is that close to another.
    """
    start = min(_readings(asked["start"], zone)) - _SLACK
    return Window(start, max(_readings(asked["end"], zone)) + timedelta(seconds=1) + _SLACK)


def _readings(text: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    wall = datetime.strptime(text, "%Y%m%d%H%M%S")
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def _twice(moment: datetime, zone: ZoneInfo) -> bool:
    local = moment.astimezone(zone)
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def _wall(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%Y%m%d%H%M%S")


@dataclass(frozen=True)
class Second:
    """A part of a minute, ``[lo, hi]`` in seconds, in which a request has to arrive."""

    lo: float
    hi: float

    def wait(self, now: datetime) -> float:
        """Seconds from `now` until it."""
        second = now.second + now.microsecond / 1e6
        return 0.0 if self.lo <= second <= self.hi else (self.lo - second) % _MINUTE


def seconds_to_ask(day: date, part: Window, zone: ZoneInfo) -> list[Second]:
    """When in a minute ``day`` has to be asked for to show all of `part`; empty when any time will do.

    Opencast builds the day's bounds from midnight and 23:59 and leaves the seconds of the request in both: asked at
    second s it shows ``[00:00:s, 23:59:s]``. So the first minute of a day shows fully at second 0 only, and the last
    at second 59 only.
    """
    whole = day_window(day, zone)
    after_midnight = (part.start - whole.start).total_seconds()
    into_last = (part.end - whole.end).total_seconds() + _MINUTE
    start = Second(0.0, max(_EARLY, after_midnight - 0.5)) if after_midnight < _MINUTE else None
    if start is not None and after_midnight < 1:
        start = Second(_EARLY, _EARLY + 0.4)
    end = Second(min(math.ceil(into_last), _LATE), 59.95) if into_last > 0 else None
    if start is None or end is None:
        return [second for second in (start, end) if second is not None]
    if end.lo <= start.hi:
        return [Second(max(start.lo, end.lo), start.hi)]
    return [start, end]


@dataclass
class DayTally:
    """Whether all rows of a day are known that a page's total counts, although its bounds move with the second."""

    _core: IdSet = field(default_factory=IdSet)
    _first: dict[int, float] = field(default_factory=dict)
    _last: dict[int, float] = field(default_factory=dict)

    def add(self, id: int, created: str) -> None:
        """Count a row; `created` is as the server wrote it, so in its own wall-clock time."""
        minute = created[11:16]
        if minute == "00:00":
            self._first[id] = _second(created)
        elif minute == "23:59":
            self._last[id] = _second(created)
        else:
            self._core.add(id)

    def complete(self, page: ActionPage) -> bool:
        """True when the known rows that the request for `page` certainly showed reach its total.

        It was read by the server at some second between `sent` and `received`; rows that only some of these show are
        not counted, for each of them could stand for one that is missing.
        """
        if page.total is None:
            return True
        earliest, latest = _of_minute(page.sent), _of_minute(page.received)
        if latest < earliest or (page.received - page.sent).total_seconds() >= _MINUTE:
            return len(self._core) >= page.total
        shown = sum(second >= latest for second in self._first.values())
        shown += sum(second <= earliest for second in self._last.values())
        return len(self._core) + shown >= page.total

    def lacks(self, page: ActionPage) -> bool:
        """True when `page` counts more rows than the known ones that its request can have shown at all."""
        if page.total is None:
            return False
        earliest, latest = _of_minute(page.sent) - 1, _of_minute(page.received) + 1
        if latest < earliest or (page.received - page.sent).total_seconds() >= _MINUTE:
            earliest, latest = 0.0, _MINUTE
        shown = sum(second >= earliest for second in self._first.values())
        shown += sum(second <= latest for second in self._last.values())
        return len(self._core) + shown < page.total

    def __len__(self) -> int:
        return len(self._core) + len(self._first) + len(self._last)


def _second(created: str) -> float:
    end = 19
    while end < len(created) and (created[end].isdigit() or created[end] == "."):
        end += 1
    try:
        return float(created[17:end])
    except ValueError:
        return 0.0


def _of_minute(moment: datetime) -> float:
    return moment.second + moment.microsecond / 1e6
