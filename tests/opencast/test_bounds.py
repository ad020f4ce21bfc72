"""How a window is said to an Opencast: across daylight saving, and to a server that looks at the seconds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from harvesters.opencast.bounds import DayTally, Second, seconds_to_ask, start_end
from harvesters.opencast.client import ActionPage
from harvesters.timespan import Window, day_window

NEW_YORK = ZoneInfo("America/New_York")
ZONES = [NEW_YORK, ZoneInfo("UTC"), ZoneInfo("Europe/Zurich"), ZoneInfo("Australia/Lord_Howe")]
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def java(text: str, zone: ZoneInfo) -> datetime:
    """As Java's ``SimpleDateFormat`` reads it: of a time that happens twice it means the second."""
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=zone, fold=1).astimezone(UTC)


def python(text: str, zone: ZoneInfo) -> datetime:
    """As ``java.time`` and Python read it: the first."""
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=zone, fold=0).astimezone(UTC)


class TestStartEnd:
    def test_it_is_the_servers_wall_clock(self) -> None:
        window = Window(utc(2026, 2, 13, 14, 30), utc(2026, 2, 13, 14, 32))
        assert start_end(window, NEW_YORK) == {"start": "20260213093000", "end": "20260213093200"}

    def test_parts_of_seconds_are_rounded_outwards(self) -> None:
        window = Window(utc(2026, 2, 13, 9, 0, 0, 999_999), utc(2026, 2, 13, 9, 0, 1, 1))
        assert start_end(window, ZoneInfo("UTC")) == {"start": "20260213090000", "end": "20260213090002"}

    def test_what_java_does_with_a_time_that_happens_twice(self) -> None:
        # Executed: SimpleDateFormat reads 01:30 as -05:00, so the first 01:30 cannot be said.
        assert java("20151101013000", NEW_YORK) == utc(2015, 11, 1, 6, 30)
        assert java("20151030003000", NEW_YORK) == utc(2015, 10, 30, 4, 30)

    @pytest.mark.parametrize(
        ("window", "asked"),
        [
            # From the first 01:30: an hour earlier, for 01:30 would be read as the second.
            (
                Window(utc(2015, 11, 1, 5, 30), utc(2015, 11, 1, 8)),
                {"start": "20151101003000", "end": "20151101030000"},
            ),
            # To the second 01:30: an hour later, for 01:30 might be read as the first.
            (
                Window(utc(2015, 11, 1, 3), utc(2015, 11, 1, 6, 30)),
                {"start": "20151031230000", "end": "20151101023000"},
            ),
            # Across the hour that is left out in spring.
            (
                Window(utc(2016, 3, 13, 6, 59), utc(2016, 3, 13, 7, 1)),
                {"start": "20160313015900", "end": "20160313030100"},
            ),
        ],
    )
    def test_around_daylight_saving(self, window: Window, asked: dict[str, str]) -> None:
        assert start_end(window, NEW_YORK) == asked

    @given(
        st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
        st.floats(0, 3 * 86_400),
        st.sampled_from(ZONES),
    )
    @example(utc(2015, 11, 1, 5, 30), 60.0, NEW_YORK)
    @example(utc(2015, 11, 1, 6, 30), 60.0, NEW_YORK)
    @example(utc(2015, 11, 1, 5, 0), 7200.0, NEW_YORK)
    @example(utc(2015, 11, 1, 4, 59, 59, 500_000), 1.0, NEW_YORK)
    def test_the_window_is_shown_whichever_way_the_server_reads_it(
        self, start: datetime, length: float, zone: ZoneInfo
    ) -> None:
        window = Window(start, start + timedelta(seconds=length))
        asked = start_end(window, zone)
        for read in (java, python):
            assert read(asked["start"], zone) <= window.start
            assert read(asked["end"], zone) >= window.end
            assert window.start - read(asked["start"], zone) < 2 * HOUR + SECOND
            assert read(asked["end"], zone) - window.end < 2 * HOUR + SECOND


def shown(day: date, second: float, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """What a request at that second of a minute shows of a day, both ends included."""
    whole = day_window(day, zone)
    offset = timedelta(seconds=second)
    return whole.start + offset, whole.end - timedelta(minutes=1) + offset


class TestSecondsToAsk:
    DAY = date(2026, 2, 13)

    def part(self, start: float, end: float, zone: ZoneInfo = NEW_YORK) -> Window:
        begin = day_window(self.DAY, zone).start
        return Window(begin + timedelta(seconds=start), begin + timedelta(seconds=end))

    def test_in_the_middle_of_a_day_any_second_will_do(self) -> None:
        assert seconds_to_ask(self.DAY, self.part(60, 86_340), NEW_YORK) == []
        assert seconds_to_ask(self.DAY, self.part(43_200, 43_320), NEW_YORK) == []

    def test_a_whole_day_needs_second_0_and_second_59(self) -> None:
        first, last = seconds_to_ask(self.DAY, self.part(0, 86_400), NEW_YORK)
        assert first.hi < 1
        assert 59 <= last.lo <= last.hi < 60

    def test_inside_the_first_minute_there_is_more_time(self) -> None:
        (only,) = seconds_to_ask(self.DAY, self.part(30, 43_200), NEW_YORK)
        assert (only.lo, only.hi) == (0.0, 29.5)

    @given(
        st.one_of(st.sampled_from([0, 0.5, 1, 30, 59, 60, 3600]), st.floats(0, 86_399)),
        st.one_of(st.sampled_from([1, 59, 60, 86_339, 86_340, 86_341, 86_399, 86_400]), st.floats(1, 86_400)),
        st.floats(0, 1),
        st.integers(0, 86_399),
        st.sampled_from(ZONES),
    )
    def test_asked_then_every_second_of_the_part_is_shown(
        self, start: float, end: float, within: float, row: int, zone: ZoneInfo
    ) -> None:
        assume(start < end)
        part = self.part(start, end, zone)
        # Nothing shows what happened in the very first tenths of a day; whole seconds stand for all others.
        moment = day_window(self.DAY, zone).start + timedelta(seconds=max(1, row))
        assume(moment in part)
        seconds = seconds_to_ask(self.DAY, part, zone)
        asked = [second.lo + within * (second.hi - second.lo) for second in seconds] or [within * 59.999]
        ranges = [shown(self.DAY, second, zone) for second in asked]
        assert any(begin <= moment <= finish for begin, finish in ranges)

    @given(st.floats(0, 59.9), st.floats(0, 0.09), st.datetimes(timezones=st.just(UTC), min_value=datetime(2026, 1, 1)))
    def test_the_wait_for_a_second_ends_within_it_and_takes_less_than_a_minute(
        self, lo: float, width: float, now: datetime
    ) -> None:
        second = Second(lo, lo + width)
        pause = second.wait(now)
        assert 0 <= pause < 60
        arrived = (now.second + now.microsecond / 1e6 + pause) % 60
        assert min(abs(arrived - lo), 60 - abs(arrived - lo)) <= width + 1e-6


class TestDayTally:
    def page(self, total: int | None, second: float = 30.0, took: float = 0.1) -> ActionPage:
        sent = utc(2026, 2, 13, 12, 0) + timedelta(seconds=second)
        return ActionPage([], total, sent, sent + timedelta(seconds=took))

    def tally(self, *created: str) -> DayTally:
        tally = DayTally()
        for number, text in enumerate(created):
            tally.add(number, text)
        return tally

    def test_it_is_complete_with_as_many_rows_as_the_total(self) -> None:
        tally = self.tally("2026-02-13T08:00:00Z", "2026-02-13T09:00:00-05:00")
        assert tally.complete(self.page(2))
        assert not tally.complete(self.page(3))
        assert tally.complete(self.page(None))
        assert len(tally) == 2

    def test_a_row_seen_twice_counts_once(self) -> None:
        tally = self.tally("2026-02-13T08:00:00Z")
        tally.add(0, "2026-02-13T08:00:00Z")
        assert len(tally) == 1
        assert not tally.complete(self.page(2))

    def test_a_row_of_the_first_minute_counts_only_where_the_request_could_show_it(self) -> None:
        tally = self.tally("2026-02-13T08:00:00Z", "2026-02-13T00:00:10.5Z")
        assert tally.complete(self.page(2, second=5))
        assert not tally.complete(self.page(2, second=20))
        assert tally.complete(self.page(1, second=20))

    def test_a_row_of_the_last_minute_likewise(self) -> None:
        tally = self.tally("2026-02-13T08:00:00Z", "2026-02-13T23:59:40Z")
        assert not tally.complete(self.page(2, second=5))
        assert tally.complete(self.page(2, second=45))
