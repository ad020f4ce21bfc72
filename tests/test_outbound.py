"""The way out: a letter's row gives the document that a straight run gives, and holds nothing that it must not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from harvesters import privacy, useragents
from harvesters.canonical import digest
from harvesters.document import Document
from harvesters.firebase import people
from harvesters.firebase.documents import EventMapper
from harvesters.firebase.elastic import reduced
from harvesters.indexing.messages import to_document
from harvesters.opencast import actions
from harvesters.outbound import Outbound, Pseudonymous, unpacked
from harvesters.pseudonyms import KEY, Key, Names, Pseudonyms
from harvesters.sinks.deadletters import DeadLetter
from harvesters.zoom.harvest import document_of as of_zoom
from harvesters.zoom.listed import ListedMeeting
from harvesters.zoom.state import RunState

SECRET = Key("k1", "0123456789abcdef")
MOMENT = "2026-02-13T09:00:00+00:00"
PLACE = {"ip": "203.0.113.7", "city_name": "Vienna"}


def outbound(*names: str, geoip: Any = None) -> Pseudonymous:
    return Pseudonymous(Pseudonyms(Names.parse(names), [SECRET]), lambda: geoip)


class Places:
    """Knows of each address that it is in Vienna."""

    def add_to(self, document: Document) -> None:
        document.body["geoip"] = {**PLACE, "ip": document.body["ip"]}


SESSION = {"sessionId": "M-session", "userId": "M-huid", "userIp": "203.0.113.7, 198.51.100.1, 198.51.100.2"}
ACTION: dict[str, Any] = {
    "id": 7,
    "mediapackageId": "mp",
    "type": "HEARTBEAT",
    "created": MOMENT,
    "inpoint": 1,
    "outpoint": 1,
    "length": 0,
    "isPlaying": True,
    "sessionId": {**SESSION, "userAgent": "Mozilla/5.0 (M-agent) Firefox/120.0"},
}
FLAT = {**{name: value for name, value in ACTION.items() if name != "sessionId"}, **ACTION["sessionId"]}
MEETING: dict[str, Any] = {
    "of": "meetings",
    "id": "m==",
    "row": {
        "uuid": "m==",
        "id": 88000000001,
        "host": "M-host",
        "email": "M-host@example.edu",
        "topic": "M-topic",
        "dept": "M-dept",
        "end_time": MOMENT,
    },
    "host": {"id": "M-host-id", "type": 2},
    "sessions": 1,
    "route": "dashboard",
    "filed": MOMENT,
}
PARTICIPANT: dict[str, Any] = {
    "of": "sessions",
    "id": "f" * 32,
    "meeting": "m==",
    "row": {
        "user_id": "M-user-id",
        "user_name": "M-guest",
        "email": "M-guest@example.edu",
        "ip_address": "203.0.113.7",
        "location": "M-town (AT )",
        "device": "M-device",
        "participant_uuid": "M-uuid",
        "join_time": MOMENT,
    },
    "route": "dashboard",
    "filed": MOMENT,
}
EVENT = {
    "key": "-K000000000000000000",
    "value": {
        "type": "heart",
        "creator": "M-creator",
        "first_name": "M-first",
        "involved": {"M-buddy": True, "M-other": True},
        "data": {"body": "M-body", "inner": [{"email": "M-x@example.edu"}]},
        "created_at": 1456700000000,
    },
}
PROFILE = {
    "key": "profile-1",
    "value": {
        "first_name": "M-first",
        "last_name": "M-last",
        "email": "M-p@example.edu",
        "buddies": {"M-buddy": {"user_id": "M-buddy", "accepted": True}},
        "classes": {"M-class": {"x": 1}},
    },
}
COURSE = {"key": "class-1", "value": {"name": "Class", "students": {"M-student": True, "M-second": True}}}

Map = Callable[[Any], Document | str]


def action(row: Any) -> Document | str:
    return actions.to_document(row, datetime.fromisoformat(MOMENT), {"title": "Lecture"})


def zoom(row: Any) -> Document | str:
    return of_zoom(row, lambda address: PLACE if address == "203.0.113.7" else None)


def event(row: Any) -> Document | str:
    return EventMapper(ZoneInfo("UTC")).document(row)


def message(row: Any) -> Document | str:
    return to_document(json.dumps(row), UTC)


PROFILES = people.EntityMapper("buddyupprofiles", people.indexed_profile).document
CLASSES = people.EntityMapper("buddyupclasses", people.course).document
MESSAGE = {"action_id": 7, "timestamp": MOMENT, "huid": "M-huid", "ip": "203.0.113.7", "useragent": "M-agent"}
PERSONAL = ("huid", "session_id", "useragent", "ip", "proxy*")

CASES: list[tuple[str, Map, dict[str, Any], tuple[str, ...]]] = [
    ("useractions", action, ACTION, PERSONAL),
    ("useractions", action, FLAT, PERSONAL),
    ("useractions", action, ACTION, ("huid",)),
    ("useractions", action, ACTION, ("proxy2", "ip")),
    ("useractions", message, MESSAGE, PERSONAL),
    ("zoom", zoom, MEETING, ("host.email", "name", "topic", "zoom.dept", "host_id")),
    ("zoom", zoom, PARTICIPANT, ("user_name", "zoom.email", "user_id", "ip_address", "device", "city")),
    ("zoom", zoom, MEETING, ("host", "zoom.id", "zoom.topic")),
    ("zoom", zoom, PARTICIPANT, ("email", "zoom.participant_uuid", "location")),
    ("buddyupevents", event, EVENT, ("creator", "first_name", "involved", "data.body", "email")),
    ("buddyupprofiles", PROFILES, PROFILE, ("first_name", "last_name", "email", "buddy_ids", "class_ids")),
    ("buddyupprofiles", PROFILES, PROFILE, ("first_name", "buddies.user_id", "email", "last_name", "classes.id")),
    ("buddyupclasses", CLASSES, COURSE, ("student_ids",)),
]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def in_order(body: dict[str, Any]) -> dict[str, Any]:
    """The lists that are made of the keys of maps come in the order of the keys."""
    lists = ("involved", "student_ids", "buddy_ids", "class_ids")
    return {name: sorted(value) if name in lists else value for name, value in body.items()}


@pytest.mark.parametrize(("kind", "mapping", "row", "names"), CASES)
def test_a_letter_gives_what_a_straight_run_gives(
    kind: str, mapping: Map, row: dict[str, Any], names: tuple[str, ...]
) -> None:
    out = outbound(*names, geoip=Places())
    made = mapping(row)
    assert isinstance(made, Document)
    clear = set(texts(made.body))
    (straight,) = out.documents([made])
    assert isinstance(straight, Document)
    hidden = {text for text in clear - set(texts(straight.body)) if "M-" in text or text[:1].isdigit()}
    assert hidden
    letter = out.letter(DeadLetter(kind, made.id, "refused", row), straight)
    assert letter.row[KEY] == straight.body[KEY] == "k1"
    said = json.dumps(letter.row)
    assert [text for text in hidden if text in said] == []
    bare, kept = unpacked(letter.row)
    again = mapping(bare)
    assert isinstance(again, Document)
    again.body.update(kept)
    (replayed,) = out.documents([again], again=True)
    assert isinstance(replayed, Document)
    assert (replayed.id, replayed.kind, replayed.timestamp) == (straight.id, straight.kind, straight.timestamp)
    assert in_order(replayed.body) == in_order(straight.body)
    assert out.letter(letter, replayed, again=True) is letter


@pytest.mark.parametrize(("kind", "mapping", "row", "names"), CASES)
def test_a_row_without_a_document_holds_nothing_either(
    kind: str, mapping: Map, row: dict[str, Any], names: tuple[str, ...]
) -> None:
    out = outbound(*names)
    made = mapping(row)
    assert isinstance(made, Document)
    clear = set(texts(made.body))
    (straight,) = out.documents([made])
    assert isinstance(straight, Document)
    hidden = {text for text in clear - set(texts(straight.body)) if "M-" in text or text[:1].isdigit()}
    quoted = sorted(hidden & set(texts(row)))
    letter = out.letter(DeadLetter(kind, "", f"cannot be read: {quoted!r}", row))
    said = json.dumps(letter.row) + letter.reason
    assert [text for text in hidden if text in said] == []


def test_an_address_is_looked_up_before_it_is_hidden() -> None:
    made = action(ACTION)
    (found,) = outbound("ip", geoip=Places()).documents([made])
    assert isinstance(found, Document)
    assert found.body["geoip"]["city_name"] == "Vienna"
    assert found.body["geoip"]["ip"] == found.body["ip"] == SECRET.pseudonym("203.0.113.7")


def test_a_browser_is_named_before_it_is_hidden() -> None:
    (found,) = outbound("useragent").documents([action(ACTION)])
    assert isinstance(found, Document)
    assert found.body["ua"]["name"] == "Firefox"
    assert "M-agent" not in json.dumps(found.body)


def test_what_is_done_is_not_done_again_but_what_a_source_says_is_done_is() -> None:
    body = {"huid": "1", KEY: "old"}
    out = outbound("huid")

    def made() -> list[Document | str]:
        return [Document("1", "useractions", datetime.now(UTC), dict(body))]

    (told,) = out.documents(made(), again=True)
    (forged,) = out.documents(made())
    assert isinstance(told, Document)
    assert isinstance(forged, Document)
    assert told.body == body
    assert forged.body == {"huid": SECRET.pseudonym("1"), KEY: "k1", f"{KEY}_raw": "old"}


def test_a_shared_episode_is_done_once() -> None:
    episode = {"title": "Lecture"}
    made: list[Document | str] = [
        Document(str(number), "useractions", datetime.now(UTC), {"episode": episode}) for number in range(2)
    ]
    found = outbound("episode.title").documents(made)
    bodies = [one.body["episode"]["title"] for one in found if isinstance(one, Document)]
    assert bodies == [SECRET.pseudonym("Lecture")] * 2
    assert episode == {"title": "Lecture"}


def test_a_document_that_was_written_already_is_written_anew() -> None:
    made = Document("1", "buddyupevents", datetime.now(UTC), {"creator": "M-creator"})
    _ = made.encoded
    outbound("creator").documents([made])
    assert b"M-creator" not in made.encoded
    assert reduced(made).body[KEY] == "k1"
    assert "M-creator" not in reduced(made).body["raw"]


def test_half_of_a_message_holds_nothing() -> None:
    text = '{"action_id": 7, "huid": "M-huid", "session": {"huid":10564389}, "ip": "203.0.113.7", "proxy1": ["M-p'
    letter = outbound("huid", "ip", "proxy*").letter(DeadLetter("useractions", "", "it is no JSON", text))
    assert not any(value in letter.row for value in ("M-huid", "10564389", "203.0.113.7", "M-p"))
    assert letter.row.startswith('{"action_id": 7, "huid": ')


def test_a_reason_that_cuts_a_long_value() -> None:
    value = "M-" + "x" * 80
    row = {"action_id": 7, "huid": value}
    reason = f"huid is {value!r:.60}"
    letter = outbound("huid").letter(DeadLetter("useractions", "7", reason, row))
    assert letter.reason == f"huid is '{SECRET.pseudonym(value)}"


def test_a_browser_is_not_looked_for_in_a_pseudonym() -> None:
    body = {"useragent": "f" * 32, "ua": {"name": "Firefox"}, KEY: "k1"}
    useragents.add_to(body)
    assert body["ua"] == {"name": "Firefox"}


def test_a_state_of_zoom_keeps_no_lists() -> None:
    state = RunState(listing={"parts": {"meetings": {"rows": [MEETING["row"]]}}})
    listed = ListedMeeting(MEETING["row"], date(2026, 2, 13))
    state.add(listed)
    clear = state.encode()
    state = replace(state, done={}, outbound=outbound("host.email"))
    state.add(listed)
    assert state.has(listed)
    assert state.encode()["listing"] == {}
    assert list(clear["done"].values()) != list(state.encode()["done"].values())


def test_logs_name_nobody() -> None:
    said = "/report/users/M-host-id/meetings was answered 404: User does not exist: ada@example.edu"
    try:
        privacy.hide_people(True)
        assert privacy.redact(said) == "/report/users/***/meetings was answered 404: User does not exist: ***"
    finally:
        privacy.hide_people(False)
    assert privacy.redact(said) == said


def test_two_processes_agree_on_what_leaves() -> None:
    assert outbound("huid", "ip").told() == outbound("ip", "huid").told()
    other = Pseudonymous(Pseudonyms(Names.parse(["huid", "ip"]), [Key("k1", "another-secret-of-16")]))
    several = [Outbound(), outbound("huid", "ip"), outbound("huid", "ip*"), other]
    assert len({str(each.told()) for each in several}) == 4
    assert SECRET.secret not in str(outbound("huid").told())


def test_nobody_tries_what_a_digest_was_made_of() -> None:
    content = b'{"huid": "10564389"}'
    assert Outbound().digest(content) == digest(content)
    assert outbound("huid").digest(content) not in (digest(content), outbound("huid").digest(content + b" "))
    other = Pseudonymous(Pseudonyms(Names.parse(["huid"]), [Key("k1", "another-secret-of-16")]))
    assert other.digest(content) != outbound("huid").digest(content)
