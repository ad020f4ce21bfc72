"""What services tell each other over a real Redis: all of it, once, and nothing where there is none."""

from __future__ import annotations

import logging
import time

import pytest

from harvesters.messages import notes
from harvesters.messages.notes import RedisNotes, SharedNotes
from harvesters.standins.redis import Redis
from tests.clocks import FakeClock
from tests.samples import logged


def of(url: str) -> RedisNotes:
    return RedisNotes(url, 5.0)


def test_each_hears_each_once(redis_url: str) -> None:
    one, two = of(redis_url), of(redis_url)
    assert one.hear() == two.hear() == []
    one.tell({"a": "monday", "b": "tuesday", "c": "monday"})
    two.tell({"a": "tuesday"})
    assert of(redis_url).hear() == [{"a": "monday", "b": "tuesday", "c": "monday"}, {"a": "tuesday"}]
    assert two.hear() == [{"a": "monday", "b": "tuesday", "c": "monday"}]
    assert one.hear() == [{"a": "tuesday"}]
    assert one.hear() == two.hear() == []
    one.tell({"d": "monday"})
    assert two.hear() == [{"d": "monday"}]


def test_one_that_starts_hears_what_others_said_before(redis_url: str) -> None:
    of(redis_url).tell({"a": "monday"})
    assert of(redis_url).hear() == [{"a": "monday"}]


def test_what_is_old_goes(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries go in blocks, of a hundred as Redis makes them."""
    monkeypatch.setattr(notes, "_KEPT", 20)
    one = of(redis_url)
    deadline = time.monotonic() + 30
    told = 0
    while told < 1000 or one.redis.xlen(notes._KEY) > 500:  # as many as are told in 20 ms, and less than two blocks
        assert time.monotonic() < deadline
        one.tell({"a": "monday"})
        told += 1
    monkeypatch.setattr(notes, "_KEPT", 30_000)
    one.tell({"b": "monday"})
    assert 0 < one.redis.pttl(notes._KEY) <= 30_000
    assert of(redis_url).hear()[-1] == {"b": "monday"}


def test_without_redis_it_is_said_once_until_it_answers_again() -> None:
    with Redis() as server, logged(level=logging.INFO) as records:
        one, two = SharedNotes(server.url, again=0.0), SharedNotes(server.url, again=0.0)
        one.tell({"a": "monday"})
        assert two.hear() == [{"a": "monday"}]
        server.stop()
        one.tell({"b": "monday"})
        assert two.hear() == one.hear() == []
        assert "may be there twice" in records[0].getMessage()
        server.start()
        one.tell({"c": "monday"})  # of another Redis, whose clock may be behind
        assert two.hear() == [{"c": "monday"}]
        assert [record.levelname for record in records] == ["WARNING"] * 2 + ["INFO"] * 2
        one.close()
        two.close()


def test_a_redis_that_is_away_is_asked_again_soon_and_one_that_refuses_is_not() -> None:
    """A connection that is refused costs nothing."""
    clock = FakeClock()
    with Redis() as server, logged(level=logging.INFO) as records:
        one, two = SharedNotes(server.url, 60.0, elapsed=clock.monotonic), of(server.url)
        server.stop()
        one.tell({"a": "monday"})
        server.start()
        clock.advance(1)
        one.tell({"b": "monday"})
        two.redis.config_set("maxmemory", 1)
        one.tell({"c": "monday"})
        two.redis.config_set("maxmemory", 0)
        clock.advance(59)
        one.tell({"d": "monday"})
        clock.advance(1)
        one.tell({"e": "monday"})
        assert two.hear() == [{"b": "monday"}, {"e": "monday"}]
        assert [record.levelname for record in records] == ["WARNING", "INFO"] * 2
        one.close()
        two.close()


def test_what_nobody_can_read_is_passed_over(redis_url: str) -> None:
    """As where services of two versions work side by side."""
    one = of(redis_url)
    for name, value in (("other", "x"), ("places", "no JSON"), ("places", "[1]")):
        one.redis.xadd(notes._KEY, {name: value})
    one.tell({"a": "monday"})
    assert [places for places in of(redis_url).hear() if places] == [{"a": "monday"}]
