"""The people, classes and groups of a made-up BuddyUp: everything follows from a seed and a number.

Shapes are those of BuddyUp's real exports. Names, texts and addresses are invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from harvesters.firebase.pushid import PushIds

TEST_SCHOOLS = ("buddyup_org", "testcloud_io")
"""Those that BuddyUp's reports leave out."""

SCHOOLS = ("osu_edu",) * 6 + ("sydney_edu_au",) * 5 + TEST_SCHOOLS
LATER = ("osu_edu",) * 5 + ("sydney_edu_au",) * 4 + ("portland_edu",) * 3 + ("lakeside_edu",) * 2 + TEST_SCHOOLS
"""Two universities are there from the beginning; two more, when so many people and classes are."""

PEOPLE, COURSES, GROUPS = 2000, 300, 400
_FIRST_PEOPLE, _FIRST_COURSES = 40, 12

_FIRST = ("Ana", "Björn", "Chloé", "Dmitri", "Emma", "Fatima", "Grace", "Hiro", "Inés", "Jamal", "Kim", "Łukasz", "Mei")
_LAST = ("Nguyen", "O'Neil", "Park", "Quispe", "Rossi", "Smith", "Tanaka", "Ünal", "Vargas", "Wong", "Yildiz", "Zhou")
_SUBJECTS = ("BIO", "CHEM", "CS", "ECON", "ENGL", "HIST", "MATH", "PHYS", "PSYCH", "STAT")
_BIRTH_OF_BUDDYUP = 1_388_534_400_000  # 2014-01-01


@dataclass(frozen=True)
class Person:
    """A user."""

    id: str
    first_name: str
    last_name: str
    email: str
    school_id: str
    picture: str


@dataclass(frozen=True)
class Course:
    """A class at a school."""

    id: str
    subject: str
    code: str
    school_id: str


@lru_cache(maxsize=16_384)
def person(seed: int, number: int) -> Person:
    """The user with this number, from 0."""
    random, ident = _dice(seed, "user", number)
    first, last = random.choice(_FIRST), random.choice(_LAST)
    school = random.choice(SCHOOLS if number < _FIRST_PEOPLE else LATER)
    mail = f"user{number}@{school.replace('_', '.')}"
    return Person(ident, first, last, mail, school, f"https://pics.example.org/{number}.jpg")


@lru_cache(maxsize=16_384)
def course(seed: int, number: int) -> Course:
    """The class with this number, from 0."""
    random, _ = _dice(seed, "class", number)
    subject, code = random.choice(_SUBJECTS), str(random.randrange(100, 500))
    school = random.choice(SCHOOLS if number < _FIRST_COURSES else LATER)
    return Course(f"{school}-{subject}-{code}-{number}", subject, code, school)


@lru_cache(maxsize=16_384)
def group(seed: int, number: int) -> str:
    """The id of the study group with this number, from 0."""
    return _dice(seed, "group", number)[1]


def users(n: int, seed: int = 1) -> Iterator[tuple[str, dict[str, Any]]]:
    """`n` profiles by user id, as they lie under ``/users``: with feeds to drop, and with objects that mean lists."""
    for number in range(n):
        random, _ = _dice(seed, "profile", number)
        one = person(seed, number)
        yield (
            one.id,
            {
                "first_name": one.first_name,
                "last_name": one.last_name,
                "email": one.email,
                "bio": random.choice(("", "I like to study at night.", "Coffee first ☕", "New in town.")),
                "password": f"not-a-real-password-{number}",
                "created_at": _BIRTH_OF_BUDDYUP + number * 60_000,
                "profile_pic_url_tiny": one.picture,
                "schools": {one.school_id: {"id": one.school_id, "name": one.school_id.split("_")[0].upper()}},
                "classes": {some.id: _brief(some) for some in _courses(seed, random, 3)},
                "groups": {group(seed, random.randrange(GROUPS)): {"attending": True, "start_hour": str(number % 24)}},
                "buddies": {_friend(seed, random, n): {"accepted": True} for _ in range(3)},
                "buddies-outgoing": {_friend(seed, random, n): random.random() < 0.5},
                "events": {one.id: True},
                "pictures": {"tiny": one.picture},
            },
        )


def classes(n: int, seed: int = 1) -> Iterator[tuple[str, dict[str, Any]]]:
    """`n` classes by id, as they lie under ``/classes``, with their students and news feed."""
    for number in range(n):
        random, _ = _dice(seed, "roster", number)
        ids, one = PushIds(random), course(seed, number)
        posted = _BIRTH_OF_BUDDYUP + number * 3_600_000
        feed = {
            ids.next(posted + post * 60_000): {
                "type": "chat_message",
                "creator": _friend(seed, random, PEOPLE),
                "created_at": posted + post * 60_000,
                "data": {"class_id": one.id, "body": "Who has the slides?"},
            }
            for post in range(random.randrange(1, 4))
        }
        students = {_friend(seed, random, PEOPLE): True for _ in range(random.randrange(2, 8))}
        yield one.id, {**_brief(one), "school_id": one.school_id, "students": students, "news_feed": feed}


def _brief(one: Course) -> dict[str, Any]:
    return {"id": one.id, "course_id": one.id, "subject": one.subject, "code": one.code}


def _courses(seed: int, random: Random, n: int) -> list[Course]:
    return [course(seed, random.randrange(COURSES)) for _ in range(n)]


def _friend(seed: int, random: Random, n: int) -> str:
    return person(seed, random.randrange(n)).id


def _dice(seed: int, what: str, number: int) -> tuple[Random, str]:
    """A source of chance of its own for one thing, and the push id under which the thing was made."""
    random = Random(f"{seed}/{what}/{number}")
    return random, PushIds(random).next(_BIRTH_OF_BUDDYUP + number * 60_000)
