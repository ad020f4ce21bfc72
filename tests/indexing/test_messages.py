"""From a message to a document, with a literal sample for each age of message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from harvesters.indexing.messages import NoDocument, to_document
from harvesters.migration import upgrade
from tests.indexing.queues import action

ANCESTORS = """{"action_id": 1234, "timestamp": "2017-10-01T20:30:00-04:00", "mpid": "74b6c02f", "session_id": "1q2w3e",
 "huid": 10564389, "useragent": "Mozilla/5.0", "ip": "140.247.1.2", "proxy1": "10.0.0.5", "is_live": 1,
 "action": {"type": "HEARTBEAT", "inpoint": 30, "outpoint": 30, "length": 0, "is_playing": true},
 "episode": {"title": "Lecture 10", "duration": 3600000, "start": "2017-10-01T20:00:00Z", "course": "CSCI E-1",
 "series": 20180112345, "year": "2018", "term": "01", "cdn": "12345", "type": "L10", "description": null}}"""


def test_a_message_of_today_is_its_document() -> None:
    made = to_document(json.dumps(action(7)), UTC)
    assert (made.id, made.kind) == ("7", "useractions")
    assert made.timestamp == datetime(2026, 2, 13, 9, 7, tzinfo=UTC)
    assert made.body == action(7)


def test_a_message_of_a_named_opencast_gets_the_id_that_the_harvest_gave_it() -> None:
    made = to_document(json.dumps({**action(7), "source": "main-campus"}), UTC)
    assert made.id == "main-campus-7"
    assert made.body["source"] == "main-campus"


def test_a_message_of_the_ancestor_is_brought_into_todays_form() -> None:
    made = to_document(ANCESTORS, UTC)
    assert made.body["is_live"] is True
    assert made.body["episode"]["crn"] == "12345"
    assert "cdn" not in made.body["episode"]
    assert made.body["episode"]["series"] == "20180112345"
    assert made.body["huid"] == "10564389"
    assert made.body["proxy1"] == "10.0.0.5"
    assert made.body["timestamp"] == "2017-10-02T00:30:00+00:00"
    assert made.timestamp == datetime(2017, 10, 2, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("huid", ["None", ""])
def test_nobody_is_no_huid(huid: str) -> None:
    assert "huid" not in to_document(json.dumps(action(7, huid=huid)), UTC).body


def test_a_time_without_an_offset_is_in_the_given_zone() -> None:
    text = json.dumps(action(7, timestamp="2026-02-13T23:30:00"))
    assert to_document(text, ZoneInfo("America/New_York")).timestamp == datetime(2026, 2, 14, 4, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no json", "no JSON"),
        ("", "no JSON"),
        ('{"action_id": 1', "no JSON"),
        ("[1, 2]", "no JSON object but a list"),
        ("null", "no JSON object"),
        ("{}", "no action_id"),
        ('{"action_id": null, "timestamp": "2026-02-13T09:00:00Z"}', "no action_id"),
        ('{"action_id": "", "timestamp": "2026-02-13T09:00:00Z"}', "action_id is ''"),
        ('{"action_id": true, "timestamp": "2026-02-13T09:00:00Z"}', "action_id is True"),
        ('{"action_id": {}, "timestamp": "2026-02-13T09:00:00Z"}', "action_id is {}"),
        ('{"action_id": 1}', "no timestamp"),
        ('{"action_id": 1, "timestamp": "yesterday"}', "no date: 'yesterday'"),
        ('{"action_id": 1, "timestamp": 1760000000}', "no date: 1760000000"),
        ('{"action_id": 1, "timestamp": "0001-01-01T00:00:00+10:00"}', "no date"),
    ],
)
def test_what_is_no_document_says_why(text: str, reason: str) -> None:
    with pytest.raises(NoDocument, match=reason):
        to_document(text, UTC)


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        *((0, False), (1, True), ("0", False), ("1", True), ("true", True), ("false", False), ("True", True)),
        *((True, True), (False, False), (1.0, True), (2, 2), ("perhaps", "perhaps"), (None, None), ([], [])),
    ],
)
def test_booleans(value: Any, meaning: Any) -> None:
    made = upgrade.boolean(value)
    assert made == meaning
    assert type(made) is type(meaning)


def test_what_is_missing_or_odd_is_left_to_the_mapping() -> None:
    odd = {"action_id": 1, "timestamp": "2026-02-13T09:00:00+00:00", "episode": "none", "action": None}
    assert to_document(json.dumps(odd), UTC).body == odd
    both = {**odd, "episode": {"cdn": "old", "crn": "new"}}
    assert to_document(json.dumps(both), UTC).body["episode"] == {"crn": "new"}
