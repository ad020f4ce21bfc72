"""Masks against the calendar: every time that fits one, and no other."""

from __future__ import annotations

import calendar
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harvesters.logs.masks import YEARS_AROUND, Mask, MaskError, Moments

NOW = datetime(2026, 2, 13, 9, 30, 7, tzinfo=UTC)
EVERY = {
    (y, m, d)
    for y in range(NOW.year - YEARS_AROUND, NOW.year + YEARS_AROUND + 1)
    for m in range(1, 13)
    for d in range(1, calendar.monthrange(y, m)[1] + 1)
}


def moments(text: str, now: datetime = NOW) -> Moments:
    return Mask.parse(text).at(now)


def part(least: int, most: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(least, most)


def spelled(number: int | None, width: int) -> str:
    return "?" if number is None else f"{number:0{width}d}"


@given(st.none() | st.integers(2021, 2031), part(1, 12), part(1, 31), st.booleans())
@example(None, 2, 29, True)
@example(2026, None, 31, True)
@example(2024, 2, None, True)
@example(2026, 2, 29, True)
@example(None, None, None, True)
def test_its_dates_are_those_of_the_calendar_that_fit(
    year: int | None, month: int | None, day: int | None, zeros: bool
) -> None:
    width = 2 if zeros else 1
    text = f"{spelled(year, 4)}-{spelled(month, width)}-{spelled(day, width)} ?:?:?"
    fitting = sorted(
        date for date in EVERY if all(want in (None, has) for want, has in zip((year, month, day), date, strict=True))
    )
    if not fitting:
        with pytest.raises(MaskError, match="day"):
            Mask.parse(text)
        return
    assert moments(text).dates == [f"{y:04d}-{m:02d}-{d:02d}" for y, m, d in fitting]


@given(st.integers(1, 9999), st.integers(1, 12), st.integers(1, 31))
@example(1900, 2, 29)
@example(2000, 2, 29)
@example(1, 1, 1)
@example(9999, 12, 31)
def test_a_date_is_taken_if_there_is_one(year: int, month: int, day: int) -> None:
    text = f"{year:04d}-{month}-{day}Tnow"
    try:
        datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        with pytest.raises(MaskError, match="day"):
            Mask.parse(text)
    else:
        assert moments(text).dates == [f"{year:04d}-{month:02d}-{day:02d}"]


@given(part(0, 23), part(0, 59), part(0, 59))
def test_its_times_are_those_of_the_day_that_fit(hour: int | None, minute: int | None, second: int | None) -> None:
    text = f"todayT{spelled(hour, 1)}:{spelled(minute, 2)}:{spelled(second, 1)}"
    found = moments(text)
    times = {(int(h), int(m), int(s)) for h, m, s in product(found.hours, found.minutes, found.seconds)}
    assert len(times) == len(found.hours) * len(found.minutes) * len(found.seconds)
    assert times == set(
        product(
            range(24) if hour is None else [hour],
            range(60) if minute is None else [minute],
            range(60) if second is None else [second],
        )
    )


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-14, 14))
def test_today_and_now_are_those_of_utc(moment: datetime, offset: int) -> None:
    found = moments("today now", moment.replace(tzinfo=timezone(timedelta(hours=offset))))
    there = moment - timedelta(hours=offset)
    assert f"{found.dates[0]}T{found.hours[0]}:{found.minutes[0]}:{found.seconds[0]}" == there.strftime(
        "%Y-%m-%dT%H:%M:%S"
    ).rjust(19, "0")
    assert [len(each) for each in (found.dates, found.hours, found.minutes, found.seconds)] == [1, 1, 1, 1]


@pytest.mark.parametrize("text", ["todayTnow", "TODAY NOW", "Today Now", "todaytnow", "TODAYTNOW"])
def test_words_are_taken_in_any_case(text: str) -> None:
    assert Mask.parse(text) == Mask(None, None)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty"),
        ("today", "time"),
        ("now", "time"),
        ("todayT", "time"),
        ("Tnow", "date"),
        (" now", "date"),
        ("today  now", "time"),
        ("todayTnowTnow", "time"),
        ("tomorrowTnow", "date"),
        ("todayTthen", "time"),
        ("2026-13-01Tnow", "month"),
        ("2026-00-01Tnow", "month"),
        ("2026-01-00Tnow", "day"),
        ("2026-01-32Tnow", "day"),
        ("?-?-32Tnow", "day"),
        ("2026-02-29Tnow", "day"),
        ("?-04-31Tnow", "day"),
        ("?-02-30Tnow", "day"),
        ("2026-01Tnow", "date"),
        ("2026-01-01-01Tnow", "date"),
        ("2026--01Tnow", "month"),
        ("-01-01Tnow", "year"),
        ("2026-01-Tnow", "day"),
        ("26-01-01Tnow", "year"),
        ("02026-01-01Tnow", "year"),
        ("0000-01-01Tnow", "year"),
        ("+026-01-01Tnow", "year"),
        ("2_26-01-01Tnow", "year"),
        ("2026-+1-01Tnow", "month"),
        ("2026-1_0-01Tnow", "month"),
        ("2026-001-01Tnow", "month"),
        ("2026-01-\u0661Tnow", "day"),
        ("2026-01-\u00b9Tnow", "day"),
        ("2026-01-??Tnow", "day"),
        ("2026-01-1?Tnow", "day"),
        ("2026-01-01T24:00:00", "hour"),
        ("2026-01-01T-1:00:00", "hour"),
        ("2026-01-01T1:60:00", "minute"),
        ("2026-01-01T1:?:60", "second"),
        ("2026-01-01T1:2", "time"),
        ("2026-01-01T1:2:3:4", "time"),
        ("2026-01-01T1::3", "minute"),
        ("2026-01-01T1:2: 3", "second"),
        ("2026-01-01T1:2:3.5", "second"),
        ("2026-01-01T1:2:3Z", "second"),
        ("2026-01-01T1:2:3\n", "second"),
    ],
)
def test_what_no_time_can_fit_names_the_part(text: str, part: str) -> None:
    with pytest.raises(MaskError, match=part):
        Mask.parse(text)


@given(st.text("0123456789?-:T tTodaynw+_\u0661\n", max_size=24))
def test_whatever_is_typed_is_a_mask_with_times_or_an_error(text: str) -> None:
    with suppress(MaskError):
        found = moments(text)
        assert min(map(len, (found.dates, found.hours, found.minutes, found.seconds))) > 0


def test_masks_that_mean_the_same_have_the_same_name() -> None:
    assert moments("todayT?:?:?").name == moments("2026-2-13 ?:?:?").name
    assert moments("todayT?:?:?", NOW + timedelta(days=1)).name != moments("todayT?:?:?").name
    assert moments("todayTnow", NOW + timedelta(hours=1)).name == moments("todayTnow").name
