"""The Report route to meetings, for accounts without the Dashboard: the meetings of each host who held any."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from harvesters.timespan import Window, day_window
from harvesters.zoom.client import encode_uuid
from harvesters.zoom.gather import gather
from harvesters.zoom.hosts import PATH as USERS
from harvesters.zoom.limits import HEAVY
from harvesters.zoom.listing import Lists, Meeting, in_chunk
from harvesters.zoom.ranges import Days
from harvesters.zoom.refusals import NoSuchUser

KINDS = ("past", "pastOne")
_WEBINARS = {5, 6, 9}
_AT_ONCE = 7  # days; a host costs two calls however many days are asked for, and all their rows are held


@dataclass
class Report:
    """Reports go by the start of a meeting, so the days are listed from as far back as a meeting can last.

    Attributes:
        strangers: hosts that were listed but could not be asked for.
        webinars: rows left out, for reports list webinars among the meetings.
    """

    lists: Lists
    horizon: date
    pool: Executor
    name: str = "report"
    needs: tuple[tuple[str, str], ...] = (
        ("report:read:list_users:admin", "report:read:admin"),
        ("report:read:user:admin", "report:read:admin"),
        ("report:read:list_meeting_participants:admin", "report:read:admin"),
    )
    strangers: int = 0
    webinars: int = 0

    def chunk(self, start: datetime, end: datetime) -> Window:
        """Up to the end of the seventh UTC day."""
        last = start.astimezone(UTC).date() + timedelta(days=_AT_ONCE - 1)
        return Window(start, min(end, day_window(last, UTC).end))

    def meetings(self, chunk: Window, until: datetime) -> list[Meeting]:
        """What every host held, listed to its end."""
        days = Days.of(chunk)
        asked = Days(max(days.before().first, self.horizon), days.last)
        users = [user for user in self.lists.read(USERS, HEAVY, "users", asked, type="active") if _id(user)]
        questions = ((user, kind) for user in users for kind in KINDS)
        found: list[Meeting] = []
        for rows in gather(self.pool, lambda question: self._held(*question, asked), questions, ahead=96):
            for meetings in rows:
                found += meetings
        return in_chunk(iter(found), chunk)

    def participants(self, uuid: str) -> list[Any]:
        """Given for meetings of two or more people only."""
        path = f"/report/meetings/{encode_uuid(uuid)}/participants"
        return self.lists.client.drain(path, HEAVY, "participants")

    def find_hosts(self, meetings: list[Meeting]) -> None:
        """They are known: it was by them that the meetings were found."""

    def _held(self, user: dict[str, Any], kind: str, asked: Days) -> list[Meeting]:
        host = {"id": user.get("id"), "type": user.get("type")}
        try:
            rows = self._rows(user, kind, asked)
            return [Meeting(row, day, host) for row in rows for day in self._day(user, kind, row, asked)]
        except NoSuchUser:
            self.strangers += 1
            return []

    def _rows(self, user: dict[str, Any], kind: str, days: Days) -> list[dict[str, Any]]:
        path = f"{USERS}/{quote(_id(user), safe='')}/meetings"
        rows = [
            row if isinstance(row, dict) else {"row": row}
            for row in self.lists.read(path, HEAVY, "meetings", days, type=kind)
        ]
        kept = [row for row in rows if row.get("type") not in _WEBINARS]
        self.webinars += len(rows) - len(kept)
        return kept

    def _day(self, user: dict[str, Any], kind: str, row: dict[str, Any], asked: Days) -> Iterator[date]:
        """The day that lists a row: where it has no times, each is asked for alone."""
        meeting = Meeting(row, asked.first)
        known = meeting.start or meeting.end
        if known is not None:
            yield known.date()
            return
        for day in asked:
            if any(other.get("uuid") == row.get("uuid") for other in self._rows(user, kind, Days(day, day))):
                yield day
                return


def _id(user: Any) -> str:
    return str(user.get("id") or user.get("email") or "") if isinstance(user, dict) else ""
