"""Sets of instants: union, intersection and difference, held to what a list of seconds says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harvesters.intervals import Intervals
from harvesters.timespan import Window

START = datetime(2026, 2, 1, tzinfo=UTC)
SECONDS = 40


def window(start: int, end: int) -> Window:
    return Window(START + timedelta(seconds=start), START + timedelta(seconds=end))


ends = st.lists(st.integers(0, SECONDS), min_size=2, max_size=2).map(sorted)
sets = st.lists(ends.map(lambda pair: window(*pair)), max_size=8).map(Intervals.of)


def seconds(intervals: Intervals) -> set[int]:
    return {second for second in range(SECONDS) for one in intervals if START + timedelta(seconds=second) in one}


@given(sets, sets)
def test_they_are_sets(one: Intervals, other: Intervals) -> None:
    assert seconds(one | other) == seconds(one) | seconds(other)
    assert seconds(one & other) == seconds(one) & seconds(other)
    assert seconds(one - other) == seconds(one) - seconds(other)


@given(sets, sets)
def test_they_stay_disjoint_apart_and_in_order(one: Intervals, other: Intervals) -> None:
    for result in (one | other, one & other, one - other):
        assert all(not part.empty for part in result)
        assert all(before.end <= after.start for before, after in pairwise(result.windows))
        assert Intervals.of(result.windows) == Intervals.of(result)
    joined = (one | other).windows
    assert all(before.end < after.start for before, after in pairwise(joined))


@given(sets)
def test_they_come_back_from_json(one: Intervals) -> None:
    assert Intervals.decode(one.encode()) == one


@given(sets, ends)
def test_covering_and_touching(one: Intervals, pair: list[int]) -> None:
    wanted = window(*pair)
    asked = set(range(*pair))
    assert one.covers(wanted) == (asked <= seconds(one))
    assert one.touches(wanted) == bool(asked & seconds(one))
