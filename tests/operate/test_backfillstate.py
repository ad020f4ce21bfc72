"""What a back-fill remembers: windows done, at work, failed, and why no more are begun."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson

from harvesters.errors import Exit
from harvesters.intervals import Intervals
from harvesters.operate.backfillstate import BackfillState, Claim, Result, Stop
from harvesters.process import Process
from harvesters.timespan import Window

NOW = datetime(2026, 3, 1, tzinfo=UTC)
START = datetime(2026, 2, 1, tzinfo=UTC)
ELSEWHERE = Process("another-host", "other", 1, "1")


def hours(start: int, end: int) -> Window:
    return Window(START + timedelta(hours=start), START + timedelta(hours=end))


def claim(window: Window, token: str = "token", seconds: float = 60, worker: Process = ELSEWHERE) -> Claim:
    return Claim(window, worker, token, NOW + timedelta(seconds=seconds))


def begun() -> BackfillState:
    return BackfillState("useractions", "out", "generation").asked(hours(0, 24), 3600, 2)


def taken(state: BackfillState, one: Claim) -> BackfillState:
    claimed = state.claimed(one, NOW)
    assert claimed is not None
    return claimed


def test_a_window_is_one_workers_until_its_claim_has_expired() -> None:
    state = taken(begun(), claim(hours(0, 1)))
    assert state.claimed(claim(hours(0, 1), "other"), NOW) is None
    assert state.claimed(claim(hours(0, 2), "other"), NOW) is None
    assert state.claimed(claim(hours(1, 2), "other"), NOW) is not None
    later = NOW + timedelta(seconds=60)
    assert state.claimed(claim(hours(0, 1), "other", 120), later) is not None
    renewed = state.renewed(["token"], later + timedelta(seconds=60))
    assert renewed.claimed(claim(hours(0, 1), "other", 120), later) is None


def test_a_window_of_a_dead_process_of_this_host_is_free() -> None:
    here = Process.current()
    state = taken(begun(), claim(hours(0, 1), worker=replace(here, started="long ago")))
    assert state.claimed(claim(hours(0, 1), "other"), NOW) is not None
    alive = taken(begun(), claim(hours(0, 1), worker=here))
    assert alive.claimed(claim(hours(0, 1), "other"), NOW) is None


def test_what_is_done_is_merged_and_not_claimed_again() -> None:
    state = begun()
    for hour in (2, 0, 1):
        state = taken(state, claim(hours(hour, hour + 1), str(hour)))
        state = state.ended(str(hour), hours(hour, hour + 1), Result(delivered=5), NOW)
    assert state.done == Intervals.of([hours(0, 3)])
    assert state.delivered == 15
    assert state.claimed(claim(hours(2, 4)), NOW) is None
    assert not state.running


def test_a_failure_stands_until_its_window_is_begun_again() -> None:
    state = taken(begun(), claim(hours(0, 2)))
    state = state.ended("token", hours(0, 2), Result(Exit.UNAVAILABLE, "down"), NOW)
    assert [(one.window, one.code, one.error, one.time) for one in state.failed] == [(hours(0, 2), 69, "down", NOW)]
    state = taken(state, claim(hours(0, 1)))
    assert [one.window for one in state.failed] == [hours(1, 2)]


def test_a_window_that_was_given_back_is_missing() -> None:
    state = taken(begun(), claim(hours(0, 2)))
    state = state.ended("token", hours(0, 2), Result(None), NOW)
    assert not state.failed
    assert not state.running
    assert state.missing(hours(0, 2)) == Intervals.of([hours(0, 2)])


def test_failures_in_a_row_end_the_run_and_a_good_window_begins_a_new_row() -> None:
    state = begun()
    for hour, code in enumerate((69, 0, 69, 65)):
        assert state.stop is None
        state = taken(state, claim(hours(hour, hour + 1)))
        state = state.ended("token", hours(hour, hour + 1), Result(code, "x"), NOW)
    assert state.stop == Stop(Exit.UNAVAILABLE, "2 windows have failed in a row (--max-failures)")
    assert state.asked(hours(0, 24), 3600, 2).stop is None


def test_a_wrong_password_ends_the_run_with_its_own_code() -> None:
    for code in (76, 77, 78):
        state = taken(begun(), claim(hours(0, 1))).ended("token", hours(0, 1), Result(code, "wrong"), NOW)
        assert state.stop == Stop(Exit(code), "wrong")
        assert [one.code for one in state.failed] == [code]


def test_a_rate_limit_ends_the_run_and_is_no_failure() -> None:
    state = taken(begun(), claim(hours(0, 1))).ended("token", hours(0, 1), Result(75, "slowly", limited=True), NOW)
    assert state.stop == Stop(Exit.TRY_LATER, "slowly")
    assert not state.failed


def test_what_a_slow_worker_says_at_last_harms_nothing() -> None:
    """Its claim had expired, and another one has done the window, or is at it."""
    failed = Result(Exit.UNAVAILABLE, "down")
    state = taken(begun(), claim(hours(0, 1), "slow", seconds=-1))
    state = taken(state, claim(hours(0, 1), "quick"))
    assert state.ended("slow", hours(0, 1), failed, NOW).failed == ()
    assert state.ended("slow", hours(0, 1), failed, NOW).holds("quick")
    state = state.ended("quick", hours(0, 1), Result(), NOW)
    assert state.ended("slow", hours(0, 1), failed, NOW).failed == ()


def test_again_goes_on_where_it_was_ended() -> None:
    state = replace(begun(), done=Intervals.of([hours(0, 24)]))
    state = state.anew(hours(0, 10))
    assert state.done == Intervals.of([hours(10, 24)])
    state = taken(state, claim(hours(0, 4))).ended("token", hours(0, 4), Result(), NOW)
    assert state.anew(hours(0, 10)).missing(hours(0, 10)) == Intervals.of([hours(4, 10)])
    assert state.anew(hours(0, 12)).missing(hours(0, 12)) == Intervals.of([hours(4, 12)]), "the end is now"
    state = taken(state, claim(hours(4, 10))).ended("token", hours(4, 10), Result(), NOW)
    assert state.again is None
    assert state.anew(hours(0, 10)).missing(hours(0, 10)) == Intervals.of([hours(0, 10)]), "once more"


def test_it_comes_back_from_json() -> None:
    state = taken(begun().anew(hours(3, 4)), claim(hours(0, 1)))
    state = state.ended("x", hours(5, 6), Result(Exit.CONFIG, "wrong"), NOW)
    state = state.ended("y", hours(7, 8), Result(delivered=3), NOW)
    assert state.stop is not None
    assert BackfillState.decode(orjson.loads(orjson.dumps(state.encode()))) == state
