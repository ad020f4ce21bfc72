"""The source's time, by the ``Date`` of its answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harvesters.sourceclock import SourceClock
from tests.clocks import FakeClock

NOW = datetime(2016, 3, 1, 12, tzinfo=UTC)


def test_it_goes_on_from_the_last_date() -> None:
    ours = FakeClock(NOW)
    source = SourceClock(ours)
    assert source.now() is None
    source.hear("Tue, 01 Mar 2016 11:00:00 GMT")
    ours.advance(90)
    assert source.now() == NOW - timedelta(hours=1) + timedelta(seconds=90)
    assert source.earlier() - NOW + timedelta(hours=1) < timedelta(seconds=91)


def test_the_earlier_of_two_clocks_counts() -> None:
    source = SourceClock(FakeClock(NOW))
    assert source.earlier() == NOW
    source.hear("Tue, 01 Mar 2016 13:00:00 GMT")
    assert source.earlier() == NOW


def test_a_date_without_its_milliseconds_is_no_clock_behind_ours() -> None:
    source = SourceClock(FakeClock(NOW + timedelta(milliseconds=700)))
    source.hear("Tue, 01 Mar 2016 12:00:00 GMT")
    assert source.earlier() == NOW + timedelta(milliseconds=700)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Tue, 99 Mar 2016 11:00:00 GMT", "0"])
def test_what_is_no_date_says_nothing(date: str | None) -> None:
    source = SourceClock(FakeClock(NOW))
    source.hear(date)
    assert source.now() is None
