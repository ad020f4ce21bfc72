"""Sums of what views count, by their logarithms."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isclose, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.errors import ConfigError
from harvesters.listings import hot
from harvesters.settings import Settings

DAY = 86_400.0


def minute(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) // 60


def test_a_view_counts_twice_as_much_as_one_a_half_life_before() -> None:
    assert hot.weight(minute(2026, 1, 1), DAY) == 0.0
    assert hot.weight(minute(2026, 1, 11), DAY) == 10.0
    assert hot.weight(minute(2025, 12, 31, 12), DAY) == -0.5
    assert hot.weight(minute(2026, 1, 1, 0, 1), 60) == 1.0


@given(st.lists(st.integers(minute(2025, 1, 1), minute(2027, 1, 1)), min_size=1, max_size=30), st.randoms())
def test_the_sum_is_that_of_the_definition_in_any_order(minutes: list[int], dice: object) -> None:
    """By hand where a double holds it: two years are 730 half-lives of a day."""
    weights = [hot.weight(each, DAY) for each in minutes]
    total = weights[0]
    for each in weights[1:]:
        total = hot.together(total, each)
    assert isclose(total, log2(sum(2.0 ** (each - 366) for each in weights)) + 366, abs_tol=1e-9)


def test_it_holds_where_the_sum_itself_is_larger_than_any_double() -> None:
    later = hot.weight(minute(2036, 1, 1), 60)
    assert later > 5_000_000
    assert hot.together(later, later) == later + 1
    assert hot.together(later, 0.0) == later
    assert hot.together(-later, later) == later


def test_a_million_views_add_up() -> None:
    total = 200.0
    for _ in range(999_999):
        total = hot.together(total, 200.0)
    assert isclose(total, 200 + log2(1_000_000), abs_tol=1e-7)


@pytest.mark.parametrize("text", ["0", "-1", "0.5", "soon"])
def test_a_half_life_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="LISTINGS_HOT_HALF_LIFE"):
        hot.half_life(Settings({"LISTINGS_HOT_HALF_LIFE": text}))
    assert hot.half_life(Settings()) == DAY
