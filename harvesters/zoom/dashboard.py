"""The Dashboard's route to meetings: ``/metrics/meetings`` and the participants of each, for Business accounts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from harvesters.timespan import Window
from harvesters.zoom.client import encode_uuid
from harvesters.zoom.hosts import Hosts
from harvesters.zoom.limits import HEAVY, INTENSIVE
from harvesters.zoom.listed import ListedMeeting
from harvesters.zoom.listing import Lists, in_chunk, locate
from harvesters.zoom.notebook import MOST_ROWS
from harvesters.zoom.packed import PackedRows
from harvesters.zoom.ranges import Days

log = logging.getLogger(__name__)

KINDS = ("past", "pastOne")  # past leaves out the meetings of one person
PATH = "/metrics/meetings"
WEEK = 7  # days; in more, some meeting is sure to need the days before, and they cost nothing if asked for with these


@dataclass
class DashboardRoute:
    """Lists as many days at once as Zoom takes.

    ``query_date_type=end_time`` lists by the end. Nobody says whether a server knows it, but the rows do: one that
    began before the day shows that it does, one that ended after it that it does not. Where it does not, or nothing
    shows it, the days before are listed too, and what ended later than these days is kept until its day comes.
    """

    lists: Lists
    hosts: Hosts
    horizon: date
    name: str = "dashboard"
    needs: tuple[tuple[str, str], ...] = (
        ("dashboard:read:list_meetings:admin", "dashboard_meetings:read:admin"),
        ("dashboard:read:list_meeting_participants:admin", "dashboard_meetings:read:admin"),
        ("report:read:list_users:admin", "report:read:admin"),
    )
    _by_end: bool | None = None

    def meetings(self, chunk: Window, until: datetime) -> list[ListedMeeting]:
        """The days of `chunk`, and where needed those before it, listed to their end."""
        days, notebook = Days.of(chunk), self.lists.notebook
        before = days.before()
        before = Days(max(before.first, self.horizon), before.last)
        back = before.first <= before.last and self._by_end is not True and not notebook.follows(days)
        if back and len(days) > WEEK:
            listed = self._list(Days(before.first, days.last), MOST_ROWS)
        else:
            listed = self._list(days, MOST_ROWS if len(days) > 1 else 0)
            if back and self._by_end is not True:
                listed += self._began(before, chunk.start)
        if notebook.follows(days):
            listed += notebook.carried
        later = [meeting for meeting in listed if meeting.end is not None and chunk.end <= meeting.end < until]
        notebook.carry(days, later)
        return in_chunk(listed, chunk)

    def participants(self, uuid: str) -> PackedRows:
        """``type=past``, for the default is the meetings that are running."""
        return self.lists.client.drain(f"{PATH}/{encode_uuid(uuid)}/participants", HEAVY, "participants", type="past")

    def find_hosts(self, meetings: list[ListedMeeting]) -> None:
        """The Dashboard knows a host by name and e-mail address; the ids are in ``/report/users``."""
        self.hosts.find(meetings)

    def _list(self, asked: Days, most: int) -> list[ListedMeeting]:
        return [meeting for kind in KINDS for meeting in self._listed(kind, asked, most)]

    def _listed(self, kind: str, asked: Days, most: int) -> list[ListedMeeting]:
        """What `asked` lists; a row without an end belongs to the one day that lists it alone."""
        meetings = [ListedMeeting(row, asked.first) for row in self._rows(kind, asked, most=most)]
        undated = {meeting.key for meeting in meetings if meeting.end is None}
        where = locate(undated, asked, lambda days: {_read(row).key for row in self._rows(kind, days, keep=_undated)})
        for meeting in meetings:
            self._look(meeting, asked)
            meeting.day = meeting.end.date() if meeting.end is not None else where[meeting.key]
        return meetings

    def _began(self, before: Days, start: datetime) -> list[ListedMeeting]:
        """What `before` lists and ended from `start` on: there is some only where days are those of the start."""

        def late(row: Any) -> bool:
            end = _read(row).end
            return end is not None and end >= start

        meetings = [ListedMeeting(row, before.last) for kind in KINDS for row in self._rows(kind, before, keep=late)]
        for meeting in meetings:
            self._look(meeting, before)
        return meetings

    def _rows(
        self, kind: str, days: Days, keep: Callable[[Any], bool] = lambda row: True, most: int = 0
    ) -> list[dict[str, Any]]:
        rows = self.lists.read(
            PATH, INTENSIVE, "meetings", days, keep=keep, most=most, type=kind, query_date_type="end_time"
        )
        return [row if isinstance(row, dict) else {"row": row} for row in rows]

    def _look(self, meeting: ListedMeeting, asked: Days) -> None:
        """Learn from a row by which of its times it was listed."""
        if meeting.end is None or self._by_end is False:
            return
        if meeting.end not in asked:
            if self._by_end:
                log.warning("Zoom lists some meetings by their end and others by their start")
            self._by_end = False
        elif meeting.start is not None and meeting.start.date() < asked.first:
            self._by_end = True


def _undated(row: Any) -> bool:
    return _read(row).end is None


def _read(row: Any) -> ListedMeeting:
    return ListedMeeting(row if isinstance(row, dict) else {"row": row}, date.min)
