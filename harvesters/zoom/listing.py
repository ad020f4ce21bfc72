"""Lists of meetings: what a listed meeting is, and how a list over days is read to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

from harvesters.errors import ProtocolError
from harvesters.timespan import Window, day_window, iso
from harvesters.zoom.client import PAGE_SIZE, ZoomClient
from harvesters.zoom.packed import PackedRows
from harvesters.zoom.ranges import MOST_DAYS, Days, echoed, left_over, longest
from harvesters.zoom.refusals import PageTokenExpired
from harvesters.zoom.values import integer, moment

MOST_ROWS = 6_000
"""How many rows of a list are held, unless a single day has more."""

_TOKEN_LIFE = timedelta(minutes=14)  # Zoom's page tokens live for fifteen
_LISTING_LIFE = timedelta(days=1)


@dataclass
class ListedMeeting:
    """A meeting as it was listed: its row, what is known of its host, and the UTC day that listed it."""

    row: dict[str, Any]
    day: date
    host: dict[str, Any] = field(default_factory=dict)

    @property
    def uuid(self) -> str:
        """Its UUID; "" when the row has none."""
        value = self.row.get("uuid")
        return value if isinstance(value, str) else ""

    @property
    def key(self) -> str:
        """What tells it from others, within one list."""
        return self.uuid or repr(self.row)

    @cached_property
    def start(self) -> datetime | None:
        """When it began, as far as the row says so."""
        return _moment(self.row.get("start_time"))

    @cached_property
    def end(self) -> datetime | None:
        """When it ended, as far as the row says so."""
        return _moment(self.row.get("end_time"))

    @property
    def filed(self) -> datetime:
        """What decides the index: its end, or else the day that listed it."""
        return self.end or day_window(self.day, UTC).start


class Route(Protocol):
    """One of Zoom's two ways to meetings and their participants."""

    @property
    def name(self) -> str:
        """``dashboard`` or ``report``."""

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """The scopes it needs: each in the granular and in the classic spelling."""

    def meetings(self, chunk: Window, until: datetime) -> list[ListedMeeting]:
        """The meetings that ended in `chunk`, and those without an end that its days list; in no order.

        `until` is the end of the whole window, chunk after chunk of which is asked for.

        Raises:
            TooMany: the chunk has to be shorter.
        """

    def participants(self, uuid: str) -> PackedRows:
        """The participant rows of a meeting that is over.

        Raises:
            NoSuchMeeting: Zoom does not give them.
            NotAMeeting: it is a webinar.
            Misunderstood: something else; see its `of_one`.
        """

    def find_hosts(self, meetings: list[ListedMeeting]) -> None:
        """Fill in what is missing of the hosts."""


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


class TooMany(Exception):
    """A list over several days has more rows than are held at once."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.rows = rows


@dataclass
class Lists:
    """Reads lists over days, as many pages and ranges as it takes."""

    client: ZoomClient
    notebook: Notebook

    def read(
        self,
        path: str,
        category: str,
        field: str,
        days: Days,
        keep: Callable[[Any], bool] = lambda row: True,
        most: int = 0,
        **params: Any,
    ) -> list[Any]:
        """The rows of `days`; a range that Zoom cuts short is continued from what its answer says was searched.

        Args:
            keep: which rows are wanted.
            most: how many rows may be held; 0 for any number.

        Raises:
            ProtocolError: Zoom searches other days than it was asked for.
            TooMany: there are more than `most`.
        """
        rows: list[Any] = []
        todo = [days]
        while todo:  # each answer takes at least a day away
            asked = todo.pop()
            part = self._part(path, category, field, asked, keep, most, params)
            rows += part.rows
            searched = part.searched or asked
            try:
                todo += left_over(asked, searched)
            except ValueError as error:
                raise ProtocolError(
                    f"{path}: {error}. Zoom keeps six months; if these days are within them, this is no API that a "
                    "harvest can rely on."
                ) from error
            if len(searched) < len(asked):
                self.notebook.most = min(self.notebook.most, len(searched))
        return rows

    def _part(
        self,
        path: str,
        category: str,
        field: str,
        asked: Days,
        keep: Callable[[Any], bool],
        most: int,
        params: dict[str, Any],
    ) -> Part:
        part = self.notebook.part(f"{path} {params.get('type', '')} {asked}")

        def read() -> None:
            try:
                for page in self.client.pages(path, category, field, part.token, **asked.params, **params):
                    if part.searched is None:
                        part.searched = echoed(page.answer, asked)
                    part.rows += filter(keep, page.rows)
                    part.token, part.at, part.done = page.token, iso(self.notebook.now()), not page.token
                    if most and (rows := max(len(part.rows), total(page.answer))) > most:
                        raise TooMany(rows)
            except PageTokenExpired:
                part.rows, part.token = [], ""
                raise

        if not part.done:
            self.client.persistently(path, read)
        return part


def total(answer: dict[str, Any]) -> int:
    """How many rows a list has in all, as far as one of its pages says; 0 where it does not."""
    told = integer(answer.get("total_records"))
    if told is not None:
        return told
    pages, size = integer(answer.get("page_count")) or 0, integer(answer.get("page_size")) or PAGE_SIZE
    return (pages - 1) * size + 1 if pages > 1 else 0


def locate(wanted: set[str], days: Days, listed: Callable[[Days], set[str]]) -> dict[str, date]:
    """The day of `days` that lists each of `wanted`, found by halves: `listed` says what some of the days list."""
    if not wanted:
        return {}
    if len(days) == 1:
        return dict.fromkeys(wanted, days.first)
    earlier, later = days.halves()
    there = wanted & listed(earlier)
    return {**locate(there, earlier, listed), **locate(wanted - there, later, listed)}


def in_chunk(meetings: Iterable[ListedMeeting], chunk: Window) -> list[ListedMeeting]:
    """Those that ended in `chunk`, and those without an end that its days listed; each UUID once."""
    days = Days.of(chunk)
    there: dict[str, ListedMeeting] = {}
    for meeting in meetings:
        if (meeting.end in chunk) if meeting.end is not None else (days.first <= meeting.day <= days.last):
            there.setdefault(meeting.key, meeting)
    return list(there.values())


def _moment(value: Any) -> datetime | None:
    try:
        return moment(value)
    except ValueError:
        return None  # the meeting is kept, and its mapping says what is wrong
