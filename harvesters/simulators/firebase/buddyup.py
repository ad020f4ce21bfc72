"""Made-up BuddyUp events, as they lie under ``/events`` of its Firebase: the same for the same seed, in order of time.

Shapes, field names and types are those of BuddyUp's real exports. They carry what makes such events hard to
index on purpose: one field with two types, push ids as field names, profiles in profiles, secrets, and on request
texts beyond Lucene's longest term. Who does what is the campus's (`buddyup_campus`), and when, the rhythm's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from random import Random
from typing import Any

from harvesters.firebase.pushid import PushIds
from harvesters.simulators.firebase.buddyup_campus import Campus, Deed
from harvesters.simulators.firebase.buddyup_rhythm import DAY, Rhythm, moments
from harvesters.simulators.firebase.buddyup_texts import written
from harvesters.simulators.firebase.buddyup_world import GROUPS, PEOPLE, Person, classes, group, users

__all__ = ["SYSTEM", "TYPES", "classes", "database", "events", "users"]

SYSTEM = "12391904!!! SYSTEM!! "
"""The creator of what nobody did."""

LONGEST_TERM = 32_766
"""Bytes of the longest term that Lucene indexes."""

Data = dict[str, Any]

_EACH = 35  # events of a person, in a sample that is small
_BROWSERS = (
    {"name": "Chrome", "version": "47.0"},
    {"name": "Safari", "version": 9},
    {"name": "Firefox", "version": "43"},
)
_MESSAGES = ("chat_message", "private_message")
_LIVING = 150  # people
_PAGES = ("classes", "buddies", "groups", "profile", "messages", "settings")


class _Scene:
    """Who does what to whom in one event."""

    def __init__(self, campus: Campus, deed: Deed, ms: int, long_body: bool) -> None:
        self.campus, self.deed, self.ms, self.long_body = campus, deed, ms, long_body
        self.random, self.seed, self.creator = campus.random, campus.seed, deed.who.person

    def somebody(self) -> Person:
        return self.campus.somebody()

    def partner(self) -> Person:
        """With whom it is done."""
        return self.deed.other or self.somebody()

    def course_id(self) -> str:
        """A class of the creator's: the newest, where one is added."""
        own = self.deed.who.classes
        return self.campus.course_of(self.creator, own[-1:] if self.deed.kind == "added_class" else own).id

    def group_id(self) -> str:
        return group(self.seed, int(self.random.random() * GROUPS))

    def body(self, about: str = "") -> str:
        text = written(self.random, self.ms, about)
        return text * (LONGEST_TERM // len(text.encode()) + 1) if self.long_body else text

    def coin(self) -> bool:
        return self.random.random() < 0.5


def _pair(role_one: str, role_two: str) -> Callable[[_Scene], Data]:
    """Two people in two roles, each with id, names and school."""

    def data(scene: _Scene) -> Data:
        return {**_named(role_one, scene.creator), **_named(role_two, scene.partner())}

    return data


def _named(role: str, one: Person) -> Data:
    return {role: one.id, f"{role}_first_name": one.first_name, f"{role}_last_name": one.last_name}


def _buddied_up(scene: _Scene) -> Data:
    """The one who was asked creates it."""
    return {**_named("requested_by", scene.partner()), **_named("accepted_by", scene.creator)}


def _chat_message(scene: _Scene) -> Data:
    where = {"class_id": scene.course_id()} if scene.coin() else {"group_id": scene.group_id()}
    return {**where, "body": scene.body(where.get("class_id", "")), "sent_at": scene.ms}


def _private_message(scene: _Scene) -> Data:
    other = scene.partner()
    return {
        "sender": scene.creator.id,
        "recipient": other.id,
        "thread_id": f"{scene.creator.id}{other.id}",
        "body": scene.body(),
        "sent_at": scene.ms,
    }


def _page_view(scene: _Scene) -> Data:
    page = scene.random.choice(_PAGES)
    seen = scene.deed.other is not None or scene.coin()
    params = {"course": scene.course_id(), "user_id": scene.partner().id} if seen else ""
    return {
        "page": page,
        "url": f"/#/{page}/{scene.random.randrange(10_000)}",
        "params": params,
        "browser": scene.random.choice(_BROWSERS),
    }


def _account(scene: _Scene) -> Data:
    one = scene.creator
    names = {"first_name": one.first_name, "last_name": one.last_name, "email": one.email}
    return {
        **names,
        "password": f"not-a-real-password-{scene.random.randrange(10_000)}",
        "auth_token": _jwt(scene.random),
    }


def _login(scene: _Scene) -> Data:
    return {"email": scene.creator.email, "browser": scene.random.choice(_BROWSERS)}


def _course(scene: _Scene) -> Data:
    return {"course_id": scene.course_id(), "subject_code": scene.random.choice(("BIO", "CS", "MATH"))}


def _group(scene: _Scene) -> Data:
    """`start_hour` and `end_hour` are text in one half of the groups and numbers in the other."""
    hour = scene.random.randrange(8, 20)
    hours: Data = {"start_hour": str(hour), "end_hour": f"{hour + 2}"}
    if scene.coin():
        hours = {"start_hour": hour, "end_hour": hour + 2}
    start = scene.ms + 86_400_000
    return {
        "group_id": scene.group_id(),
        "subject": scene.course_id() if scene.coin() else "open",
        "start": start,
        "end": start + 7_200_000,
        "where": "Library, 2nd floor",
        **hours,
    }


def _attendance(scene: _Scene) -> Data:
    """Push ids as field names: every person who attends is one more field."""
    attending = {scene.somebody().id: scene.coin() for _ in range(scene.random.randrange(1, 5))}
    owner = scene.somebody().id
    return {
        "group_id": scene.group_id(),
        "event_data": {"group": {"attending": attending, "creator": owner, "days": ["mon", "thu"]}},
    }


def _reminder(scene: _Scene) -> Data:
    return {"group_id": scene.group_id(), "start": scene.ms + 3_600_000, "where": "Library, 2nd floor"}


def _heart(scene: _Scene) -> Data:
    return {
        "on": scene.coin(),
        "target": scene.somebody().id,
        "event_id": group(scene.seed, scene.random.randrange(400)),
    }


def _device(scene: _Scene) -> Data:
    if scene.coin():
        return {"platform": "web"}
    uuid = f"{scene.random.getrandbits(128):032x}"
    return {
        "device": {"uuid": uuid, "platform": "iOS", "manufacturer": "Apple", "model": "iPhone7,2", "version": "9.2"}
    }


def _profile(scene: _Scene) -> Data:
    """A profile that holds itself up to four deep, with hours that are numbers here."""
    one = scene.creator
    data: Data = {}
    for depth in range(scene.random.randrange(1, 5)):
        inner = {"profile": data} if data else {}
        data = {"bio": f"Version {depth}", "start_hour": 8 + depth, "end_hour": 20, "email": one.email, **inner}
    return {"profile": data}


def _picture(scene: _Scene) -> Data:
    return {"profile_pic_url_tiny": scene.creator.picture, "profile_pic_url_medium": scene.creator.picture}


def _report(scene: _Scene) -> Data:
    return {"event_id": scene.group_id(), "reason": "spam"}


def _nothing(scene: _Scene) -> Data:
    return {"app_version": "1.4.2"}


TYPES: dict[str, tuple[int, Callable[[_Scene], Data]]] = {
    "page_view": (300, _page_view),
    "chat_message": (180, _chat_message),
    "private_message": (140, _private_message),
    "buddy_request": (90, _pair("requested_by", "target_to")),
    "buddied_up": (60, _buddied_up),
    "logged_in": (50, _login),
    "heart": (40, _heart),
    "added_class": (30, _course),
    "device_init": (25, _device),
    "group_reminder": (20, _reminder),
    "attending_group": (15, _attendance),
    "created_group": (12, _group),
    "update_profile": (12, _profile),
    "account_created": (10, _account),
    "signed_up": (10, _account),
    "thread_created": (8, _pair("sender", "recipient")),
    "updated_group": (5, _group),
    "update_profile_pic": (5, _picture),
    "dropped_class": (5, _course),
    "created_class": (4, _course),
    "cancel_group_attend": (4, _attendance),
    "ignored_request": (3, _pair("requested_by", "target_to")),
    "cancel_buddy_request": (3, _pair("requested_by", "target_to")),
    "unbuddied": (3, _pair("requested_by", "accepted_by")),
    "resend_verification_email": (2, _login),
    "blocked": (2, _pair("sender", "recipient")),
    "unblocked": (2, _pair("sender", "recipient")),
    "report_content": (2, _report),
    "cancel_report_content": (2, _report),
    "delete_account": (2, _nothing),
    "dev_database_reset": (2, _nothing),
}
"""Every type of event: how often (in about 1,000) and what its `data` holds."""

_LED_TO = ("account_created", "signed_up", "buddied_up", "delete_account")
_SPONTANEOUS = {kind: weight for kind, (weight, _) in TYPES.items() if kind not in _LED_TO}


def events(
    n: int, start: datetime, end: datetime, seed: int = 1, *, long_bodies: int = 0
) -> Iterator[tuple[str, dict[str, Any]]]:
    """`n` events (key, value) spread over ``[start, end)`` in order of time; the first of them are one of each type.

    Keys are push ids in the order of time, but ``group-reminder-<group>-<ms>`` for reminders. `long_bodies`: every so
    many messages one has a body beyond Lucene's longest term; 0 makes none. Raises ValueError for an empty window.
    """
    first, last = _ms(start), _ms(end)
    if first >= last:
        raise ValueError("the window of events is empty")
    random, rhythm = Random(f"{seed}/events"), Rhythm.of(first, last)
    people = max(8, min(PEOPLE, n // _EACH))
    campus = Campus(seed, random, _SPONTANEOUS, people, moments(rhythm.newcomers, people, Random(f"{seed}/joins")))
    ids, kinds, testers, messages = PushIds(random), list(TYPES), campus.testers(), 0
    for number, ms in enumerate(moments(rhythm.events, n, random)):
        deed = Deed(kinds[number], testers[number % 2]) if number < len(kinds) else campus.deed(ms)
        messages += deed.kind in _MESSAGES
        yield _event(campus, deed, ms, ids, bool(long_bodies) and messages % long_bodies == 0)


def living(start: datetime, per_minute: int, seed: int = 1) -> Iterator[tuple[str, dict[str, Any]]]:
    """So many events a minute from `start` on, without end, of people who are there already and some who join."""
    first, random = _ms(start), Random(f"{seed}/living")
    joins = (first + number * DAY // 10 for number in count(1))
    campus = Campus(seed, random, _SPONTANEOUS, _LIVING, joins)
    campus.open(first)
    ids = PushIds(random)
    for number in count():
        ms = first + int((number + random.random()) * 60_000 / per_minute)
        yield _event(campus, campus.deed(ms), ms, ids)


def database(
    n: int, start: datetime, end: datetime, seed: int = 1, *, people: int = 200, courses: int = 50
) -> dict[str, dict[str, Any]]:
    """A whole small database: ``events``, ``users`` and ``classes``."""
    return {
        "events": dict(events(n, start, end, seed)),
        "users": dict(users(people, seed)),
        "classes": dict(classes(courses, seed)),
    }


def _event(campus: Campus, deed: Deed, ms: int, ids: PushIds, long_body: bool = False) -> tuple[str, dict[str, Any]]:
    """Key and fields; `involved` is a string or an object, and some still hold the client's `key`."""
    scene, kind = _Scene(campus, deed, ms, long_body and deed.kind in _MESSAGES), deed.kind
    data = TYPES[kind][1](scene)
    one, chance = scene.creator, scene.random.random()
    data["school_id"] = one.school_id
    system = kind in ("group_reminder", "dev_database_reset")
    event: dict[str, Any] = {
        "app": "buddyup",
        "type": kind,
        "creator": SYSTEM if system else one.id,
        "created_at": scene.ms,
        "order": 10_000_000_000_000 - scene.ms,
        "data": data,
    }
    if not system:
        names = {"first_name": one.first_name, "last_name": one.last_name, "profile_pic_url_tiny": one.picture}
        event |= names
    if chance < 0.3:
        event["involved"] = scene.somebody().id
    elif chance < 0.4:
        event["involved"] = {scene.somebody().id: True, one.id: True}
    elif chance < 0.45:
        event["key"] = _jwt(scene.random)
    return f"group-reminder-{data['group_id']}-{ms}" if kind == "group_reminder" else ids.next(ms), event


def _jwt(random: Random) -> str:
    """What looks like a token and opens nothing."""
    return f"eyJhbGciOiJIUzI1NiJ9.{random.getrandbits(120):x}.{random.getrandbits(160):x}"


def _ms(when: datetime) -> int:
    if when.tzinfo is None:
        raise ValueError("the window of events needs a time zone")
    return int(when.timestamp() * 1000)
