"""The arithmetic of attendance."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.search.reader import IndexReader, Query
from harvesters.tables.attendance import Attendance, percent, touched
from harvesters.tables.selection import Selection


@pytest.mark.parametrize(
    ("seen", "duration", "share"),
    [(0, 1, 0), (1, 1, 100), (1, 300_000, 100), (1, 300_001, 50), (29, 30_000_000, 29), (13, 3_600_000, 100)],
)
def test_examples(seen: int, duration: int, share: int) -> None:
    assert percent(seen, duration, 300) == share


@given(st.integers(0, 10**5), st.integers(1, 10**9), st.integers(1, 10**5))
def test_it_is_the_whole_part_of_the_share(seen: int, duration: int, chunk: int) -> None:
    chunks = math.ceil(Fraction(duration, chunk * 1000))
    assert percent(seen, duration, chunk) == min(100, math.floor(Fraction(100 * seen, chunks)))


@pytest.mark.parametrize(
    ("intervals", "chunks"),
    [
        ([], 0),
        ([(0, 1)], 1),
        ([(0, 300)], 1),
        ([(0, 301)], 2),
        ([(299, 301), (300, 300)], 2),
        ([(0, 10), (20, 30), (600, 601)], 2),
        ([(0, 601), (10, 20), (300, 302)], 3),
        ([(5, 5), (7, 3)], 0),
        ([(-10, 0), (-10, -20)], 0),
        ([(-10, 1)], 1),
        ([(899, 900), (1000, 2000)], 1),
        ([(-(2**31), 2**31)], 4),
    ],
)
def test_chunks_that_intervals_touch(intervals: list[tuple[int, int]], chunks: int) -> None:
    assert touched(sorted(intervals), 1_000_000, 300) == chunks


@given(st.lists(st.tuples(st.integers(-50, 400), st.integers(-50, 400))), st.integers(1, 300_000), st.integers(1, 90))
def test_they_are_those_of_each_second(intervals: list[tuple[int, int]], duration: int, chunk: int) -> None:
    seconds = {second for begin, end in intervals for second in range(max(0, begin), end) if second * 1000 < duration}
    assert touched(sorted(intervals), duration, chunk) == len({second // chunk for second in seconds})


class Prints(IndexReader):
    """An index of one episode, with `viewers` who left a hundred footprints each; answers as a cluster's pages do."""

    def __init__(self, viewers: int) -> None:
        self.viewers = viewers
        self.index = "useractions-*"

    def exact(self, name: str) -> str:
        return name

    def boolean(self, name: str) -> str:
        return name

    def search(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"hits": {"total": {"value": 1}}}

    def documents(self, query: Query, key: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        yield {"mpid": "mp-1", "duration": 3_600_000}

    def buckets(
        self, sources: Mapping[str, Query], query: Query, aggs: Query | None = None, size: int = 10_000
    ) -> Iterator[dict[str, Any]]:
        if "outpoint" not in sources:
            counted = "FOOTPRINT" in str(query)
            yield from ({"key": {"mpid": "mp-1"}, "doc_count": 100 * self.viewers},) if counted else ()
            return
        for viewer in range(self.viewers):
            for second in range(0, 3600, 36):
                points = {"inpoint": second, "outpoint": second + 18}
                yield {"key": {"mpid": "mp-1", "huid": f"v{viewer:06}", **points}, "doc_count": 1}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_footprints() -> None:
    peaks = []
    for viewers in (20, 2000):
        reader = Prints(viewers)
        tracemalloc.start()
        rows = sum(row["vod_attendance"] == 100 for row in Attendance(Selection(reader), reader).rows())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert rows == viewers
    assert peaks[1] < 2 * peaks[0] + 100_000
