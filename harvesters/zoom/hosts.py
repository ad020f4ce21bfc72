"""Whose meeting it was: host ids by ``/report/users``, one list for all, and not host by host."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from harvesters.errors import CredentialsRefused
from harvesters.zoom.client import encode_uuid
from harvesters.zoom.limits import HEAVY, LIGHT
from harvesters.zoom.listed import ListedMeeting
from harvesters.zoom.listing import Lists
from harvesters.zoom.ranges import Days
from harvesters.zoom.refusals import Misunderstood, Refusal

log = logging.getLogger(__name__)

PATH = "/report/users"
_PAST_MEETING = {"meeting:read:past_meeting:admin", "meeting:read:admin"}


@dataclass
class Hosts:
    """Finds host ids by e-mail address.

    Whoever has been deleted since is in no list of users. His id is asked for with one of his meetings, where the app
    may (``meeting:read:past_meeting``).
    """

    lists: Lists
    horizon: date
    missing: int = 0
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)
    _asked: list[Days] = field(default_factory=list)
    _may_ask: bool | None = None

    def find(self, meetings: list[ListedMeeting]) -> None:
        """Set the host of each meeting; {} where it cannot be found."""
        unknown = [meeting for meeting in meetings if _key(meeting) not in self._known]
        if unknown:
            self._list(_days(unknown, self.horizon))
            for meeting in unknown:
                self._ask(meeting)
        for meeting in meetings:
            meeting.host = self._known.get(_key(meeting), {})

    def _list(self, days: Days) -> None:
        """All that held a meeting which began on `days`."""
        if days in self._asked:
            return
        self._asked.append(days)
        for user in self.lists.read(PATH, HEAVY, "users", days, type="active"):
            if isinstance(user, dict) and user.get("email"):
                self._known[str(user["email"]).casefold()] = {"id": user.get("id"), "type": user.get("type")}

    def _ask(self, meeting: ListedMeeting) -> None:
        key = _key(meeting)
        if key in self._known:
            return
        self._known[key] = {}
        if self._may_ask is None:
            scopes = self.lists.client.scopes()
            self._may_ask = scopes is None or bool(scopes & _PAST_MEETING)
        if self._may_ask and meeting.uuid:
            try:
                answer = self.lists.client.get(f"/past_meetings/{encode_uuid(meeting.uuid)}", LIGHT)
                self._known[key] = {"id": answer.get("host_id")}
            except Misunderstood as refusal:
                if not refusal.of_one:
                    raise
                log.warning("no host id: %s", refusal)
            except Refusal as refusal:
                log.info("no host id: %s", refusal)
            except CredentialsRefused as error:
                self._may_ask = False
                log.warning("the ids of hosts that were deleted cannot be had: %s", error)
        if not self._known[key].get("id"):
            self.missing += 1


def _key(meeting: ListedMeeting) -> str:
    """The host's e-mail address, or the meeting itself where Zoom does not give one."""
    email = str(meeting.row.get("email") or "").casefold()
    return email or f"uuid {meeting.uuid}"


def _days(meetings: Iterable[ListedMeeting], horizon: date) -> Days:
    """From the first day that one of them began to the last, for reports go by the start."""
    found = [day for meeting in meetings for day in (meeting.day, (meeting.start or meeting.filed).date())]
    return Days(max(min(found), horizon), max(found))
