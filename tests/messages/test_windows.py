"""Windows of time: moving ones between midnights of a zone, and fixed ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harvesters.messages import windows
from harvesters.messages.windows import Fixed, Moving

ROME, HAVANA, PAULO = map(ZoneInfo, ("Europe/Rome", "America/Havana", "America/Sao_Paulo"))
NOON = datetime(2021, 7, 31, 12, tzinfo=UTC)


def span(value: str, now: datetime = NOON, zone: ZoneInfo = ROME) -> list[str | None]:
    start, end = Moving(value).bounds(now, zone)
    return [start.isoformat() if start is not None else None, end.isoformat()]


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ("3D", "2021-07-28T00:00:00+02:00"),
        ("2w", "2021-07-17T00:00:00+02:00"),
        ("10M", "2020-09-30T00:00:00+02:00"),
        ("5m", "2021-02-28T00:00:00+01:00"),
        ("17m", "2020-02-29T00:00:00+01:00"),
        ("2Y", "2019-07-31T00:00:00+02:00"),
        ("0d", "2021-07-31T00:00:00+02:00"),
        ("007d", "2021-07-24T00:00:00+02:00"),
        ("all", None),
        ("ALL", None),
    ],
)
def test_a_span_ends_with_todays_midnight(value: str, start: str | None) -> None:
    assert span(value) == [start, "2021-07-31T00:00:00+02:00"]


def test_today_is_the_day_of_the_zone() -> None:
    late = datetime(2021, 7, 31, 22, 30, tzinfo=UTC)
    assert span("Today", late) == ["2021-08-01T00:00:00+02:00", "2021-08-02T00:00:00+02:00"]
    assert span("today", late, ZoneInfo("UTC")) == ["2021-07-31T00:00:00+00:00", "2021-08-01T00:00:00+00:00"]


def test_days_on_which_the_clocks_change() -> None:
    spring, autumn = datetime(2021, 3, 28, 12, tzinfo=UTC), datetime(2021, 10, 31, 12, tzinfo=UTC)
    assert span("today", spring) == ["2021-03-28T00:00:00+01:00", "2021-03-29T00:00:00+02:00"]
    assert span("today", autumn) == ["2021-10-31T00:00:00+02:00", "2021-11-01T00:00:00+01:00"]
    # There is no midnight on that day, and here it is there twice: the day begins with the first.
    gap = Moving("today").bounds(datetime(2018, 11, 4, 12, tzinfo=UTC), PAULO)
    assert gap.start == datetime(2018, 11, 4, 3, tzinfo=UTC)
    twice = Moving("today").bounds(datetime(2021, 11, 7, 12, tzinfo=UTC), HAVANA)
    assert twice.start == datetime(2021, 11, 7, 4, tzinfo=UTC)
    assert twice.end - twice.start == timedelta(hours=25)


@given(st.dates(date(1971, 1, 1), date(2100, 1, 1)), st.sampled_from([ROME, HAVANA, PAULO]))
@example(date(2021, 3, 28), ROME)
@example(date(2018, 11, 4), PAULO)
def test_the_day_before_ends_where_today_begins(day: date, zone: ZoneInfo) -> None:
    now, next = (datetime.combine(each, time(12), zone) for each in (day, day + timedelta(days=1)))
    today = Moving("today").bounds(now, zone)
    assert Moving("1d").bounds(next, zone) == today
    assert Moving("1d").bounds(now, zone).end == today.start


@given(st.integers(0, 30_000), st.sampled_from("dwmyDWMY"))
def test_any_number_is_a_span_or_an_error(number: int, unit: str) -> None:
    window, days = Moving(f"{number}{unit}"), {"d": 1, "w": 7, "m": 30.4375, "y": 365.25}[unit.lower()] * number
    if days > 2020.6 * 365.25:
        with pytest.raises(ValueError, match="begins before the first year"):
            window.bounds(NOON, ROME)
    elif days < 2020.5 * 365.25:
        start, end = window.bounds(NOON, ROME)
        assert start is not None
        assert (end - start).total_seconds() / 86400 == pytest.approx(days, abs=18)  # of two calendars


@pytest.mark.parametrize("value", ["2021y", "99999999999999999999d", f"{'9' * 5000}w", "30000m"])
def test_a_span_that_the_calendar_has_no_room_for_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match="begins before the first year"):
        Moving(value).bounds(NOON, ROME)


@pytest.mark.parametrize("value", ["", "D", "1", "1h", "-1d", "1 d", "1d\n", "٣d", "yesterday"])
def test_what_is_no_span(value: str) -> None:
    with pytest.raises(ValueError, match="is no span"):
        Moving(value)


def test_a_fixed_window_keeps_its_offsets_and_is_utc_without() -> None:
    window = Fixed.parse("2021-01-01", "2021-01-02T00:00:00.000001+02:00")
    assert window.out() == {
        "type": "fixed",
        "start": "2021-01-01T00:00:00",
        "end": "2021-01-02T00:00:00.000001+02:00",
    }
    assert [each and each.isoformat() for each in window.bounds(NOON, ROME)] == [
        "2021-01-01T00:00:00+00:00",
        "2021-01-02T00:00:00.000001+02:00",
    ]
    assert Fixed.parse("2021-01-01T00:00:00Z", "2021-01-01").out()["start"] == "2021-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2021-01-02", "2021-01-01"),
        ("2021-01-01T00:00:00", "2021-01-01T01:00:00+02:00"),
        ("2021-01-01T00:00:00.000001", "2021-01-01"),
        ("0001-01-01T00:00:00+02:00", "2021-01-01"),
        ("2021-01-01", "9999-12-31T23:00:00-02:00"),
        ("yesterday", "2021-01-01"),
    ],
)
def test_what_is_no_fixed_window(start: str, end: str) -> None:
    with pytest.raises(ValueError, match=r"starts after|beyond the calendar|is no time"):
        Fixed.parse(start, end)


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ({"type": "DEFAULT", "value": "7D"}, {"type": "moving", "value": "7D"}),
        ({"type": "Moving", "value": "all"}, {"type": "moving", "value": "all"}),
        (
            {"type": "Custom", "start": "2021-01-01", "end": "2021-02-01"},
            {"type": "fixed", "start": "2021-01-01T00:00:00", "end": "2021-02-01T00:00:00"},
        ),
    ],
)
def test_older_names_are_rewritten(given: Any, out: Any) -> None:
    assert windows.parse(given).out() == out


@pytest.mark.parametrize(
    "given",
    [None, [], "7D", {}, {"type": "moving"}, {"type": "moving", "value": 7}, {"type": "fixed", "start": "2021-01-01"}],
)
def test_what_is_no_timespan(given: Any) -> None:
    with pytest.raises(ValueError, match="timespan"):
        windows.parse(given)
