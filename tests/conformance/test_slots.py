"""The contract of `harvesters.rate.Slots`, over this process's memory and over Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harvesters.clock import SystemClock
from harvesters.rate import Allowance, DaySpent, MemorySlots, RedisSlots, SharedSlots, Slots
from harvesters.standins.redis import Redis
from tests.clocks import FakeClock
from tests.samples import logged

Make = Callable[[], Slots]
FAST = Allowance("t:fast", 3, 0.2, 0.02)
SLOW = Allowance("t:slow", 2, 60.0, 2.0)


@pytest.fixture(params=["memory", "redis"])
def slots(request: pytest.FixtureRequest) -> Slots:
    if request.param == "memory":
        return MemorySlots(SystemClock())
    return RedisSlots(request.getfixturevalue("redis_url"))


def test_as_many_as_the_limit_go_at_once_and_the_next_waits(slots: Slots) -> None:
    assert [slots.claim(SLOW, str(number)) for number in range(2)] == [0, 0]
    assert 50 < slots.claim(SLOW, "2") <= 62


def test_a_call_is_let_in_once_the_period_and_the_slack_are_over(slots: Slots) -> None:
    for number in range(3):
        assert slots.claim(FAST, str(number)) == 0
    wait = slots.claim(FAST, "3")
    assert 0 < wait <= 0.22
    time.sleep(wait + 0.005)  # the clock is the store's own, such as that of Redis, and nobody sets it
    assert slots.claim(FAST, "3") == 0


def test_an_answer_that_was_quick_takes_the_slack_back(slots: Slots) -> None:
    slow = Allowance("t:answered", 1, 60.0, 20.0)
    assert slots.claim(slow, "a") == 0
    slots.arrived(slow, "a", 0.0)
    assert 58 < slots.claim(slow, "b") <= 60
    later = Allowance("t:late", 1, 60.0, 20.0)
    assert slots.claim(later, "a") == 0
    slots.arrived(later, "a", 5.0)
    assert 63 < slots.claim(later, "b") <= 65


def test_what_was_never_claimed_does_no_harm(slots: Slots) -> None:
    slots.arrived(SLOW, "nobody", 0.0)
    assert [slots.claim(SLOW, str(number)) for number in range(2)] == [0, 0]


def test_a_limit_that_was_raised_counts_at_once(slots: Slots) -> None:
    for number in range(2):
        slots.claim(SLOW, str(number))
    assert slots.claim(Allowance("t:slow", 3, 60.0, 2.0), "2") == 0


def test_a_limit_that_was_lowered_waits_for_as_many_as_are_too_many(slots: Slots) -> None:
    for number in range(3):
        slots.claim(Allowance("t:lower", 3, 60.0, 0.0), str(number))
    assert slots.claim(Allowance("t:lower", 1, 60.0, 0.0), "3") > 50


def test_budgets_do_not_touch_each_other(slots: Slots) -> None:
    for number in range(2):
        slots.claim(SLOW, str(number))
    assert slots.claim(Allowance("t:other", 2, 60.0, 2.0), "0") == 0


def test_a_pause_lets_nothing_in_and_is_not_shortened(slots: Slots) -> None:
    slots.pause("t:slow", 30)
    slots.pause("t:slow", 5)
    assert 29 < slots.claim(SLOW, "0") <= 30
    slots.pause("t:slow", 40)
    assert 39 < slots.claim(SLOW, "0") <= 40


def test_a_day_counts_the_calls_of_all_its_budgets(slots: Slots) -> None:
    one = Allowance("t:one", 9, 60.0, 0.0, "t:day", 3)
    other = Allowance("t:two", 9, 60.0, 0.0, "t:day", 3)
    assert [slots.claim(one, "a"), slots.claim(other, "a"), slots.claim(one, "b")] == [0, 0, 0]
    with pytest.raises(DaySpent):
        slots.claim(other, "b")
    assert slots.spent("t:day") == 3
    assert slots.spent("t:tomorrow") == 0


def test_a_call_that_waits_costs_nothing_of_the_day(slots: Slots) -> None:
    one = Allowance("t:wait", 1, 60.0, 0.0, "t:day2", 30)
    slots.claim(one, "a")
    assert slots.claim(one, "b") > 0
    assert slots.spent("t:day2") == 1


def test_the_day_is_brought_up_and_never_down(slots: Slots) -> None:
    slots.spend("t:day3", 7)
    slots.spend("t:day3", 4)
    assert slots.spent("t:day3") == 7


def test_numbers_are_remembered(slots: Slots) -> None:
    assert slots.learned("t:limits") == {}
    slots.learn("t:limits", "Heavy", 40)
    slots.learn("t:limits", "Light", 80)
    slots.learn("t:limits", "Heavy", 10)
    assert slots.learned("t:limits") == {"Heavy": 10, "Light": 80}


def test_many_threads_never_exceed_a_limit_within_any_period(slots: Slots) -> None:
    asked = Allowance("t:threads", 5, 0.1, 0.0)
    asking: list[float] = []
    let_in: list[float] = []

    def work() -> None:
        for number in range(8):
            since = time.monotonic()
            while (wait := slots.claim(asked, f"{threading.get_ident()} {number}")) > 0:
                time.sleep(wait)  # as who asks has to; the clock is the store's own
                since = time.monotonic()
            asking.append(since)
            let_in.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 32
    # Each claim lies between the two times that are taken, however long its thread waits for the processor, so from
    # the nth beginning to the end of the fifth after it there is a whole period at least, but for what clocks round.
    assert min(late - early for early, late in zip(sorted(asking), sorted(let_in)[5:], strict=False)) > 0.099


def test_redis_is_shared(redis_url: str) -> None:
    one, other = RedisSlots(redis_url), RedisSlots(redis_url)
    assert [one.claim(SLOW, "a"), other.claim(SLOW, "b")] == [0, 0]
    assert one.claim(SLOW, "c") > 0


@contextmanager
def _fallen_back() -> Iterator[SharedSlots]:
    yield SharedSlots(RedisSlots("redis://127.0.0.1:1/0"), MemorySlots(SystemClock()))


def test_redis_is_tried_again_where_that_is_wanted(redis_server: Redis) -> None:
    clock = FakeClock()
    with Redis() as server, logged() as records:
        slots = SharedSlots(RedisSlots(server.url), MemorySlots(clock), again=60.0)
        assert slots.claim(SLOW, "before") == 0
        server.kill()
        assert slots.claim(SLOW, "meanwhile") == 0
        clock.advance(60)
        assert slots.claim(SLOW, "still") == 0  # tried in vain
        server.start()
        clock.advance(59)
        assert slots.claim(SLOW, "not yet") == 0  # "meanwhile" is a minute old
        clock.advance(1)
        assert slots.claim(SLOW, "after") == 0
        assert RedisSlots(server.url).redis.zrange(SLOW.name, 0, -1) == [b"after"]
    assert [record.levelname for record in records] == ["WARNING", "INFO"]


def test_memory_forgets_budgets_without_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harvesters.rate._NAMES", 3)
    clock = FakeClock()
    slots = MemorySlots(clock)
    for number in range(20):
        assert slots.claim(Allowance(f"t:{number}", 1, 60.0, 0.0), "x") == 0
        clock.advance(30)
        assert slots.claim(Allowance(f"t:{number}", 1, 60.0, 0.0), "y") == 30
        assert len(slots._booked) <= 4


def test_without_redis_there_is_one_warning_and_the_process_alone() -> None:
    with logged() as records, _fallen_back() as slots:
        assert [slots.claim(SLOW, str(number)) for number in range(2)] == [0, 0]
        assert slots.claim(SLOW, "2") > 0
        slots.arrived(SLOW, "0", 0.0)
        slots.pause("t:slow", 70)
        assert slots.claim(SLOW, "2") > 60
        slots.spend("t:d", 3)
        slots.learn("t:l", "x", 1)
        assert (slots.spent("t:d"), slots.learned("t:l")) == (3, {"x": 1})
    warnings = [record for record in records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "no Redis" in warnings[0].getMessage()
