"""Lists of meetings: how a list over days is read to its end, and which of its meetings are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from harvesters.errors import ProtocolError
from harvesters.timespan import Window, iso
from harvesters.zoom.client import PAGE_SIZE, ZoomClient
from harvesters.zoom.listed import ListedMeeting
from harvesters.zoom.notebook import Notebook, Part
from harvesters.zoom.packed import PackedRows
from harvesters.zoom.ranges import Days, echoed, left_over
from harvesters.zoom.refusals import PageTokenExpired
from harvesters.zoom.values import integer


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
            searched = part.searched if part.searched is not None else asked
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
