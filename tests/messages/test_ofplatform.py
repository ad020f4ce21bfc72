"""What the platform counts, against the definitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from harvesters.messages.analytics import ofplatform
from harvesters.messages.platform import Platform
from harvesters.messages.windows import Bounds
from harvesters.simulators.wenet.server import WenetSimulator
from harvesters.simulators.wenet.world import App, World, profile, task, transact
from tests.clocks import patient

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WINDOWS = [(None, 60), (20, 60), (40, 41), (30, 30), (0, 200), (99, 300)]
TODAY = date(2021, 7, 15)


def bounds(start: int | None, end: int) -> Bounds:
    """Seconds of the epoch, with an offset that is none of theirs."""
    first = EPOCH + timedelta(seconds=start) if start is not None else None
    return Bounds(first, EPOCH + timedelta(seconds=end))


@pytest.fixture(scope="module")
def world() -> World:
    random, made = Random(1), World()
    made.add(App("app", "Bot", {str(user): user for user in range(1, 40)}), App("other", "Other", {}))
    for number in range(300):
        created = random.randrange(120)
        closed = random.choice((None, created + random.randrange(-40, 60)))
        one = task(f"t{number}", random.choice(("app", "app", "other")), "1", "?", created, closed)
        for _ in range(random.randrange(3)):
            transact(one, random.choice(("answer", "report", "more")), "2", created + random.randrange(60), {})
        made.tasks.append(one)
    return made


@pytest.fixture(scope="module")
def platform(world: World) -> Iterator[Platform]:
    with WenetSimulator(world) as simulator, Platform(simulator.url, "platform-key", patient()) as client:
        yield client


@pytest.mark.parametrize("window", WINDOWS)
def test_tasks_by_when_they_were_created_and_closed(world: World, platform: Platform, window: Any) -> None:
    start, end = window
    since = start if start is not None else -100

    def count(is_one: Any) -> int:
        times = [(each["_creationTs"], each["closeTs"]) for each in world.tasks if each["appId"] == "app"]
        return sum(bool(is_one(created, closed if closed is not None else 10**9)) for created, closed in times)

    wanted = {
        "new": count(lambda created, closed: since <= created < end),
        "active": count(lambda created, closed: created < end and not closed < end),
        "new_active": count(lambda created, closed: since <= created < end and not closed < end),
        "closed": count(lambda created, closed: closed < end),
        "new_closed": count(lambda created, closed: since <= created < end and closed < end),
        "total": count(lambda created, closed: created < end and not closed < since),
    }
    assert {name: ofplatform.tasks(platform, "app", bounds(*window), name) for name in wanted} == wanted


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("only", [None, "t7"])
def test_transactions_in_the_window(world: World, platform: Platform, window: Any, only: str | None) -> None:
    start, end = window
    those = [
        done["label"]
        for one in world.tasks
        for done in one["transactions"]
        if one["appId"] == "app" and only in (None, one["id"]) and (start or 0) <= done["_creationTs"] < end
    ]
    assert ofplatform.transactions(platform, "app", bounds(*window), only) == len(those)
    assert ofplatform.labels(platform, "app", bounds(*window), only) == Counter(those)


@pytest.mark.parametrize(
    ("born", "group"),
    [
        ((2003, 7, 15), "0-18"),
        ((2002, 7, 16), "0-18"),
        ((2002, 7, 15), "19-25"),
        ((1995, 7, 16), "19-25"),
        ((1995, 7, 15), "26-35"),
        ((1995, 3, 30), "26-35"),  # the former service took off a year, as 30 is after 15
        ((1985, 7, 15), "36-45"),
        ((1975, 7, 15), "46-55"),
        ((1965, 7, 16), "46-55"),
        ((1965, 7, 15), "55+"),
        ((2021, 7, 15), "0-18"),
        ((2022, 1, 1), "unavailable"),
        ((2001, 2, 30), "unavailable"),
        ((None, 7, 15), "unavailable"),
        ((1990, None, None), "unavailable"),
        (("1990", "7", "15"), "unavailable"),
    ],
)
def test_age_is_in_whole_years(born: tuple[Any, ...], group: str) -> None:
    said = {"dateOfBirth": dict(zip(("year", "month", "day"), born, strict=True))}
    assert ofplatform.age_group(said, TODAY) == group


def test_who_is_born_on_the_last_of_february_is_older_on_the_first_of_march() -> None:
    said = {"dateOfBirth": {"year": 2000, "month": 2, "day": 29}}
    assert ofplatform.age_group(said, date(2019, 2, 28)) == "0-18"
    assert ofplatform.age_group(said, date(2019, 3, 1)) == "19-25"


def test_people_by_age_and_gender_with_every_group(world: World, platform: Platform) -> None:
    genders = ("M", "F", "O", "non-binary", "not-say", None, "X")
    for user in range(1, 30):  # the profiles of the rest are gone
        fields: dict[str, Any] = {
            "gender": genders[user % 7],
            "dateOfBirth": {"year": 1950 + 2 * user, "month": 1, "day": 1},
        }
        world.profiles[str(user)] = profile(str(user), **fields)
    found = ofplatform.genders(platform, "app", bounds(5, 35))
    wanted = Counter(
        {
            "M": "male",
            "F": "female",
            "O": "in-another-way",
            "non-binary": "non-binary",
            "not-say": "prefer-not-to-say",
        }.get(str(world.profiles[str(user)]["gender"]) if str(user) in world.profiles else "", "unavailable")
        for user in range(5, 35)
    )
    assert found == {**dict.fromkeys(found, 0), **wanted}
    ages = ofplatform.ages(platform, "app", bounds(5, 35), TODAY)
    assert [*ages] == ["0-18", "19-25", "26-35", "36-45", "46-55", "55+", "unavailable"]
    assert sum(ages.values()) == 30
    assert ages["unavailable"] == 5
    assert ofplatform.ages(platform, "other", bounds(0, 10), TODAY) == dict.fromkeys(ages, 0)
