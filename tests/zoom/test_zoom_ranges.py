"""Days, ranges that are cut, and what Zoom keeps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harvesters.timespan import Window
from harvesters.zoom.listing import locate
from harvesters.zoom.ranges import Days, echoed, horizon, left_over, longest

DATES = st.dates(date(2026, 1, 1), date(2026, 6, 30))
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2026, 6, 30), timezones=st.just(UTC))


@given(TIMES, TIMES)
def test_the_days_of_a_window_hold_every_instant_of_it(one: datetime, other: datetime) -> None:
    assume(one != other)
    window = Window(min(one, other), max(one, other))
    days = Days.of(window)
    assert window.start in days
    assert window.end - timedelta(microseconds=1) in days
    assert (window.end in days) == (window.end.time() != datetime.min.time())


@given(DATES, DATES, DATES, DATES)
def test_what_is_left_and_what_was_searched_make_what_was_asked(a: date, b: date, c: date, d: date) -> None:
    asked, searched = Days(min(a, b), max(a, b)), Days(min(c, d), max(c, d))
    try:
        rest = left_over(asked, searched)
    except ValueError:
        assert not set(asked) & set(searched)
        return
    assert set(asked) - set(searched) == {day for part in rest for day in part}


@pytest.mark.parametrize(
    ("answer", "days"),
    [
        ({"from": "2026-02-01", "to": "2026-02-03"}, Days(date(2026, 2, 1), date(2026, 2, 3))),
        ({"from": "2026-02-01 00:00:00", "to": "2026-02-03 23:59:59"}, Days(date(2026, 2, 1), date(2026, 2, 3))),
        ({"from": "2026-02-01T00:00:00Z", "to": ""}, Days(date(2026, 2, 1), date(2026, 2, 9))),
        ({}, Days(date(2026, 2, 2), date(2026, 2, 9))),
        ({"from": "2026-2-3", "to": "2026-2-10"}, Days(date(2026, 2, 3), date(2026, 2, 10))),
        ({"from": "2013-5-19", "to": None}, Days(date(2013, 5, 19), date(2026, 2, 9))),
        ({"from": "soon", "to": "2026-99-99"}, Days(date(2026, 2, 2), date(2026, 2, 9))),
        ({"from": 20260203, "to": ["2026-02-03"]}, Days(date(2026, 2, 2), date(2026, 2, 9))),
        ({"from": "2026-02-031", "to": "٢٠٢٦-02-03"}, Days(date(2026, 2, 2), date(2026, 2, 9))),
    ],
)
def test_the_echo_in_its_spellings(answer: dict[str, str], days: Days) -> None:
    assert echoed(answer, Days(date(2026, 2, 2), date(2026, 2, 9))) == days


@given(DATES)
def test_the_days_before_hold_every_start_of_a_meeting_of_thirty_hours(day: date) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    before = Days(day, day).before()
    assert midnight - timedelta(hours=30) in before
    assert before.last == day - timedelta(days=1)


@pytest.mark.parametrize(
    ("now", "first"),
    [
        (datetime(2026, 11, 2, 12, tzinfo=UTC), date(2026, 5, 2)),
        (datetime(2026, 8, 31, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(2026, 3, 1, tzinfo=UTC), date(2025, 9, 1)),
    ],
)
def test_six_months(now: datetime, first: date) -> None:
    assert horizon(now) == first


@given(DATES)
def test_the_longest_range_is_a_month_and_no_more_than_thirty_days(day: date) -> None:
    last = longest(day)
    assert 28 <= len(Days(day, last)) <= 30
    assert last.day < day.day or last.month == day.month or (last.year, last.month) == (day.year, day.month)


@given(DATES, st.integers(2, 40))
def test_halves_are_the_whole(day: date, count: int) -> None:
    days = Days(day, day + timedelta(days=count - 1))
    earlier, later = days.halves()
    assert [*earlier, *later] == list(days)


@given(st.dictionaries(st.integers(0, 29), st.sampled_from("abc")))
def test_what_has_no_time_is_located_on_the_day_that_lists_it(where: dict[int, str]) -> None:
    first = date(2026, 2, 1)
    place = {f"{name}{day}": first + timedelta(days=day) for day, name in where.items()}
    asked: list[Days] = []

    def listed(days: Days) -> set[str]:
        asked.append(days)
        return {key for key, day in place.items() if days.first <= day <= days.last}

    assert locate(set(place), Days(first, first + timedelta(days=29)), listed) == place
    assert len(place) != 1 or len(asked) <= 5
