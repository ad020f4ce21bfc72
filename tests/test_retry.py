"""The retry policy, on a clock that does not wait, and every form of ``Retry-After``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.errors import Interrupted, RateLimited, SinkUnavailable, Unavailable
from harvesters.retry import RetryPolicy, Transient, parse_retry_after
from tests.clocks import NOW, FakeClock


class Flaky:
    """Fails so many times, each attempt taking some seconds; `retry_after` as the other side would say it."""

    def __init__(self, clock: FakeClock, failures: int, takes: float = 0.0, retry_after: float | None = None) -> None:
        self.clock, self.left, self.takes, self.retry_after, self.tries = clock, failures, takes, retry_after, 0

    def __call__(self) -> str:
        self.tries += 1
        self.clock.advance(self.takes)
        if self.left > 0:
            self.left -= 1
            raise Transient("answered 503", self.retry_after)
        return "fine"


class TestPolicy:
    def test_a_good_answer_is_given_at_once(self) -> None:
        clock = FakeClock()
        assert RetryPolicy(clock).call(Flaky(clock, 0), "it") == "fine"
        assert clock.slept == []

    def test_pauses_double_up_to_the_cap(self) -> None:
        clock = FakeClock()
        RetryPolicy(clock, budget=1000, first=1.0, cap=20.0, jitter=lambda: 1.0).call(Flaky(clock, 7), "it")
        assert clock.slept == [1, 2, 4, 8, 16, 20, 20]

    @given(st.integers(1, 60), st.floats(0, 1, exclude_max=True))
    def test_a_pause_lies_between_half_the_ceiling_and_the_ceiling(self, tries: int, jitter: float) -> None:
        policy = RetryPolicy(FakeClock(), first=0.5, cap=20.0, jitter=lambda: jitter)
        ceiling = min(20.0, 0.5 * 2 ** (tries - 1))
        assert ceiling / 2 <= policy.pause(tries, None) <= ceiling

    @given(st.floats(0, 3600), st.floats(0, 1, exclude_max=True))
    def test_what_the_other_side_asks_for_is_waited_for_in_full(self, asked: float, jitter: float) -> None:
        policy = RetryPolicy(FakeClock(), jitter=lambda: jitter)
        assert asked <= policy.pause(1, asked) <= asked + 1

    @given(st.floats(0, 300), st.floats(0, 30))
    def test_no_attempt_begins_after_the_budget(self, budget: float, takes: float) -> None:
        clock = FakeClock()
        flaky = Flaky(clock, 10_000, takes=takes)
        with pytest.raises(Unavailable):
            RetryPolicy(clock, budget, first=0.5).call(flaky, "it")
        assert sum(clock.slept) + (flaky.tries - 1) * takes <= budget + 1e-6
        assert flaky.tries >= 1

    def test_giving_up_says_who_why_how_long_and_what_to_do(self) -> None:
        clock = FakeClock()
        with pytest.raises(Unavailable) as gave_up:
            RetryPolicy(clock, budget=30).call(Flaky(clock, 99), "Opencast at https://engage")
        text = str(gave_up.value)
        assert text.startswith("Opencast at https://engage: answered 503")
        assert "HARVEST_RETRY_BUDGET is 30 s" in text
        assert "run again" in text
        assert gave_up.value.code == 69

    def test_the_error_is_of_the_kind_that_was_asked_for(self) -> None:
        clock = FakeClock()
        with pytest.raises(SinkUnavailable):
            RetryPolicy(clock, budget=1).call(Flaky(clock, 99), "it", SinkUnavailable)

    def test_a_rate_limit_that_outlasts_the_budget_means_later(self) -> None:
        def limited() -> None:
            raise Transient("answered 429", 30, limited=True)

        for kind in (Unavailable, SinkUnavailable):
            with pytest.raises(RateLimited, match="answered 429") as gave_up:
                RetryPolicy(FakeClock(), budget=100).call(limited, "it", kind)
            assert gave_up.value.code == 75

    def test_a_wait_beyond_the_budget_is_not_begun(self) -> None:
        clock = FakeClock()
        with pytest.raises(Unavailable, match="asks to be left alone for 3600 s"):
            RetryPolicy(clock, budget=120).call(Flaky(clock, 1, retry_after=3600), "it")
        assert clock.slept == []

    def test_a_wait_within_the_budget_is_kept(self) -> None:
        clock = FakeClock()
        assert RetryPolicy(clock, budget=120).call(Flaky(clock, 1, retry_after=30), "it") == "fine"
        assert len(clock.slept) == 1
        assert 30 <= clock.slept[0] <= 31

    def test_other_errors_pass_through_untried(self) -> None:
        clock = FakeClock()

        def broken() -> None:
            raise KeyError("ours to mend")

        with pytest.raises(KeyError):
            RetryPolicy(clock).call(broken, "it")
        assert clock.slept == []

    def test_a_stop_while_waiting_ends_it(self) -> None:
        class Stopping(FakeClock):
            def sleep(self, seconds: float) -> None:
                raise Interrupted("told to stop")

        clock = Stopping()
        with pytest.raises(Interrupted):
            RetryPolicy(clock).call(Flaky(clock, 1), "it")


class TestRetryAfter:
    @given(st.integers(0, 10_000_000))
    def test_seconds(self, seconds: int) -> None:
        assert parse_retry_after(str(seconds), NOW) == seconds

    @given(st.integers(-10_000_000, 10_000_000), st.sampled_from(["http", "iso", "iso with offset", "iso, no zone"]))
    def test_dates(self, seconds: int, form: str) -> None:
        moment = NOW + timedelta(seconds=seconds)
        text = {
            "http": format_datetime(moment, usegmt=True),
            "iso": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "iso with offset": moment.astimezone().isoformat(),
            "iso, no zone": moment.replace(tzinfo=None).isoformat(),
        }[form]
        assert parse_retry_after(text, NOW) == max(0, seconds)

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0),
            (" 7 ", 7),
            ("1.5", 1.5),
            ("-3", 0),
            ("Fri, 13 Feb 2026 09:31:00 GMT", 60),
            ("Friday, 13-Feb-26 09:31:00 GMT", 60),
            ("2026-02-13T09:31:00Z", 60),
            ("2026-02-13T10:31:00+01:00", 60),
        ],
    )
    def test_literal_forms(self, text: str, seconds: float) -> None:
        assert parse_retry_after(text, NOW) == seconds

    @pytest.mark.parametrize("text", [None, "", "soon", "nan", "inf", "1e300", "tomorrow at noon", "Fri, 99 Feb 2026"])
    def test_what_cannot_be_read_counts_as_absent(self, text: str | None) -> None:
        assert parse_retry_after(text, NOW) is None

    @given(st.text(max_size=40))
    def test_nothing_makes_it_fail(self, text: str) -> None:
        wait = parse_retry_after(text, datetime(2026, 2, 13, tzinfo=UTC))
        assert wait is None or wait >= 0
