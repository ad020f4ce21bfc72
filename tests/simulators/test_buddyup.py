"""Made-up BuddyUp events: deterministic, in order, complete, and as nasty as the real ones."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson
import pytest

from harvesters.firebase.pushid import is_push_id, push_ms
from harvesters.simulators.firebase.buddyup import LONGEST_TERM, SYSTEM, TYPES, classes, database, events, users
from harvesters.simulators.firebase.server import FirebaseSimulator

START, END = datetime(2015, 11, 1, tzinfo=UTC), datetime(2016, 2, 1, tzinfo=UTC)
Event = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def made() -> list[Event]:
    return list(events(5000, START, END, seed=7))


def test_the_same_seed_makes_the_same_events(made: list[Event]) -> None:
    assert list(islice(events(5000, START, END, seed=7), 200)) == made[:200]
    assert next(events(5000, START, END, seed=8)) != made[0]


def test_keys_are_unique_and_in_order_of_time(made: list[Event]) -> None:
    assert len({key for key, _ in made}) == len(made)
    pushed = [key for key, _ in made if is_push_id(key)]
    assert pushed == sorted(pushed)
    times = [value["created_at"] for _, value in made]
    assert times == sorted(times)
    assert START.timestamp() * 1000 <= times[0] <= times[-1] < END.timestamp() * 1000


def test_a_key_tells_when_its_event_was_made(made: list[Event]) -> None:
    for key, value in made:
        if value["type"] == "group_reminder":
            assert key == f"group-reminder-{value['data']['group_id']}-{value['created_at']}"
            assert value["creator"] == SYSTEM
        else:
            assert push_ms(key) == value["created_at"]
        assert value["order"] == 10_000_000_000_000 - value["created_at"]


def test_every_type_occurs_even_in_a_small_sample(made: list[Event]) -> None:
    assert [value["type"] for _, value in made[: len(TYPES)]] == list(TYPES)
    assert len(TYPES) == 31


def test_many_events_in_one_millisecond_keep_keys_of_their_own() -> None:
    instant = datetime(2016, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)
    keys = [key for key, _ in events(500, datetime(2016, 1, 1, tzinfo=UTC), instant) if is_push_id(key)]
    assert keys == sorted(set(keys))


def test_an_empty_window_or_one_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        next(events(1, END, START))
    with pytest.raises(ValueError, match="time zone"):
        next(events(1, datetime(2016, 1, 1), END))


def test_the_hazards_are_there(made: list[Event]) -> None:
    data = [value["data"] for _, value in made]
    assert {type(item["start_hour"]) for item in data if "start_hour" in item} == {str, int}
    assert {type(value["involved"]) for _, value in made if "involved" in value} == {str, dict}
    assert {type(item["params"]) for item in data if "params" in item} == {str, dict}
    attending = [item["event_data"]["group"]["attending"] for item in data if "event_data" in item]
    assert all(is_push_id(name) for names in attending for name in names)
    nested = [item for item in data if "profile" in item.get("profile", {})]
    assert any("profile" in item["profile"]["profile"].get("profile", {}) for item in nested)
    text = orjson.dumps(data).decode()
    assert all(f'"{secret}"' in text for secret in ("password", "uuid", "email", "body", "auth_token"))
    assert any("key" in value for _, value in made)


def test_long_bodies_are_made_on_request(made: list[Event]) -> None:
    def longest(some: list[Event]) -> int:
        return max(len(value["data"].get("body", "").encode()) for _, value in some)

    assert longest(made) < LONGEST_TERM
    assert longest(list(events(500, START, END, long_bodies=20))) > LONGEST_TERM


def test_an_event_is_about_as_large_as_buddyups(made: list[Event]) -> None:
    assert 400 <= len(orjson.dumps(dict(made))) / len(made) <= 460  # 73 MB / 168,000


def test_a_database_survives_storage_unchanged(made: list[Event]) -> None:
    whole = database(200, START, END, people=20, courses=10)
    with FirebaseSimulator() as simulator:
        for name, children in whole.items():
            simulator.load(name, children)
        assert simulator.value() == whole
        simulator.edit("/", whole)
        assert simulator.value() == whole


def test_profiles_and_classes_are_numbered_from_the_seed() -> None:
    people, courses = dict(users(50)), dict(classes(20))
    assert (len(people), len(courses)) == (50, 20)
    assert dict(users(50)) == people
    assert all(is_push_id(key) for key in people)
    assert all({"groups", "schools", "classes", "buddies", "buddies-outgoing"} <= one.keys() for one in people.values())
    assert all(one["news_feed"] and one["students"] for one in courses.values())
