"""How many children a request asks for."""

from __future__ import annotations

from harvesters.firebase.client import FirebaseClient
from harvesters.firebase.paging import FIRST, SMALL, PageSize
from harvesters.firebase.verbatim import parse_verbatim
from harvesters.firebase.walk import Walk
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.firebase.conftest import Connect, queries


def limits(server: FirebaseSimulator) -> list[int]:
    return [int(query["limitToFirst"]) for query in queries(server)]


def walked(client: FirebaseClient, size: PageSize) -> int:
    return sum(len(page.entries) for page in Walk(client, ("x",), size, parse_verbatim).pages())


def test_pages_grow_while_answers_are_small(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.load("/x", {f"k{number:06}": "v" * 380 for number in range(60_000)})
    assert walked(connect(), PageSize(None)) == 60_000
    asked = limits(firebase)
    assert asked[:4] == [1000, 2000, 4000, 8000]
    assert 9_000 < asked[-1] < SMALL / 380
    assert len(asked) <= 10


def test_pages_of_large_children_stay_small(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.load("/x", {f"k{number:04}": "v" * 10_000 for number in range(3000)})
    assert walked(connect(), PageSize(None)) == 3000
    assert set(limits(firebase)) <= {1000, *range(380, 1000)}


def test_pages_do_not_grow_beyond_what_is_quick() -> None:
    size = PageSize(None)
    for _ in range(20):
        size.learn(size.now, size.now * 10, size.now * 0.001)
    assert 2000 < size.now <= 4000, "2 s were quick, so twice as much was tried, and not more"


def test_pages_shrink_when_answers_become_slow() -> None:
    size = PageSize(None, 8000)
    size.learn(8000, 100_000, 40.0)
    assert size.now == 2000
    size.learn(2000, 100_000, 40.0)
    size.learn(1000, 100_000, 40.0)
    assert size.now == FIRST, "where every answer is slow fewer children do not help"


def test_a_limit_that_was_given_is_kept(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.load("/x", {f"k{number:04}": 1 for number in range(3000)})
    assert walked(connect(), PageSize(700)) == 3000
    assert set(limits(firebase)) == {700}


def test_after_a_refusal_pages_grow_with_patience(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.load("/x", {f"k{number:05}": "v" * 90 for number in range(20_000)})
    firebase.max_response = 60_000
    assert walked(connect(), PageSize(None)) == 20_000
    asked = limits(firebase)
    refusals = sum(limit * 100 > 60_000 for limit in asked)
    assert refusals < len(asked) / 3


def test_the_seconds_of_an_answer_are_measured(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.load("/x", {"a": 1})
    firebase.latency = 0.05
    assert connect().children(("x",), 10).seconds >= 0.05
