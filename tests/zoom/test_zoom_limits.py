"""Budgets: learned, kept within any second, waited for, and given up when the wait is too long."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.errors import RateLimited
from harvesters.rate import MemorySlots, RedisSlots
from harvesters.simulators.base import Response
from harvesters.simulators.zoom.generate import generate
from harvesters.simulators.zoom.limits import DAILY, RateLimits
from harvesters.zoom.limits import HEAVY, INTENSIVE, LIGHT, Budgets, Ticket
from harvesters.zoom.waits import Waits
from tests.clocks import FakeClock
from tests.zoom.conftest import Start
from tests.zoom.harness import DAY, MORNING, meeting


def budgets(clock: FakeClock, max_wait: float = 1e9) -> Budgets:
    return Budgets(MemorySlots(clock), clock, "account", max_wait)


def call(made: Budgets, category: str = HEAVY, **headers: str) -> Ticket:
    ticket = made.acquire(category)
    made.answered(ticket, {name.replace("_", "-"): value for name, value in headers.items()})
    return ticket


def told(category: str, limit: int, kind: str = "QPS", left: int = 1) -> dict[str, str]:
    return {
        "X_RateLimit_Category": category,
        "X_RateLimit_Type": kind,
        "X_RateLimit_Limit": str(limit),
        "X_RateLimit_Remaining": str(left),
    }


def test_the_first_answer_says_how_many_may_follow(clock: FakeClock) -> None:
    made = budgets(clock)
    for _ in range(40):
        call(made, **told(HEAVY, 40))
    assert clock.slept == []
    call(made, **told(HEAVY, 40))
    assert clock.monotonic() == pytest.approx(1.0, abs=0.01)
    assert made.limit(HEAVY) == 40


def test_without_headers_the_smallest_plan_with_reports_counts(clock: FakeClock) -> None:
    made = budgets(clock)
    for _ in range(11):
        call(made)
    assert clock.monotonic() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("limit", "heavy"), [(60_000, 40), (30_000, 10)])
def test_the_daily_limit_tells_the_plan(clock: FakeClock, limit: int, heavy: int) -> None:
    made = budgets(clock)
    call(made, **told(HEAVY, limit, "Daily-limit", limit - 55))
    assert made.limit(HEAVY) == heavy
    assert made.day() == (55, limit)


def test_limits_are_learned_again_when_they_change(clock: FakeClock) -> None:
    made = budgets(clock)
    call(made, **told(HEAVY, 40))
    call(made, **told(HEAVY, 2))
    call(made, **told(HEAVY, 2))
    assert clock.monotonic() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("name", "value"), [("Category", ""), ("Type", ""), ("Remaining", ""), ("Category", "New")])
def test_headers_that_are_missing_or_new_do_no_harm(clock: FakeClock, name: str, value: str) -> None:
    made = budgets(clock)
    call(made, **{**told(HEAVY, 40), f"X_RateLimit_{name}": value})
    assert made.limit(HEAVY) == 40
    call(made, **{**told(HEAVY, 60_000), "X_RateLimit_Type": ""})
    assert made.limit(HEAVY) == 40
    assert made.day()[1] == 60_000


@pytest.mark.parametrize("category", ["heavy", "HEAVY", "Heavy"])
def test_the_class_is_read_in_any_case(clock: FakeClock, category: str) -> None:
    made = budgets(clock)
    call(made, INTENSIVE, **told(category, 33))
    assert made.limit(HEAVY) == 33


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("2026-11-03T09:30:12Z", 12.0),
        ("Tue, 03 Nov 2026 09:30:20 GMT", 20.0),
        (None, 1.0),
        ("", 1.0),
        ("soon", 1.0),
        ("2020-05-31T00:00:00Z", 1.0),
    ],
)
def test_retry_after_in_all_its_forms(clock: FakeClock, header: str | None, wait: float) -> None:
    made = budgets(clock)
    ticket = made.acquire(HEAVY)
    made.refused(ticket, {"Retry-After": header} if header is not None else {}, "")
    made.acquire(HEAVY)
    assert clock.monotonic() == pytest.approx(wait, abs=0.2)


def test_silent_refusals_double_the_pause_and_those_of_one_moment_count_once(clock: FakeClock) -> None:
    made = budgets(clock)
    call(made, **told(HEAVY, 40))
    together = [made.acquire(HEAVY) for _ in range(5)]
    for ticket in together:
        made.refused(ticket, {}, "")
    ticket = made.acquire(HEAVY)
    assert clock.monotonic() == pytest.approx(1.0, abs=0.01)
    made.refused(ticket, {}, "")
    made.acquire(HEAVY)
    assert clock.monotonic() == pytest.approx(3.0, abs=0.01)


def test_intensive_calls_pause_for_a_minute_where_nobody_says(clock: FakeClock) -> None:
    made = budgets(clock)
    made.refused(made.acquire(INTENSIVE), {}, "")
    made.acquire(INTENSIVE)
    assert clock.monotonic() == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("2026-11-03T09:30:00Z", 1.0),
        ("Tue, 03 Nov 2026 09:30:00 GMT", 1.0),
        ("2026-11-03T09:29:00Z", 60.0),
        ("2020-05-31T00:00:00Z", 60.0),
        ("0", 60.0),
    ],
)
def test_a_date_of_whole_seconds_may_have_just_passed(clock: FakeClock, header: str, wait: float) -> None:
    clock.advance(0.7)
    made = budgets(clock)
    made.refused(made.acquire(INTENSIVE), {"Retry-After": header}, "")
    made.acquire(INTENSIVE)
    assert clock.monotonic() == pytest.approx(0.7 + wait, abs=0.01)


def test_the_first_call_of_a_class_may_have_arrived_as_late_as_it_was_answered(clock: FakeClock) -> None:
    made = budgets(clock)
    ticket = made.acquire(INTENSIVE)
    clock.advance(1.5)  # a new connection, a token: nobody knows how much of it was the way there
    made.answered(ticket, {"X-RateLimit-Category": INTENSIVE, "X-RateLimit-Type": "QPS", "X-RateLimit-Limit": "1"})
    made.acquire(INTENSIVE)
    assert clock.monotonic() >= 61.5


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"X-RateLimit-Type": "Daily-limit", "Retry-After": "2026-11-04T00:00:00Z"}, ""),
        ({"X-RateLimit-Type": "Daily-limit"}, ""),
        ({}, "You have reached the maximum daily rate limit for this API."),
    ],
)
def test_a_spent_day_pauses_both_classes_until_midnight_gmt(
    clock: FakeClock, headers: dict[str, str], text: str
) -> None:
    made = budgets(clock, max_wait=3600)
    made.refused(made.acquire(HEAVY), headers, text)
    with pytest.raises(RateLimited, match="2026-11-04T00:00:00Z"):
        made.acquire(INTENSIVE)
    made.acquire(LIGHT)
    made.max_wait = 1e9
    made.acquire(HEAVY)
    assert clock.now() >= datetime.fromisoformat("2026-11-04T00:00:00Z")


def test_the_days_budget_is_kept_by_ourselves_too(clock: FakeClock) -> None:
    made = budgets(clock, max_wait=100)
    call(made, **told(HEAVY, 60_000, "Daily-limit", 2))
    call(made)
    call(made, INTENSIVE)
    with pytest.raises(RateLimited, match="used up"):
        made.acquire(HEAVY)


def test_one_wait_too_long_ends_it_and_many_short_ones_do_not(clock: FakeClock) -> None:
    made = budgets(clock, max_wait=2)
    for _ in range(100):
        call(made, **told(HEAVY, 1))
    assert clock.monotonic() >= 99
    made.refused(made.acquire(HEAVY), {"Retry-After": "3"}, "")
    with pytest.raises(RateLimited) as caught:
        made.acquire(HEAVY)
    assert caught.value.code == 75


def test_too_many_at_once_halves_what_is_under_way_once_for_all_that_are_refused_together(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = budgets(clock)
    call(made, **told(HEAVY, 100))
    clock.advance(0.1)
    together = [made.acquire(HEAVY) for _ in range(9)]
    for ticket in together[:5]:
        made.refused(ticket, {"Retry-After": "1"}, '{"code": 429, "message": "Too many concurrent requests."}')
    clock.advance(2)
    under_way = together[5:]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds)
        made.answered(under_way.pop(0), {})

    monkeypatch.setattr(clock, "sleep", sleep)
    under_way.append(made.acquire(HEAVY))
    assert len(waits) == 1  # four of nine may be under way, and these were
    under_way.append(made.acquire(LIGHT))  # whatever the class
    assert len(waits) == 2


def test_a_limit_that_no_header_tells_is_found_by_its_refusals(clock: FakeClock) -> None:
    made = budgets(clock)
    server = RateLimits("free", now=lambda: clock.now().timestamp())
    for number in range(60):
        ticket = made.acquire(HEAVY)
        _, refusal = server.admit(HEAVY)
        if refusal is not None:
            made.refused(ticket, {}, "")
        else:
            made.answered(ticket, {})
        assert refusal is None or number < 30
    assert made.limit(HEAVY) == 1


def test_a_few_refusals_of_an_account_that_others_use_too_take_nothing_away(clock: FakeClock) -> None:
    made = budgets(clock)
    for number in range(200):
        ticket = made.acquire(HEAVY)
        if number % 20 == 5:
            made.refused(ticket, {"Retry-After": "1"}, "")
        else:
            made.answered(ticket, {})
        clock.advance(0.01)
    assert made.limit(HEAVY) == 10


@pytest.mark.parametrize("error", ["refused", "failed"])
def test_an_error_that_is_there_at_once_does_not_make_good_answers_late(clock: FakeClock, error: str) -> None:
    made = budgets(clock)

    def good() -> Ticket:
        ticket = made.acquire(HEAVY)
        clock.advance(0.5)
        made.answered(ticket, {"X-RateLimit-Category": HEAVY, "X-RateLimit-Type": "QPS", "X-RateLimit-Limit": "1"})
        return ticket

    good()
    ticket = made.acquire(HEAVY)
    if error == "refused":
        made.refused(ticket, {"Retry-After": "1"}, "")
    else:
        made.answered(ticket, {}, good=False)
    sent = [good().sent for _ in range(4)]
    assert sent[3] - sent[1] == pytest.approx(2.002, abs=0.01)


def test_waits_for_one_call_that_together_are_too_long_end_it(clock: FakeClock) -> None:
    made, waited = budgets(clock, max_wait=10), Waits()
    for _ in range(9):
        made.refused(made.acquire(HEAVY, waited), {"Retry-After": "1"}, "", waited)
    with pytest.raises(RateLimited, match="s for this call in all"):
        made.acquire(HEAVY, Waits(refused=0.0, slept=10))
    made.refused(made.acquire(HEAVY, waited), {"Retry-After": "2"}, "", waited)
    with pytest.raises(RateLimited, match="s for this call in all"):
        made.acquire(HEAVY, waited)
    made.acquire(LIGHT)


def test_an_answer_that_is_never_given_does_not_keep_the_others_waiting_for_ever(clock: FakeClock) -> None:
    made = budgets(clock, max_wait=10)
    made.acquire(HEAVY)  # nobody knows yet what is allowed
    with pytest.raises(RateLimited, match="has not answered"):
        made.acquire(HEAVY)


@pytest.mark.parametrize("path", ["/v2/metrics/meetings", "/v2/metrics/meetings/", "/v2/report/users"])
def test_429_for_ever_ends_with_75(start: Start, clock: FakeClock, path: str) -> None:
    bench = start(*(meeting(f"m{number}==") for number in range(9)))
    refusal = Response.json({"code": 429, "message": "Try again later."}, 429, Retry_After="1")
    bench.simulator.fail("status", path=path, times=10**9, response=refusal)
    begun = clock.monotonic()
    with pytest.raises(RateLimited, match="--max-wait is 30 s"):
        bench.harvest(max_wait=30)
    assert clock.monotonic() - begun < 200


def test_a_call_without_an_answer_does_not_block_the_class(clock: FakeClock) -> None:
    made = budgets(clock)
    made.dropped(made.acquire(HEAVY))
    call(made, **told(HEAVY, 40))


@settings(max_examples=60)
@given(st.integers(1, 8), st.lists(st.floats(0, 0.09), min_size=1, max_size=60))
def test_calls_that_arrive_late_never_exceed_a_limit_within_any_second(limit: int, delays: list[float]) -> None:
    """Each call is counted by the server somewhere within its slack, one after the other."""
    clock = FakeClock(MORNING)
    made = budgets(clock)
    call(made, **told(HEAVY, limit))  # an answer without delay: what is quickest
    server = RateLimits("business", now=clock.monotonic, overrides={HEAVY: limit})
    server.admit(HEAVY)
    for delay in delays:
        ticket = made.acquire(HEAVY)
        clock.advance(delay)
        assert server.admit(HEAVY)[1] is None
        made.answered(ticket, {})


@pytest.mark.parametrize("form", ["iso", "seconds", "http-date", "absent", "bare"])
def test_a_server_that_refuses_more_than_it_says_is_harvested_whole(start: Start, form: str) -> None:
    account = generate(meetings=120, sessions=300, day=DAY)
    bench = start(account=account, retry_after=form, rate_headers="absent", limits={HEAVY: 3, INTENSIVE: 1})
    bench.harvest()
    bench.expect()
    assert bench.budgets.refusals > 0


def test_a_server_that_says_its_limits_refuses_nothing(start: Start) -> None:
    bench = start(account=generate(meetings=200, sessions=450, day=DAY))
    bench.workers = 1  # with more, one may be held up in reality for any time of the clock that does not wait
    bench.harvest()
    bench.expect()
    assert bench.simulator.limits.answers_429 == 0
    assert bench.simulator.limits.peak(HEAVY) <= 40


@pytest.fixture
def redis_slots(redis_url: str) -> RedisSlots:
    return RedisSlots(redis_url)


def test_a_second_process_knows_what_the_first_learned(redis_slots: RedisSlots, clock: FakeClock) -> None:
    one = Budgets(redis_slots, clock, "account", 10)
    call(one, **told(HEAVY, 40))
    other = Budgets(redis_slots, clock, "account", 10)
    assert other.limit(HEAVY) == 40
    assert other.day() == (1, 60_000)


def test_the_daily_limit_ends_a_run_and_the_next_day_finishes_it(start: Start, clock: FakeClock) -> None:
    meetings = [meeting(f"m{number}==") for number in range(50)]
    bench = start(*meetings, limits={DAILY: 20}, rate_headers="daily")
    with pytest.raises(RateLimited):
        bench.harvest(max_wait=300)
    done = set(bench.meetings)
    assert 0 < len(done) < 20
    for _ in range(5):
        clock.advance(timedelta(hours=24).total_seconds())
        try:
            bench.harvest(max_wait=300)
            break
        except RateLimited:
            assert len(bench.meetings) > len(done)
            done = set(bench.meetings)
    assert set(bench.meetings) == {one.uuid for one in meetings}
    assert set(bench.meetings.values()) == {1}
