"""The Report route to meetings, for accounts without the Dashboard: the meetings of each host who held any."""

from __future__ import annotations

import logging
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import date, datetime
from threading import Lock
from typing import Any
from urllib.parse import quote

from harvesters.timespan import Window
from harvesters.zoom.client import encode_uuid
from harvesters.zoom.gather import gather
from harvesters.zoom.hosts import PATH as USERS
from harvesters.zoom.limits import HEAVY
from harvesters.zoom.listed import ListedMeeting
from harvesters.zoom.listing import Lists, TooMany, in_chunk, locate
from harvesters.zoom.notebook import MOST_ROWS
from harvesters.zoom.packed import PackedRows
from harvesters.zoom.ranges import Days
from harvesters.zoom.refusals import Misunderstood, NoSuchMeeting, NoSuchUser, NotAMeeting, check_share
from harvesters.zoom.values import integer

log = logging.getLogger(__name__)

KINDS = ("past", "pastOne")
_WEBINARS = {5, 6, 9}
_WEEK = 7  # days


@dataclass
class ReportRoute:
    """Reports go by the start of a meeting, so the days are listed from as far back as a meeting can last.

    Attributes:
        asked: hosts whose meetings were asked for.
        strangers: those of them that are gone, or of another account.
        refused: those that Zoom refuses for any other reason.
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
    asked: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    webinars: int = 0
    _lock: Lock = field(default_factory=Lock, init=False)

    def meetings(self, chunk: Window, until: datetime) -> list[ListedMeeting]:
        """What every host held, listed to its end."""
        days, notebook = Days.of(chunk), self.lists.notebook
        asked = days if notebook.follows(days) else Days(max(days.before().first, self.horizon), days.last)
        users = self.users(asked)
        self._check(users, days)
        questions = ((user, kind) for user in users for kind in KINDS)
        listed = list(notebook.carried) if notebook.follows(days) else []
        for held in gather(self.pool, lambda question: self._held(*question, asked), questions, ahead=96):
            for meetings in held:
                listed += meetings
        self.asked.update(map(_id, users))
        check_share("hosts", len(self.refused), len(self.asked - self.strangers))
        later = [meeting for meeting in listed if meeting.end is not None and chunk.end <= meeting.end < until]
        notebook.carry(days, later)
        return in_chunk(listed, chunk)

    def users(self, days: Days) -> list[dict[str, Any]]:
        """Who held a meeting that began on `days`."""
        users = self.lists.read(USERS, HEAVY, "users", days, type="active")
        return list({_id(user): user for user in users if _id(user)}.values())

    def _check(self, users: list[dict[str, Any]], days: Days) -> None:
        """Raise `TooMany` where `days` hold more than is listed at once; where nobody says how many, a week is."""
        if len(days) == 1:
            return
        counts = [integer(user.get("meetings")) for user in users]
        if any(count is None for count in counts) and len(days) > _WEEK:
            raise TooMany(MOST_ROWS * len(days) // _WEEK)
        if (held := sum(count or 0 for count in counts)) > MOST_ROWS:
            raise TooMany(held)

    def participants(self, uuid: str) -> PackedRows:
        """Given for meetings of two or more people only."""
        path = f"/report/meetings/{encode_uuid(uuid)}/participants"
        return self.lists.client.drain(path, HEAVY, "participants")

    def find_hosts(self, meetings: list[ListedMeeting]) -> None:
        """They are known: it was by them that the meetings were found."""

    def _held(self, user: dict[str, Any], kind: str, asked: Days) -> list[ListedMeeting]:
        host = {"id": user.get("id"), "type": user.get("type")}
        try:
            meetings = [ListedMeeting(row, asked.first, host) for row in self._rows(user, kind, asked)]
            with self._lock:  # hosts are asked for at once
                self.webinars += sum(_webinar(meeting.row) for meeting in meetings)
            meetings = [meeting for meeting in meetings if not _webinar(meeting.row)]
            blank = {meeting.key for meeting in meetings if meeting.start is None and meeting.end is None}
            where = locate(blank, asked, lambda days: self._keys(user, kind, days))
        except (NoSuchUser, NoSuchMeeting, NotAMeeting) as refusal:
            log.info("a host whose meetings cannot be had: %s", refusal)
            self.strangers.add(_id(user))
            return []
        except Misunderstood as refusal:
            if not refusal.of_one:
                raise
            with self._lock:  # his two lists are asked for at once
                news = _id(user) not in self.refused
                self.refused.add(_id(user))
            if news:
                log.warning("a host is skipped: %s", refusal)
            return []
        for meeting in meetings:
            known = meeting.start or meeting.end
            meeting.day = known.date() if known is not None else where[meeting.key]
        return meetings

    def _keys(self, user: dict[str, Any], kind: str, days: Days) -> set[str]:
        return {ListedMeeting(row, days.first).key for row in self._rows(user, kind, days)}

    def _rows(self, user: dict[str, Any], kind: str, days: Days) -> list[dict[str, Any]]:
        path = f"{USERS}/{quote(_id(user), safe='')}/meetings"
        rows = self.lists.read(path, HEAVY, "meetings", days, type=kind)
        return [row if isinstance(row, dict) else {"row": row} for row in rows]


def _webinar(row: dict[str, Any]) -> bool:
    return integer(row.get("type")) in _WEBINARS


def _id(user: Any) -> str:
    return str(user.get("id") or user.get("email") or "") if isinstance(user, dict) else ""
