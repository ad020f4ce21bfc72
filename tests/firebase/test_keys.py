from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.firebase.keys import children_of, rank, split_path, time_of
from harvesters.firebase.pushid import push_floor
from harvesters.simulators.firebase.order import key_rank

KEYS = st.one_of(
    st.text(min_size=1, max_size=6),
    st.integers(-(2**33), 2**33).map(str),
    st.integers(0, 99).map(lambda number: f"{number:03}"),
    st.sampled_from(["-", "-0", "0", "00", "2147483647", "2147483648", "-2147483648", "\uffee", "\U0001f600", "٣"]),
)


@given(st.lists(KEYS, max_size=12))
def test_the_order_is_the_databases(keys: list[str]) -> None:
    assert sorted(keys, key=rank) == sorted(keys, key=key_rank)


def test_integers_come_first_and_by_number() -> None:
    keys = ["b", "10", "-JhLeOlGIEjaIOFHR0xd", "9", "2147483648", "-3", "a", "07", "7"]
    assert sorted(keys, key=rank) == ["-3", "7", "07", "9", "10", "-JhLeOlGIEjaIOFHR0xd", "2147483648", "a", "b"]


def test_text_beyond_the_basic_plane_is_ordered_by_code_units() -> None:
    assert rank("\U0001f600") < rank("\uffee")


def test_a_list_has_its_indices_as_keys_and_gaps_are_no_children() -> None:
    assert children_of([None, "a", None, {"x": 1}]) == [("1", "a"), ("3", {"x": 1})]


def test_what_has_no_children_has_none() -> None:
    values: tuple[Any, ...] = (None, 5, "text", True, {}, [])
    assert [children_of(value) for value in values] == [[]] * 6


def test_keys_of_the_export_format_are_no_children() -> None:
    assert children_of({".priority": 1, "b": 2, "a": 1}) == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", ()), ("/", ()), ("events", ("events",)), ("/events/.json", ("events",)), ("a/b c/", ("a", "b c"))],
)
def test_paths(text: str, keys: tuple[str, ...]) -> None:
    assert split_path(text) == keys


@pytest.mark.parametrize("text", ["a.b", "a/$b", "a#", "[x]", "a\nb"])
def test_what_no_database_has_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        split_path(text)


def test_a_push_id_of_a_clock_ahead_of_time_tells_no_time() -> None:
    assert time_of(push_floor(1000), latest=1000) == 1000
    assert time_of(push_floor(1001), latest=1000) is None
    assert time_of("group-reminder-x-1000", latest=10**15) is None
