"""What is being listed, and how far: kept so that a run that has to stop in the middle of its lists can go on there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from harvesters.timespan import Window, day_window, iso
from harvesters.zoom.listed import ListedMeeting
from harvesters.zoom.ranges import MOST_DAYS, Days, longest

MOST_ROWS = 6_000
"""How many rows of a list are held, unless a single day has more."""
_TOKEN_LIFE = timedelta(minutes=14)  # Zoom's page tokens live for fifteen
_LISTING_LIFE = timedelta(days=1)


@dataclass
class Part:
    """One list over some days: the rows read so far, and the token of the next page."""

    rows: list[Any] = field(default_factory=list)
    token: str = ""
    done: bool = False
    at: str = ""
    searched: Days | None = None

    def encode(self) -> dict[str, Any]:
        """For JSON."""
        searched = [str(self.searched.first), str(self.searched.last)] if self.searched is not None else None
        return {"rows": self.rows, "token": self.token, "done": self.done, "at": self.at, "searched": searched}

    @classmethod
    def decode(cls, data: dict[str, Any], now: datetime) -> Part:
        """From JSON; an unfinished list whose token may have died begins again."""
        if not data["done"] and now - datetime.fromisoformat(data["at"]) > _TOKEN_LIFE:
            return cls()
        searched = data["searched"]
        days = Days(date.fromisoformat(searched[0]), date.fromisoformat(searched[1])) if searched else None
        return cls(data["rows"], data["token"], data["done"], data["at"], days)


@dataclass
class Notebook:
    """The lists of the chunk in hand, so that a run that has to stop in the middle of them can go on there.

    Attributes:
        days: how many days are listed at once.
        most: how many Zoom takes at once.
        upto: the last day whose meetings were listed, so that the day after need not look back.
        carried: meetings that were listed by then and ended later.
    """

    now: Callable[[], datetime]
    route: str = ""
    parts: dict[str, Part] = field(default_factory=dict)
    days: int = MOST_DAYS
    most: int = MOST_DAYS
    upto: date | None = None
    carried: list[ListedMeeting] = field(default_factory=list)
    _next: tuple[date, list[ListedMeeting]] | None = None

    def part(self, name: str) -> Part:
        """The list called `name`, begun when it is first asked for."""
        return self.parts.setdefault(name, Part())

    def chunk(self, start: datetime, end: datetime) -> Window:
        """The part of ``[start, end)`` from its start that is listed at once.

        With the days before, in which its first meetings may have begun, it makes no more than Zoom takes.
        """
        first = start.astimezone(UTC).date()
        before = Days(first, first).before()
        days = max(1, min(self.days, self.most - len(before)))
        last = min(longest(before.first), first + timedelta(days=days - 1))
        return Window(start, min(end, day_window(last, UTC).end))

    def follows(self, days: Days) -> bool:
        """The meetings that began before `days` are listed already; those that ended later are `carried`."""
        return self.upto is not None and self.upto + timedelta(days=1) == days.first

    def carry(self, days: Days, meetings: list[ListedMeeting]) -> None:
        """`days` are listed; `meetings` belong to later ones. Counts from when the chunk is done."""
        self._next = days.last, meetings

    def shorten(self, days: Days, rows: int) -> None:
        """`days` hold so many rows, too many to list at once: begin again with fewer."""
        self.days = max(1, min(len(days) - 1, len(days) * MOST_ROWS // max(rows, 1)))
        self.parts.clear()

    def done(self, rows: int) -> None:
        """The chunk, which had so many rows, is done; after a small one, more days are taken at once."""
        self.parts.clear()
        if self._next is not None:
            (self.upto, self.carried), self._next = self._next, None
        if rows * 2 <= MOST_ROWS:
            self.days = min(MOST_DAYS, self.days * 2)

    def take(self, route: str) -> None:
        """Go by `route`; what another one listed does not count."""
        if self.route != route:
            self.parts.clear()
            self.upto, self.carried = None, []
        self.route = route

    def encode(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "route": self.route,
            "at": iso(self.now()),
            "parts": {name: part.encode() for name, part in list(self.parts.items()) if part.at},
            "days": self.days,
            "most": self.most,
            "upto": str(self.upto) if self.upto is not None else None,
            "carried": [[meeting.row, str(meeting.day), meeting.host] for meeting in self.carried],
        }

    def load(self, data: dict[str, Any]) -> None:
        """Take up what `encode` wrote; lists of yesterday are read again."""
        if not data or self.now() - datetime.fromisoformat(data["at"]) >= _LISTING_LIFE:
            return
        self.route = data["route"]
        self.parts = {name: Part.decode(part, self.now()) for name, part in data["parts"].items()}
        self.days, self.most = int(data.get("days", MOST_DAYS)), int(data.get("most", MOST_DAYS))
        self.upto = date.fromisoformat(data["upto"]) if data.get("upto") else None
        self.carried = [ListedMeeting(row, date.fromisoformat(day), host) for row, day, host in data.get("carried", ())]
