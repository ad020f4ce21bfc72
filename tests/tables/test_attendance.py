"""The arithmetic of attendance."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.tables.attendance import percent


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
