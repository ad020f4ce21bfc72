"""The Dashboard's route to meetings: ``/metrics/meetings`` and the participants of each, for Business accounts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from harvesters.timespan import Window, day_window
from harvesters.zoom.client import encode_uuid
from harvesters.zoom.hosts import Hosts
from harvesters.zoom.limits import HEAVY, INTENSIVE
from harvesters.zoom.listing import Lists, Meeting, in_chunk
from harvesters.zoom.ranges import Days

log = logging.getLogger(__name__)

KINDS = ("past", "pastOne")  # past leaves out the meetings of one person
PATH = "/metrics/meetings"


@dataclass
class Dashboard:
    """Lists day by day: a row without times is then known to belong to the day that was asked for.

    ``query_date_type=end_time`` lists by the end. Nobody says whether a server knows it, but the rows do: one that
    began before the day shows that it does, one that ended after it that it does not. Where it does not, or nothing
    shows it, the days before are listed too, and what ended later than its day is kept until its day comes.
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
    _listed: set[date] = field(default_factory=set)
    _later: list[Meeting] = field(default_factory=list)

    def chunk(self, start: datetime, end: datetime) -> Window:
        """Up to the end of the UTC day."""
        return Window(start, min(end, day_window(start.astimezone(UTC).date(), UTC).end))

    def meetings(self, chunk: Window, until: datetime) -> list[Meeting]:
        """The day of `chunk`, and where needed those before it, listed to their end."""
        days = Days.of(chunk)
        listed = self._days(days)
        if self._by_end is not True:
            before = days.before()
            listed += self._days(Days(max(before.first, self.horizon), before.last))
        listed += self._later
        self._later = [meeting for meeting in listed if meeting.end is not None and chunk.end <= meeting.end < until]
        return in_chunk(iter(listed), chunk)

    def participants(self, uuid: str) -> list[Any]:
        """``type=past``, for the default is the meetings that are running."""
        return self.lists.client.drain(f"{PATH}/{encode_uuid(uuid)}/participants", HEAVY, "participants", type="past")

    def find_hosts(self, meetings: list[Meeting]) -> None:
        """The Dashboard knows a host by name and e-mail address; the ids are in ``/report/users``."""
        self.hosts.find(meetings)

    def _days(self, days: Days) -> list[Meeting]:
        return [meeting for day in days for meeting in self._day(day)]

    def _day(self, day: date) -> Iterator[Meeting]:
        if day in self._listed:
            return
        self._listed.add(day)
        for kind in KINDS:
            rows = self.lists.read(PATH, INTENSIVE, "meetings", Days(day, day), type=kind, query_date_type="end_time")
            for row in rows:
                meeting = Meeting(row if isinstance(row, dict) else {"row": row}, day)
                self._look(meeting)
                yield meeting

    def _look(self, meeting: Meeting) -> None:
        """Learn from a row by which of its times it was listed."""
        if meeting.end is None or self._by_end is False:
            return
        if meeting.end.date() != meeting.day:
            if self._by_end:
                log.warning("Zoom lists some meetings by their end and others by their start")
            self._by_end = False
        elif meeting.start is not None and meeting.start.date() < meeting.day:
            self._by_end = True
