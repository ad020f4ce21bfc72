"""Made-up BuddyUp events: deterministic, in order, complete, and as nasty as the real ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any

import orjson
import pytest

from harvesters.firebase.pushid import is_push_id, push_ms
from harvesters.simulators.firebase.buddyup import (
    LONGEST_TERM,
    SYSTEM,
    TYPES,
    classes,
    database,
    events,
    living,
    users,
)
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.insights.made import rows

START, END = datetime(2015, 11, 1, tzinfo=UTC), datetime(2016, 2, 1, tzinfo=UTC)
Event = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def made() -> list[Event]:
    return list(events(5000, START, END, seed=7))


@pytest.fixture(scope="module")
def year() -> list[dict[str, Any]]:
    start, end = datetime(2015, 1, 5, tzinfo=UTC), datetime(2016, 1, 4, tzinfo=UTC)
    return [event for _, event in events(12_000, start, end, seed=3)]


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


class TestLife:
    """What makes charts of these events worth looking at."""

    @staticmethod
    def moments(year: list[dict[str, Any]], kind: str = "") -> list[datetime]:
        return [datetime.fromtimestamp(one["created_at"] / 1000, UTC) for one in year if kind in ("", one["type"])]

    def test_more_join_as_time_goes_by_most_when_a_term_begins(self, year: list[dict[str, Any]]) -> None:
        months = [at.month for at in self.moments(year, "account_created")]
        assert 2 * sum(month <= 6 for month in months) < sum(month > 6 for month in months)
        assert max(set(months), key=months.count) == 9
        assert all(months.count(month) for month in range(1, 13))

    def test_days_differ_from_nights_and_weekdays_from_weekends(self, year: list[dict[str, Any]]) -> None:
        at = self.moments(year)
        assert sum(9 <= one.hour < 21 for one in at) > 10 * sum(one.hour < 6 for one in at)
        assert sum(one.weekday() < 5 for one in at) / 5 > 1.3 * sum(one.weekday() >= 5 for one in at) / 2

    def test_the_funnel_narrows_and_nobody_is_his_own_buddy(self, year: list[dict[str, Any]]) -> None:
        steps = [row[2] for row in rows("funnel", {f"k{number:06}": event for number, event in enumerate(year)})]
        assert steps[0] > 200
        for before, after in pairwise(steps):
            assert 0.5 * before < after < 0.97 * before
        pairs = [(one["data"]["requested_by"], one["creator"]) for one in year[31:] if one["type"] == "buddied_up"]
        assert len(pairs) > 200
        assert all(asked != accepted for asked, accepted in pairs)

    def test_fewer_come_back_week_after_week(self, year: list[dict[str, Any]]) -> None:
        kept = rows("retention", {f"k{number:06}": event for number, event in enumerate(year)}, weeks=8)
        shares = [sum(row[3] for row in kept if row[2] == week and row[0] < "2015-11") for week in (0, 1, 4, 8)]
        assert shares == sorted(shares, reverse=True)
        assert 0.1 * shares[0] < shares[3] < 0.6 * shares[0]

    def test_cohorts_are_all_there_and_move(self, year: list[dict[str, Any]]) -> None:
        named = {f"k{number:06}": event for number, event in enumerate(year)}
        assert {row[1] for row in rows("cohorts", named) if row[2]} == {
            "daily",
            "weekly",
            "monthly",
            "once",
            "inactive",
        }
        assert len({(row[1], row[2]) for row in rows("cohorts", named, moves=True)}) > 15

    def test_schools_have_classes_of_their_own_and_moods(self, year: list[dict[str, Any]]) -> None:
        added = {(one["data"]["school_id"], one["data"]["course_id"]) for one in year if one["type"] == "added_class"}
        assert len({school for school, _ in added}) == 6
        assert len({course for _, course in added}) > 30
        assert all(course.startswith(f"{school}-") for school, course in added)
        said = {one["data"]["body"] for one in year if one["type"] == "chat_message"}
        assert {"love", "Terrible", "library"} <= {word for body in said for word in re.findall("[A-Za-z]+", body)}

    def test_a_database_that_grows_goes_on_at_its_pace_with_people_who_are_there(self) -> None:
        grown = list(islice(living(START, 30, seed=5), 600))
        times = [event["created_at"] for _, event in grown]
        assert times == sorted(times)
        assert START.timestamp() * 1000 <= times[0]
        assert times[-1] == pytest.approx(START.timestamp() * 1000 + 20 * 60_000, abs=2000)
        known = {id for id, _ in users(200, seed=5)}
        assert {event["creator"] for _, event in grown} <= {*known, SYSTEM}
        assert len({key for key, _ in grown}) == 600


def test_profiles_and_classes_are_numbered_from_the_seed() -> None:
    people, courses = dict(users(50)), dict(classes(20))
    assert (len(people), len(courses)) == (50, 20)
    assert dict(users(50)) == people
    assert all(is_push_id(key) for key in people)
    assert all({"groups", "schools", "classes", "buddies", "buddies-outgoing"} <= one.keys() for one in people.values())
    assert all(one["news_feed"] and one["students"] for one in courses.values())
