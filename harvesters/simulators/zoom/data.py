"""What a simulated Zoom account holds: users, meetings (one object per instance) and participant rows.

Everything the API can do to the data (blank times, one-person lists, guests without ids) starts from these nouns;
`Account.expected` is the list that a harvester is measured against.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harvesters.simulators.zoom.errors import ZoomError

INSTANT, SCHEDULED, RECURRING, PERSONAL, WEBINAR, RECURRING_FIXED = 1, 2, 3, 4, 5, 8
"""Zoom's meeting types."""


@dataclass(frozen=True, slots=True)
class User:
    """A host. A `deleted` one is missing from every list of users, while his meetings are still there."""

    id: str
    email: str
    name: str
    type: int = 2
    dept: str = ""
    deleted: bool = False


@dataclass(slots=True)
class Participant:
    """One row: one stay of one person. A rejoin, a breakout room or the waiting room makes another row.

    `user_id` is unique only inside one meeting instance. `zoom_id` is ``""`` for a guest, as is `email` since 2022.
    `odd` replaces fields of the row as it is answered; the leave time is ``""`` until `leave_known_at`.
    """

    user_id: str
    participant_uuid: str
    name: str
    join: datetime
    leave: datetime
    zoom_id: str = ""
    email: str = ""
    status: str = "in_meeting"
    bo_mtg_id: str = ""
    device: str = "Windows"
    ip_address: str = "203.0.113.7"
    location: str = "Vienna (AT )"
    network_type: str = "Wifi"
    leave_reason: str = "left the meeting."
    share_desktop: bool = False
    recording: bool = False
    odd: dict[str, Any] = field(default_factory=dict)
    leave_known_at: datetime | None = None


@dataclass(slots=True)
class Meeting:
    """One instance of a meeting (or webinar). `end` is None while nobody knows when it will end.

    `visible_at` hides it from every answer until then (data lands late). `blank_times` answers ``""`` for its times and
    duration and 0 participants, though it is filed under its real times; `end_known_at` answers ``""`` for its end and
    duration until then. `details_missing` answers 3001 when its participants are asked for. `odd` replaces fields of
    its row as it is answered.
    """

    uuid: str
    id: int
    host: User
    topic: str
    start: datetime
    end: datetime | None
    type: int = SCHEDULED
    participants: list[Participant] = field(default_factory=list)
    visible_at: datetime | None = None
    blank_times: bool = False
    details_missing: bool = False
    end_known_at: datetime | None = None
    odd: dict[str, Any] = field(default_factory=dict)

    def visible(self, now: datetime) -> bool:
        """Zoom has it by `now`."""
        return self.visible_at is None or self.visible_at <= now

    def ended(self, now: datetime) -> bool:
        """It is over, and Zoom's reports have it."""
        return self.end is not None and self.end <= now and self.visible(now)

    def live(self, now: datetime) -> bool:
        """It is running."""
        return self.start <= now and (self.end is None or self.end > now) and self.visible(now)

    @property
    def webinar(self) -> bool:
        """The report route lists webinars among the meetings; the Dashboard does not."""
        return self.type == WEBINAR

    @property
    def people(self) -> int:
        """How many different people were in it; who only sat in the waiting room does not count."""
        return len({row.participant_uuid for row in self.participants if row.status == "in_meeting"})

    @property
    def one_person(self) -> bool:
        """``type=past`` omits it, ``type=pastOne`` has nothing else."""
        return self.people < 2 and not self.blank_times


class Account:
    """Users and meetings with the indexes the routes need. Add with `add`; change the rows of a meeting freely."""

    def __init__(
        self, users: Iterable[User] = (), meetings: Iterable[Meeting] = (), foreign_users: Iterable[str] = ()
    ) -> None:
        self.users: dict[str, User] = {user.id: user for user in users}
        self.foreign_users = set(foreign_users)
        """Ids that exist in another account (error 1010)."""
        self.refused: dict[str, ZoomError] = {}
        """What is answered to a call for one meeting (by UUID) or one host (by id)."""
        self.meetings: list[Meeting] = []
        self.by_uuid: dict[str, Meeting] = {}
        self.by_id: defaultdict[int, list[Meeting]] = defaultdict(list)
        self.by_host: defaultdict[str, list[Meeting]] = defaultdict(list)
        self.by_guest: defaultdict[str, list[Meeting]] = defaultdict(list)
        self.add(*meetings)

    def add(self, *meetings: Meeting) -> None:
        """Take meetings in; their hosts become users. A UUID that is already there is refused with `ValueError`."""
        for meeting in meetings:
            if meeting.uuid in self.by_uuid:
                raise ValueError(f"two meetings have the UUID {meeting.uuid}")
            self.users.setdefault(meeting.host.id, meeting.host)
            self.meetings.append(meeting)
            self.by_uuid[meeting.uuid] = meeting
            self.by_id[meeting.id].append(meeting)
            self.by_host[meeting.host.id].append(meeting)
            for zoom_id in {row.zoom_id for row in meeting.participants} - {"", meeting.host.id}:
                self.by_guest[zoom_id].append(meeting)

    def user(self, key: str) -> User | None:
        """The user with this id or e-mail address, unless deleted."""
        user = self.users.get(key) or next((one for one in self.users.values() if one.email == key), None)
        return None if user is None or user.deleted else user

    def instances(self, key: str) -> list[Meeting]:
        """The meetings meant by a numeric id (all its instances) or by a UUID (one)."""
        if key.isdigit():
            return list(self.by_id.get(int(key), ()))
        return [self.by_uuid[key]] if key in self.by_uuid else []

    def expected(
        self, start: datetime, end: datetime, *, now: datetime | None = None, webinars: bool = False
    ) -> list[Meeting]:
        """The meetings that ended in ``[start, end)``, by end time: what a harvest of that window must hold.

        One-person meetings and blank ones (by their real times) are among them. With `now`, only those that Zoom has
        by then.
        """
        found = [
            (meeting.end, meeting.uuid, meeting)
            for meeting in self.meetings
            if meeting.end is not None
            and start <= meeting.end < end
            and (webinars or not meeting.webinar)
            and (now is None or meeting.ended(now))
        ]
        return [meeting for _, _, meeting in sorted(found, key=lambda row: row[:2])]

    def expected_sessions(
        self, start: datetime, end: datetime, *, now: datetime | None = None
    ) -> list[tuple[Meeting, Participant]]:
        """The participant rows of `expected`, without those of meetings whose details Zoom does not give."""
        return [
            (meeting, row)
            for meeting in self.expected(start, end, now=now)
            if not meeting.details_missing
            for row in meeting.participants
        ]
