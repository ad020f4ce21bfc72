"""Lists of meetings: what a listed meeting is, and how a list over days is read to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

from harvesters.errors import ProtocolError
from harvesters.timespan import Window, day_window, iso
from harvesters.zoom.client import ZoomClient
from harvesters.zoom.ranges import Days, echoed, left_over
from harvesters.zoom.refusals import PageTokenExpired
from harvesters.zoom.values import moment

_TOKEN_LIFE = timedelta(minutes=14)  # Zoom's page tokens live for fifteen
_LISTING_LIFE = timedelta(days=1)


@dataclass
class Meeting:
    """A meeting as it was listed: its row, what is known of its host, and the UTC day that listed it."""

    row: dict[str, Any]
    day: date
    host: dict[str, Any] = field(default_factory=dict)

    @property
    def uuid(self) -> str:
        """Its UUID; "" when the row has none."""
        value = self.row.get("uuid")
        return value if isinstance(value, str) else ""

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

    def chunk(self, start: datetime, end: datetime) -> Window:
        """The part of ``[start, end)`` from its start that is to be listed at once."""

    def meetings(self, chunk: Window, until: datetime) -> list[Meeting]:
        """The meetings that ended in `chunk`, and those without an end that its days list; in no order.

        `until` is the end of the whole window, chunk after chunk of which is asked for.
        """

    def participants(self, uuid: str) -> list[Any]:
        """The participant rows of a meeting that is over.

        Raises:
            NoSuchMeeting: Zoom does not give them.
            NotAMeeting: it is a webinar.
        """

    def find_hosts(self, meetings: list[Meeting]) -> None:
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
    """The lists of the chunk in hand, so that a run that has to stop in the middle of them can go on there."""

    now: Callable[[], datetime]
    route: str = ""
    parts: dict[str, Part] = field(default_factory=dict)

    def part(self, name: str) -> Part:
        """The list called `name`, begun when it is first asked for."""
        return self.parts.setdefault(name, Part())

    def clear(self) -> None:
        """The chunk is done."""
        self.parts.clear()

    def encode(self) -> dict[str, Any]:
        """For JSON."""
        parts = {name: part.encode() for name, part in list(self.parts.items()) if part.at}
        return {"route": self.route, "at": iso(self.now()), "parts": parts}

    def load(self, data: dict[str, Any]) -> None:
        """Take up what `encode` wrote; lists of yesterday are read again."""
        if data and self.now() - datetime.fromisoformat(data["at"]) < _LISTING_LIFE:
            self.route = data["route"]
            self.parts = {name: Part.decode(part, self.now()) for name, part in data["parts"].items()}


@dataclass
class Lists:
    """Reads lists over days, as many pages and ranges as it takes."""

    client: ZoomClient
    notebook: Notebook

    def read(self, path: str, category: str, field: str, days: Days, **params: Any) -> list[Any]:
        """The rows of `days`; a range that Zoom cuts short is continued from what its answer says was searched.

        Raises:
            ProtocolError: Zoom searches other days than it was asked for.
        """
        rows: list[Any] = []
        todo = [days]
        while todo:
            asked = todo.pop()
            part = self._part(path, category, field, asked, params)
            rows += part.rows
            try:
                todo += left_over(asked, part.searched or asked)
            except ValueError as error:
                raise ProtocolError(
                    f"{path}: {error}. Zoom keeps six months; if these days are within them, this is no API that a "
                    "harvest can rely on."
                ) from error
        return rows

    def _part(self, path: str, category: str, field: str, asked: Days, params: dict[str, Any]) -> Part:
        part = self.notebook.part(f"{path} {params.get('type', '')} {asked}")

        def read() -> None:
            try:
                for page in self.client.pages(path, category, field, part.token, **asked.params, **params):
                    if part.searched is None:
                        part.searched = echoed(page.answer, asked)
                    part.rows += page.rows
                    part.token, part.at, part.done = page.token, iso(self.notebook.now()), not page.token
            except PageTokenExpired:
                part.rows, part.token = [], ""
                raise

        if not part.done:
            self.client.persistently(path, read)
        return part


def in_chunk(meetings: Iterator[Meeting], chunk: Window) -> list[Meeting]:
    """Those that ended in `chunk`, and those without an end that its days listed; each UUID once."""
    days = set(Days.of(chunk))
    found: dict[str, Meeting] = {}
    for meeting in meetings:
        if (meeting.end in chunk) if meeting.end is not None else (meeting.day in days):
            found.setdefault(meeting.uuid or repr(meeting.row), meeting)
    return list(found.values())


def _moment(value: Any) -> datetime | None:
    try:
        return moment(value)
    except ValueError:
        return None  # the meeting is kept, and its mapping says what is wrong
