"""Local days, of many instants at once."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from harvesters.insights.calendar import Calendar
from tests.insights.made import ms

MINUTE, HOUR = 60_000, 3_600_000


@pytest.mark.parametrize(
    ("name", "around"),
    [
        ("UTC", "2016-02-29T00:00:00+00:00"),
        ("America/Los_Angeles", "2016-03-13T10:00:00+00:00"),
        ("America/Los_Angeles", "2015-11-01T09:00:00+00:00"),
        ("Asia/Kathmandu", "2016-01-01T18:15:00+00:00"),
        ("America/St_Johns", "2008-11-02T02:31:00+00:00"),  # at one past midnight it was 23:01 again
        ("Pacific/Apia", "2011-12-30T10:00:00+00:00"),  # there was no 30 December
    ],
)
def test_each_instant_lies_in_the_day_that_clocks_show(name: str, around: str) -> None:
    calendar = Calendar(ZoneInfo(name))
    instants = [ms(around) + minutes * MINUTE + 1 for minutes in range(-2000, 2000, 7)]
    numbers = calendar.numbers(np.array(instants, dtype=np.int64))
    assert [date.fromordinal(719_163 + int(number)) for number in numbers] == [calendar.day(at) for at in instants]
