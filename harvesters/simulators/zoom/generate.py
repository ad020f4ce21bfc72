"""A made-up account for one day, always the same for the same seed, with everything in it that has hurt a harvester."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from harvesters.simulators.zoom.data import (
    INSTANT,
    PERSONAL,
    RECURRING,
    RECURRING_FIXED,
    SCHEDULED,
    WEBINAR,
    Account,
    Meeting,
    Participant,
    User,
)

DAY = timedelta(days=1)
PLACES = (  # addresses of MaxMind's test database, and two that it does not know
    ("81.2.69.142", "London (GB )"),
    ("89.160.20.112", "Linköping (SE )"),
    ("216.160.83.56", "Milton (US )"),
    ("2.125.160.216", "Boxford (GB )"),
    ("203.0.113.7", "Vienna (AT )"),
    ("10.1.2.3", ""),
)
DEVICES = ("Windows", "Mac", "iOS", "Android", "Linux", "Phone", "Web Browser")
TYPES = (INSTANT, SCHEDULED, SCHEDULED, RECURRING, RECURRING_FIXED, PERSONAL)
ZOOM_IDS = 80_000_000_000  # eleven digits, more than 32 bits hold


def generate(
    *, meetings: int = 200, sessions: int = 4_000, day: date, seed: int = 1, hosts: int | None = None
) -> Account:
    """An account with exactly `meetings` meetings that ended on `day` (UTC), holding exactly `sessions` rows.

    Among them: one person's meetings (5 %), recurring instances and personal rooms that share an id, UUIDs with a
    slash in every position, one blank meeting in 500, some that last over a day, some that appear up to two hours
    late, the first ending at midnight sharp; guests, rejoins, breakout and waiting rooms. Around them, in nobody's
    count: meetings that ended the second before `day` and at its very end, webinars, and one that still runs. Raises
    `ValueError` when there are too few `sessions` for two to a meeting.
    """
    maker = _Maker(seed, day, hosts or max(3, meetings // 15))
    blanks = {index for index in range(meetings) if index % 500 == 40}
    alone = {index for index in range(meetings) if index % 20 == 7} - blanks
    sizes = maker.sizes(meetings, sessions, blanks, alone)
    account = Account(maker.users)
    for index, size in enumerate(sizes):
        account.add(maker.meeting(index, size, blank=index in blanks, alone=index in alone))
    account.add(*maker.bystanders(max(1, meetings // 100)))
    return account


class _Maker:
    def __init__(self, seed: int, day: date, hosts: int) -> None:
        self.random = random.Random(seed)
        self.midnight = datetime.combine(day, time(), UTC)
        self.users = [
            User(self.zoom_id(), f"host{index}@example.edu", f"Host {index}", 1 + index % 2) for index in range(hosts)
        ]
        self.students = [(self.zoom_id(), f"student{index}@example.edu") for index in range(hosts * 20)]
        self.rooms: list[tuple[int, User, str, int]] = []

    def sizes(self, meetings: int, sessions: int, blanks: set[int], alone: set[int]) -> list[int]:
        """How many rows each meeting gets: none, one, or two and a share of the rest."""
        sizes = [0 if index in blanks else 1 if index in alone else 2 for index in range(meetings)]
        rest = sessions - sum(sizes)
        shared = [index for index, size in enumerate(sizes) if size == 2]
        if rest < 0 or (rest and not shared):
            raise ValueError(f"{sessions} sessions do not fit {meetings} meetings")
        weights = [self.random.paretovariate(2) for _ in shared]
        for index in self.random.choices(shared, weights, k=rest):
            sizes[index] += 1
        return sizes

    def meeting(self, index: int, size: int, *, blank: bool, alone: bool) -> Meeting:
        """The meeting number `index` of the day; the first one ends at midnight sharp."""
        end = self.midnight + timedelta(seconds=self.random.randrange(86_400) if index else 0)
        long = index % 700 == 11
        lasted = timedelta(
            seconds=self.random.randrange(88_000, 107_000) if long else self.random.randrange(120, 9_000)
        )
        number, host, topic, kind = self.room(index)
        late = index % 100 == 13
        meeting = Meeting(self.uuid(index), number, host, topic, end - lasted, end, kind, blank_times=blank)
        meeting.visible_at = end + timedelta(seconds=self.random.randrange(60, 7_200)) if late else None
        meeting.participants = [] if blank else list(self.rows(meeting, end, size, alone))
        return meeting

    def bystanders(self, webinars: int) -> Iterator[Meeting]:
        """What a harvest of the day must not hold."""
        for number, end in enumerate((self.midnight - timedelta(seconds=1), self.midnight + DAY)):
            yield self.other(f"Neighbour {number}", end - timedelta(hours=1), end)
        for number in range(webinars):
            start = self.midnight + timedelta(seconds=self.random.randrange(80_000))
            yield self.other(f"Webinar {number}", start, start + timedelta(hours=1), WEBINAR)
        yield self.other("Still running", self.midnight + DAY - timedelta(minutes=50), None)

    def other(self, topic: str, start: datetime, end: datetime | None, kind: int = SCHEDULED) -> Meeting:
        number = ZOOM_IDS + self.random.randrange(5 * 10**9, 6 * 10**9)
        meeting = Meeting(self.uuid(6), number, self.random.choice(self.users), topic, start, end, kind)
        meeting.participants = list(self.rows(meeting, end or start + timedelta(days=400), 3, alone=False))
        return meeting

    def room(self, index: int) -> tuple[int, User, str, int]:
        """Numeric id, host, topic and type; one meeting in five is held in a room that was used before."""
        again = [room for room in self.rooms[-50:] if room[3] in (RECURRING, RECURRING_FIXED, PERSONAL)]
        if index % 5 == 3 and again:
            return self.random.choice(again)
        host = self.random.choice(self.users)
        room = (ZOOM_IDS + index * 7_919, host, f"Lecture {index} — Übung", TYPES[index % len(TYPES)])
        self.rooms.append(room)
        return room

    def rows(self, meeting: Meeting, end: datetime, size: int, alone: bool) -> Iterator[Participant]:
        """`size` rows: the host, a second person, then new people, rejoins, breakout rooms and waiting rooms."""
        seconds = int((end - meeting.start).total_seconds())
        crowded = size > seconds  # then nobody comes back: a person joins only once in any one second
        joins = self.random.choices(range(seconds), k=size) if crowded else self.random.sample(range(seconds), size)
        people: list[tuple[str, str, str, str, str]] = []
        for number in range(size):
            kind = self.random.random()
            fresh = number < 2 or kind < 0.7 or crowded
            person = self.person(meeting, number) if fresh else self.random.choice(people)
            people.append(person)
            participant_uuid, zoom_id, name, email, user_id = person
            begin = joins[number]
            place = self.random.choice(PLACES)
            yield Participant(
                user_id=user_id if kind < 0.85 else str(16_778_240 + number * 1_024),  # some rejoins get a new one
                participant_uuid=participant_uuid,
                name=name,
                join=meeting.start + timedelta(seconds=begin),
                leave=meeting.start + timedelta(seconds=self.random.randint(begin, seconds)),
                zoom_id=zoom_id,
                email=email,
                status="in_waiting_room" if not alone and number > 1 and kind > 0.95 else "in_meeting",
                bo_mtg_id=self.bo_id(meeting) if number > 1 and 0.75 < kind < 0.8 else "",
                device=DEVICES[number % len(DEVICES)],
                ip_address=place[0],
                location=place[1],
                network_type="Wifi" if number % 3 else "Wired",
                share_desktop=number == 0,
                recording=number == 0 and kind < 0.3,
            )

    def person(self, meeting: Meeting, number: int) -> tuple[str, str, str, str, str]:
        """participant_uuid, Zoom id, name, e-mail and user_id; two in five are guests, who have no id or e-mail."""
        participant_uuid = f"{self.random.getrandbits(128):032X}"
        user_id = str(16_778_240 + number * 1_024)
        if number == 0:
            return participant_uuid, meeting.host.id, meeting.host.name, meeting.host.email, user_id
        if self.random.random() < 0.4:
            return participant_uuid, "", f"Guest {number % 9}", "", user_id  # names repeat
        zoom_id, email = self.random.choice(self.students)
        return participant_uuid, zoom_id, email.partition("@")[0], email, user_id

    def bo_id(self, meeting: Meeting) -> str:
        return base64.b64encode(f"breakout {meeting.id}".encode()).decode()

    def zoom_id(self) -> str:
        return base64.urlsafe_b64encode(self.random.randbytes(16)).decode().rstrip("=")

    def uuid(self, index: int) -> str:
        """Zoom's form, base64 of 16 bytes; four in ten are given a slash or a plus where it hurts."""
        text = base64.b64encode(self.random.randbytes(16)).decode()
        match index % 10:
            case 0:
                return "/" + text[1:]
            case 1:
                return text[:7] + "//" + text[9:]
            case 2:
                return text[:5] + "/" + text[6:]
            case 3:
                return text[:3] + "+" + text[4:]
        return text
