from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from harvesters.simulators.zoom.data import Account
from harvesters.simulators.zoom.limits import DAILY, HEAVY, INTENSIVE, LIGHT, MEDIUM, RateLimits
from harvesters.simulators.zoom.server import ZoomSimulator
from tests.simulators.zoom_caller import NOON, Caller, Clock, meeting

DAY = {"from_": "2026-11-02", "to": "2026-11-02"}
Serve = Callable[..., Caller]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve(clock: Clock) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(**options: Any) -> Caller:
            account = options.pop("account", None) or Account(meetings=[meeting("m1==")])
            caller = Caller(stack.enter_context(ZoomSimulator(account, now=clock, **options)))
            stack.callback(caller.session.close)
            return caller

        yield start


@pytest.mark.parametrize(
    ("plan", "limits"),
    [("free", (4, 2, 1, 10)), ("pro", (30, 20, 10, 10)), ("business", (80, 60, 40, 20))],
)
def test_each_plan_has_its_published_limits(plan: str, limits: tuple[int, ...], clock: Clock) -> None:
    rates = RateLimits(plan, now=clock)
    for category, limit in zip((LIGHT, MEDIUM, HEAVY, INTENSIVE), limits, strict=True):
        answers = [rates.admit(category)[1] for _ in range(limit + 2)]
        assert [answer is None for answer in answers] == [True] * limit + [False] * 2
        assert (rates.calls[category], rates.refused[category]) == (limit, 2)
        assert rates.peak(category) == limit


def test_a_limit_holds_in_any_second_not_only_in_the_clocks(clock: Clock) -> None:
    rates = RateLimits("business", now=clock, overrides={HEAVY: 2})
    accepted = []
    for _ in range(8):
        clock.advance(0.3)
        accepted.append(rates.admit(HEAVY)[1] is None)
    assert accepted == [True, True, False, False, True, True, False, False]


def test_a_call_one_period_later_is_let_in(clock: Clock) -> None:
    rates = RateLimits("business", now=clock, overrides={INTENSIVE: 1})
    assert rates.admit(INTENSIVE)[1] is None
    clock.advance(59.5)
    assert rates.admit(INTENSIVE)[1] is not None
    clock.advance(0.5)
    assert rates.admit(INTENSIVE)[1] is None


def test_heavy_and_intensive_calls_share_a_day_that_ends_at_midnight_gmt(serve: Serve, clock: Clock) -> None:
    caller = serve(limits={DAILY: 3})
    caller.ok("/metrics/meetings", **DAY)
    caller.ok("/report/users", **DAY)
    caller.ok("/users/hostA/meetings")
    caller.ok("/report/users", **DAY)
    answer = caller.get("/metrics/meetings", **DAY)
    assert answer.status_code == 429
    assert answer.headers["X-RateLimit-Type"] == "Daily-limit"
    assert answer.headers["Retry-After"] == "2026-11-03T00:00:00Z"
    assert answer.json()["message"].endswith("You may resume these requests at GMT 00:00:00.")
    assert caller.simulator.limits.refused == {DAILY: 1}
    clock.seconds = datetime(2026, 11, 3, tzinfo=UTC).timestamp()
    caller.bearer = ""
    caller.ok("/metrics/meetings", **DAY)


def test_headers_tell_class_limit_and_what_is_left(serve: Serve) -> None:
    caller = serve()
    heads = [caller.get("/report/users", **DAY).headers for _ in range(2)]
    names = ("X-RateLimit-Category", "X-RateLimit-Type", "X-RateLimit-Limit", "X-RateLimit-Remaining")
    assert [tuple(head[name] for name in names) for head in heads] == [
        ("Heavy", "QPS", "40", "39"),
        ("Heavy", "QPS", "40", "38"),
    ]
    assert caller.get("/users/hostA/meetings").headers["X-RateLimit-Category"] == "Medium"
    assert caller.get("/past_meetings/m1==").headers["X-RateLimit-Category"] == "Light"
    assert caller.get("/metrics/meetings", **DAY).headers["X-RateLimit-Category"] == "Resource-intensive"
    daily = serve(rate_headers="daily").get("/report/users", **DAY).headers
    assert (daily["X-RateLimit-Type"], daily["X-RateLimit-Remaining"]) == ("Daily-limit", "59999")
    assert "X-RateLimit-Limit" not in serve(rate_headers="absent").get("/report/users", **DAY).headers


@pytest.mark.parametrize("form", ["iso", "seconds", "http-date", "absent", "bare"])
def test_a_429_says_when_to_go_on_in_every_form(serve: Serve, clock: Clock, form: str) -> None:
    caller = serve(retry_after=form)
    for _ in range(20):
        caller.ok("/metrics/meetings", **DAY)
    clock.advance(20)
    answer = caller.get("/metrics/meetings", **DAY)
    assert answer.status_code == 429
    assert answer.headers["X-RateLimit-Category"] == "Resource-intensive"
    told = answer.headers.get("Retry-After", "")
    free = NOON + timedelta(seconds=60)
    match form:
        case "iso":
            assert told == "2026-11-02T12:01:00Z"
        case "seconds":
            assert told == "40"
        case "http-date":
            assert parsedate_to_datetime(told) == free
        case _:
            assert told == ""
            assert "X-RateLimit-Type" not in answer.headers
    if form == "bare":
        assert answer.content == b""
    else:
        assert answer.json() == {
            "code": 429,
            "message": "You have reached the maximum per-second rate limit for this API. Try again later.",
        }
    clock.advance(40)
    caller.ok("/metrics/meetings", **DAY)


def test_without_enforcement_calls_are_still_counted(serve: Serve) -> None:
    caller = serve(enforce_limits=False)
    for _ in range(25):
        caller.ok("/metrics/meetings", **DAY)
    limits = caller.simulator.limits
    assert (limits.calls[INTENSIVE], limits.answers_429, limits.peak(INTENSIVE)) == (25, 0, 25)


def test_a_call_without_a_good_token_costs_nothing(serve: Serve) -> None:
    caller = serve()
    caller.bearer = "nonsense"
    assert caller.get("/report/users", **DAY).status_code == 401
    assert not caller.simulator.limits.calls


def test_an_unknown_class_or_form_is_a_mistake(clock: Clock) -> None:
    with pytest.raises(ValueError, match="Heavvy"):
        RateLimits("pro", now=clock, overrides={"Heavvy": 1})
    with pytest.raises(ValueError, match="tomorrow"):
        RateLimits("pro", now=clock, retry_after="tomorrow")
