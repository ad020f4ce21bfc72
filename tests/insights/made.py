"""Events by hand and by chance, and their answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from harvesters.insights.answers import INSIGHTS
from harvesters.insights.calendar import Calendar
from harvesters.insights.events import Reading
from harvesters.insights.history import History
from harvesters.insights.question import Question
from harvesters.insights.store import Store

UTC_ZONE = ZoneInfo("UTC")
NOW = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
PEOPLE = ("ana", "bob", "eve", "zoë", "'; --", "a,b\n<i>", "\u2028 🎉", "tim", "")
SCHOOLS = ("osu_edu", "osu_edu", "sydney_edu_au", 'x "y"', "buddyup_org", None)
CLASSES = ("osu-BIO", 17, "17", "a,b", None)
TYPES = (
    *("account_created", "signed_up", "added_class", "buddy_request", "private_message", "page_view"),
    *("buddied_up", "buddied_up", "buddied_up", "unbuddied", "chat_message", "created_group", "delete_account"),
)


def ms(text: str, zone: ZoneInfo = UTC_ZONE) -> int:
    """The instant, in milliseconds since 1970."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)


def event(type: str, creator: Any, at: str | int, **data: Any) -> dict[str, Any]:
    """An event as the database has it."""
    created = ms(at) if isinstance(at, str) else at
    return {"type": type, "creator": creator, "created_at": created, "data": data}


def buddied(one: str, other: str, at: str | int, type: str = "buddied_up") -> dict[str, Any]:
    return event(type, other, at, requested_by=one, accepted_by=other)


def by_key(*events: Any) -> dict[str, Any]:
    """The events under keys in their order."""
    return {f"k{number:03}": each for number, each in enumerate(events)}


@contextmanager
def history(
    events: dict[str, Any], question: Question, zone: ZoneInfo = UTC_ZONE, clock: int = NOW
) -> Iterator[History]:
    """What is known of `events`."""
    with Store(Calendar(zone), "256MB") as store:
        reading = Reading()
        store.add(reading.event(key, value) for key, value in events.items())
        store.settle(clock)
        yield History(store, question.end, question.test_schools)


def rows(
    name: str, events: dict[str, Any], zone: ZoneInfo = UTC_ZONE, clock: int = NOW, **asked: Any
) -> list[tuple[Any, ...]]:
    """The rows of an answer; options as the answer's own defaults have them."""
    asked = {"test_schools": ("buddyup_org", "testcloud_io"), **defaults(name), **asked}
    question = Question(**asked)
    with history(events, question, zone, clock) as known:
        return INSIGHTS[name].answer(known, question).rows


def defaults(name: str) -> dict[str, Any]:
    return {option: value for option, value in INSIGHTS[name].options.items() if option != "score"}


def by_chance(seed: int, number: int, span: int, grain: int) -> dict[str, Any]:
    """That many events within `span` milliseconds of a change of clocks, at multiples of `grain`; few are tidy."""
    random = Random(seed)
    middle = ms("2016-03-13T10:00:00")
    found: dict[str, Any] = {}
    for index in random.sample(range(number), number):
        people = [random.choice(PEOPLE) for _ in range(3)]
        data: Any = {
            "school_id": random.choice(SCHOOLS),
            random.choice(("class_id", "course_id", "id")): random.choice(CLASSES),
        }
        for role in ("requested_by", "accepted_by", "target_to", "sender", "recipient"):
            if random.random() < 0.7:
                data[role] = random.choice(PEOPLE)
        data["params"] = {"user_id": people[1], "course": random.choice(CLASSES)} if random.random() < 0.7 else ""
        data["subject"] = random.choice(("open", *CLASSES))
        made: Any = event(
            random.choice(TYPES),
            people[0],
            (middle + random.randrange(-span, span)) // grain * grain,
            **data,
        )
        if random.random() < 0.5:
            made["sentiment"] = {"polarity": random.choice((-40.5, 0, 10)), "subjectivity": 30.25}
        chance = random.random()
        if chance < 0.1:
            made["data"] = random.choice(("text", ["a"], None))
        elif chance < 0.13:
            made["created_at"] = random.choice((0, None, "soon", 1924992000000))
        elif chance < 0.15:
            made["creator"] = random.choice((None, 5, "12391904!!! SYSTEM!! "))
        elif chance < 0.16:
            made = random.choice(("text", 7, ["a"]))
        found[f"k{index:03}"] = made
    return found
