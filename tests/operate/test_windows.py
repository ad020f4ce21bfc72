"""How a range is cut into windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from harvesters.intervals import Intervals
from harvesters.operate.windows import Steps, whole_days
from harvesters.timespan import Window
from tests.operate.test_intervals import SECONDS, ends, seconds, sets, window

NEW_YORK = ZoneInfo("America/New_York")


def between(start: str, end: str) -> Window:
    return Window(datetime.fromisoformat(start), datetime.fromisoformat(end))


def texts(windows: object) -> list[str]:
    return [str(one) for one in windows]  # type: ignore[attr-defined]


def test_steps_go_from_the_start_on_and_the_last_one_ends_with_the_range() -> None:
    whole = between("2026-02-01T00:20:00+00:00", "2026-02-01T03:00:00+00:00")
    assert texts(Steps(timedelta(hours=1)).cut(whole)) == [
        "2026-02-01T00:20:00Z/2026-02-01T01:20:00Z",
        "2026-02-01T01:20:00Z/2026-02-01T02:20:00Z",
        "2026-02-01T02:20:00Z/2026-02-01T03:00:00Z",
    ]


def test_days_are_those_of_the_zone_also_where_one_has_23_hours() -> None:
    whole = between("2026-03-07T12:00:00+00:00", "2026-03-09T12:00:00+00:00")
    assert texts(Steps(timedelta(hours=1), NEW_YORK).cut(whole)) == [
        "2026-03-07T12:00:00Z/2026-03-08T05:00:00Z",
        "2026-03-08T05:00:00Z/2026-03-09T04:00:00Z",
        "2026-03-09T04:00:00Z/2026-03-09T12:00:00Z",
    ]
    assert len(texts(Steps(timedelta(days=3), NEW_YORK).cut(whole))) == 1


def test_of_a_window_that_is_done_in_part_the_other_parts_are_left() -> None:
    whole = between("2026-02-01T00:00:00+00:00", "2026-02-01T03:00:00+00:00")
    done = Intervals.of([between("2026-02-01T00:30:00+00:00", "2026-02-01T01:15:00+00:00")])
    assert texts(Steps(timedelta(hours=1)).left(whole, done)) == [
        "2026-02-01T00:00:00Z/2026-02-01T00:30:00Z",
        "2026-02-01T01:15:00Z/2026-02-01T02:00:00Z",
        "2026-02-01T02:00:00Z/2026-02-01T03:00:00Z",
    ]


@given(ends, sets, st.integers(1, SECONDS))
def test_what_is_left_is_the_range_without_what_is_done(pair: list[int], done: Intervals, step: int) -> None:
    whole = window(*pair)
    left = [*Steps(timedelta(seconds=step)).left(whole, done)]
    assert seconds(Intervals.of(left)) == set(range(*pair)) - seconds(done)
    assert sum(one.seconds for one in left) == len(set(range(*pair)) - seconds(done)), "windows overlap"
    assert all(one.seconds <= step for one in left)


def test_a_step_longer_than_the_calendar_is_one_window() -> None:
    whole = between("2026-02-01T00:00:00+00:00", "2026-02-01T03:00:00+00:00")
    for days in (None, UTC):
        assert [*Steps(timedelta(days=9_999_999), days).cut(whole)] == [whole]


def test_whole_days() -> None:
    assert whole_days(between("2026-02-01T00:00:00+00:00", "2026-02-03T00:00:00+00:00"))
    assert not whole_days(between("2026-02-01T00:00:00+00:00", "2026-02-03T00:00:01+00:00"))
    assert not whole_days(between("2026-02-01T00:00:00-05:00", "2026-02-03T00:00:00+00:00"))
