"""Windows, days, and the reading and writing of times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from harvesters.errors import SpanRefused
from harvesters.timespan import (
    SpanGuard,
    Window,
    day_window,
    floor_second,
    format_checkpoint,
    iso,
    parse_checkpoint,
    parse_moment,
    zone,
)

NEW_YORK = ZoneInfo("America/New_York")
# Whole and half hours, DST in both hemispheres, DST at midnight, a day that did not happen, no DST.
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "America/New_York",
        "Europe/Zurich",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "America/Havana",
        "Pacific/Apia",
        "Asia/Kolkata",
    )
]
zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
seconds = moments.map(floor_second)


@st.composite
def windows(draw: st.DrawFn, longest: float = 40 * 86_400) -> Window:
    start = draw(moments)
    return Window(start, start + timedelta(seconds=draw(st.floats(0, longest))))


class TestWindow:
    def test_it_holds_its_start_and_not_its_end(self) -> None:
        start, end = datetime(2026, 2, 13, tzinfo=UTC), datetime(2026, 2, 14, tzinfo=UTC)
        assert start in Window(start, end)
        assert end not in Window(start, end)
        assert start not in Window(start, start)
        assert Window(start, start).empty

    def test_it_is_kept_in_utc(self) -> None:
        window = Window(datetime(2026, 7, 1, 8, tzinfo=NEW_YORK), datetime(2026, 7, 1, 9, tzinfo=NEW_YORK))
        assert str(window) == "2026-07-01T12:00:00Z/2026-07-01T13:00:00Z"
        assert window.start.tzinfo is UTC

    def test_it_refuses_naive_ends_and_an_end_before_its_start(self) -> None:
        moment = datetime(2026, 2, 13, tzinfo=UTC)
        with pytest.raises(ValueError, match="aware"):
            Window(datetime(2026, 2, 13), moment)
        with pytest.raises(ValueError, match="after it ends"):
            Window(moment, moment - timedelta(seconds=1))

    def test_its_length_counts_the_days(self) -> None:
        start = datetime(2026, 2, 13, tzinfo=UTC)
        assert Window(start, start + timedelta(days=3, seconds=5)).seconds == 3 * 86_400 + 5

    @given(windows(), windows(), moments)
    def test_an_intersection_holds_what_both_hold(self, one: Window, other: Window, moment: datetime) -> None:
        both = one.intersection(other)
        for instant in (moment, one.start, one.end, other.start, other.end):
            assert (both is not None and instant in both) == (instant in one and instant in other)


class TestDays:
    @given(windows(), zones)
    @example(
        Window(datetime(2018, 11, 3, tzinfo=UTC), datetime(2018, 11, 6, tzinfo=UTC)), ZoneInfo("America/Sao_Paulo")
    )
    @example(Window(datetime(2011, 12, 29, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC)), ZoneInfo("Pacific/Apia"))
    def test_the_parts_make_up_the_window_and_lie_in_their_days(self, window: Window, zone: ZoneInfo) -> None:
        parts = list(window.days(zone))
        if window.empty:
            assert not parts
            return
        assert parts[0][1].start == window.start
        assert parts[-1][1].end == window.end
        assert all(one[1].end == two[1].start and one[0] < two[0] for one, two in pairwise(parts))
        for day, part in parts:
            assert not part.empty
            assert part.start.astimezone(zone).date() == day
            assert (part.end - timedelta(microseconds=1)).astimezone(zone).date() == day

    @pytest.mark.parametrize(("day", "hours"), [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 2, 13), 24)])
    def test_a_day_has_as_many_hours_as_its_zone_says(self, day: tuple[int, int, int], hours: int) -> None:
        assert day_window(date(*day), NEW_YORK).seconds == hours * 3600


# Small whole numbers for instants, so that ends meet and overlap often, and a set of instants is the whole truth.
ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)


class TestSpanGuard:
    def test_days_count(self) -> None:
        # `timedelta.seconds` of two days and five seconds is 5.
        start = datetime(2026, 2, 13, tzinfo=UTC)
        window = Window(start, start + timedelta(days=2, seconds=5))
        with pytest.raises(SpanRefused) as refused:
            SpanGuard(86_400).check(window, "s3://bucket/key")
        text = str(refused.value)
        assert "172805 s" in text
        assert "MAX_START_END_SPAN" in text
        assert "--disable-start-end-span-check" in text
        assert "deleting s3://bucket/key" in text
        assert "--start/--end" in text
        assert refused.value.code == 3

    def test_exactly_the_limit_is_allowed_and_no_limit_allows_all(self) -> None:
        start = datetime(2026, 2, 13, tzinfo=UTC)
        SpanGuard(86_400).check(Window(start, start + timedelta(days=1)), "")
        SpanGuard(None).check(Window(start, start + timedelta(days=4000)), "")
        with pytest.raises(SpanRefused):
            SpanGuard(86_400).check(Window(start, start + timedelta(days=1, microseconds=1)), "")


class TestParseMoment:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("20260213093000", "2026-02-13T14:30:00Z"),
            (" 20260213093000\n", "2026-02-13T14:30:00Z"),
            ("2026-02-13T09:30:00", "2026-02-13T14:30:00Z"),
            ("2026-02-13 09:30", "2026-02-13T14:30:00Z"),
            ("2026-02-13T09:30:00Z", "2026-02-13T09:30:00Z"),
            ("2026-02-13T09:30:00+01:00", "2026-02-13T08:30:00Z"),
            # As a checkpoint is written, for it is what an operator copies from there.
            ("20260213093000Z", "2026-02-13T09:30:00Z"),
            ("20260213000510Z", "2026-02-13T00:05:10Z"),
            ("20260213000510+01:00", "2026-02-12T23:05:10Z"),
            ("20260213000510-0500", "2026-02-13T05:05:10Z"),
            ("20260213T093000Z", "2026-02-13T09:30:00Z"),
            ("2026-02-13", "2026-02-13T05:00:00Z"),
            ("20260213", "2026-02-13T05:00:00Z"),
            # The clock shows 01:30 twice: the first is meant. It never shows 02:30: the offset before counts.
            ("20151101013000", "2015-11-01T05:30:00Z"),
            ("20160313023000", "2016-03-13T07:30:00Z"),
        ],
    )
    def test_it_reads_both_forms_in_the_zone(self, text: str, expected: str) -> None:
        assert iso(parse_moment(text, NEW_YORK)) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "now",
            "2026",
            "202602",
            "20261332000000",
            "20260230000000",
            "2026021309300",
            "202602130930000",
            "12:30",
            "202602130930Z",
            "2026021300051Z",
            "20260213000510.5",
            "20260213000510+1",
            "1e13",
            "2026-02-30",
            "0001-01-01T00:00:00+14:00",
        ],
    )
    def test_anything_else_is_refused_with_both_forms(self, text: str) -> None:
        with pytest.raises(ValueError, match="YYYYMMDDHHmmss or ISO 8601"):
            parse_moment(text, NEW_YORK)

    @given(seconds, zones)
    def test_what_a_zone_writes_without_offset_is_read_back(self, moment: datetime, zone: ZoneInfo) -> None:
        local = moment.astimezone(zone)
        assume(local.fold == 0)  # the second time round cannot be said without an offset
        assert parse_moment(local.strftime("%Y%m%d%H%M%S"), zone) == moment
        assert parse_moment(local.replace(tzinfo=None).isoformat(), zone) == moment

    @given(moments, zones, zones)
    def test_an_offset_wins_over_the_zone(self, moment: datetime, one: ZoneInfo, other: ZoneInfo) -> None:
        assert parse_moment(moment.astimezone(one).isoformat(), other) == moment
        assert parse_moment(iso(moment), other) == moment


class TestCheckpointText:
    @given(moments, zones)
    def test_it_is_the_second_that_holds_the_moment_whatever_the_zone(self, moment: datetime, zone: ZoneInfo) -> None:
        text = format_checkpoint(moment.astimezone(zone))
        assert len(text) == 15
        assert text.endswith("Z")
        assert parse_checkpoint(text, zone) == floor_second(moment)
        assert parse_checkpoint(text + "\n", zone) == floor_second(moment)

    @given(seconds, zones)
    def test_without_z_it_is_in_the_zone(self, moment: datetime, zone: ZoneInfo) -> None:
        local = moment.astimezone(zone)
        assume(local.fold == 0)
        assert parse_checkpoint(local.strftime("%Y%m%d%H%M%S"), zone) == moment

    @pytest.mark.parametrize(
        "text", ["", "Z", "2026-02-13T09:30:00Z", "20260213", "20260230000000Z", "20260213093000z"]
    )
    def test_anything_else_is_none(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"is no (checkpoint|time)"):
            parse_checkpoint(text, UTC)


@pytest.mark.parametrize("name", ["", "Nowhere/City", "../etc/passwd", "\0", "/etc/localtime"])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone(name)
