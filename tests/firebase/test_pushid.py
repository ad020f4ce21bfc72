"""Push ids: the two published samples, and the laws that the incremental harvest leans on."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.firebase.pushid import ALPHABET, MAX_MS, PushIds, is_push_id, push_floor, push_ms

MS = st.integers(0, MAX_MS)
PUSH_ID = st.text(st.sampled_from(ALPHABET), min_size=20, max_size=20)


@pytest.mark.parametrize(
    ("key", "when"),
    [
        ("-JhLeOlGIEjaIOFHR0xd", datetime(2015, 2, 4, 22, 15, 31, 153000, UTC)),
        ("-JsR2brAMCP_V0uYTpw4", datetime(2015, 6, 22, 16, 16, 28, 619000, UTC)),
    ],
)
def test_a_known_push_id_holds_its_time(key: str, when: datetime) -> None:
    assert datetime.fromtimestamp(push_ms(key) / 1000, UTC) == when


@given(MS)
def test_the_floor_holds_its_millisecond(ms: int) -> None:
    assert push_ms(push_floor(ms)) == ms


@given(PUSH_ID)
def test_every_id_lies_between_the_floor_of_its_millisecond_and_the_next(key: str) -> None:
    ms = push_ms(key)
    assert push_floor(ms) <= key
    assert ms == MAX_MS or key < push_floor(ms + 1)


@given(PUSH_ID, PUSH_ID)
def test_an_earlier_time_means_a_smaller_id(one: str, other: str) -> None:
    if push_ms(one) < push_ms(other):
        assert one < other


@given(st.integers(0), st.lists(MS, max_size=30).map(sorted))
def test_one_client_makes_ascending_ids(seed: int, clock: list[int]) -> None:
    random = Random(seed)
    random.getrandbits = lambda bits: 0  # type: ignore[method-assign]  # a tail that cannot overflow
    ids = PushIds(random)
    keys = [ids.next(ms) for ms in clock]
    assert keys == sorted(set(keys))
    assert [push_ms(key) for key in keys] == clock


@pytest.mark.parametrize("key", ["", "group-reminder-7-1450000000000", "-JhLeOlGIEjaIOFHR0x", "-JhLeOlGIEjaIOFHR0x!"])
def test_another_key_is_no_push_id(key: str) -> None:
    assert not is_push_id(key)
    with pytest.raises(ValueError, match="not a push id"):
        push_ms(key)


@pytest.mark.parametrize("ms", [-1, MAX_MS + 1])
def test_a_time_that_does_not_fit_is_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        push_floor(ms)
