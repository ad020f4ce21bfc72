"""The events themselves: their fields, and that a seed gives the same ones, everywhere and however many."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.logs.events import BLOCK, FIELDS, Events, id_of
from harvesters.logs.masks import Mask

NOW = datetime(2026, 2, 13, 9, 30, 7, tzinfo=UTC)


def lines(count: int, seed: int | None = 1, mask: str = "2026-02-13T?:?:?") -> list[bytes]:
    return [*chain.from_iterable(Events(Mask.parse(mask).at(NOW), seed).blocks(count))]


@pytest.fixture(scope="module")
def many() -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(60_000)]


def spread(counts: Counter[Any], expected: int) -> bool:
    """Whether so many values came, none of them far more often than another: Pearson's test, at six sigmas."""
    mean = counts.total() / expected
    chi = sum((number - mean) ** 2 / mean for number in counts.values())
    degrees = expected - 1
    return len(counts) == expected and abs(chi - degrees) < 6 * (2 * degrees) ** 0.5


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("url", [f"http://example.com/?url={number:03d}" for number in range(16)]),
        ("ua_country", ["VI", "EG", "US", "UK", "CN", "CA", "DE", "MX", "FR", "BR"]),
        ("userId", [f"user{number:03d}" for number in range(1, 16)]),
        ("browser", ["Chrome", "Safari", "IE", "Firefox", "Edge"]),
        ("ua_os", ["Mac", "Android", "Linux", "IOS", "windows"]),
        ("responseCode", [501, 100, 200, 201, 303, 411, 403, 406, 507, 208, 426]),
        ("ttfb", [number / 100 for number in range(40, 1061)]),
    ],
)
def test_each_value_of_a_field_is_equally_likely(many: list[dict[str, Any]], field: str, values: list[Any]) -> None:
    counts = Counter(event[field] for event in many)
    assert set(counts) == set(values)
    assert spread(counts, len(values))


def test_fields_do_not_hang_together(many: list[dict[str, Any]]) -> None:
    assert spread(Counter((event["url"], event["browser"]) for event in many), 80)
    assert spread(Counter((event["userId"], event["eventTime"][11:13]) for event in many), 360)
    assert spread(Counter((event["responseCode"], int(event["location"]["lat"] // 10)) for event in many), 198)


def test_every_event_is_whole(many: list[dict[str, Any]]) -> None:
    assert {tuple(event) for event in many} == {FIELDS}
    assert len({event["logID"] for event in many}) == len(many)
    for event in many[:5000]:
        found = UUID(event["logID"])
        assert (str(found), found.version, found.variant) == (event["logID"], 4, "specified in RFC 4122")
        assert re.fullmatch(r"2026-02-13T\d\d:\d\d:\d\d", event["eventTime"])
        datetime.fromisoformat(event["eventTime"])


def test_places_are_anywhere_on_earth_with_five_decimals(many: list[dict[str, Any]]) -> None:
    for name, most in (("lat", 90), ("lon", 180)):
        found = [event["location"][name] for event in many]
        assert all(-most <= value <= most for value in found)
        assert found == [round(value, 5) for value in found]
        assert spread(Counter(int((value + most) * 100 / (2 * most + 0.001)) for value in found), 100)
    assert {tuple(event["location"]) for event in many} == {("lat", "lon")}


def test_bounds_are_drawn_too() -> None:
    events = Events(Mask.parse("todayT?:?:?").at(NOW), 1)
    for number, wanted in ((0.0, (0.4, -90.0, -180.0)), (1 - 2**-53, (10.6, 90.0, 180.0))):
        events._draw = lambda number=number: number  # type: ignore[misc]
        event = json.loads(next(events.blocks(1))[0])
        assert (event["ttfb"], event["location"]["lat"], event["location"]["lon"]) == wanted


def test_every_date_that_fits_is_equally_likely() -> None:
    assert spread(Counter(json.loads(line)["eventTime"] for line in lines(30_000, mask="2024-02-?T12:00:00")), 29)
    leap = {json.loads(line)["eventTime"] for line in lines(3_000, mask="?-02-29T12:00:00")}
    assert leap == {"2024-02-29T12:00:00", "2028-02-29T12:00:00"}
    months = Counter(json.loads(line)["eventTime"][5:7] for line in lines(30_000, mask="2026-?-31T1:1:1"))
    assert spread(months, 7)
    times = Counter(json.loads(line)["eventTime"][14:] for line in lines(30_000, mask="todayT12:0:?"))
    assert spread(times, 60)


def test_a_seed_gives_the_same_bytes_on_every_machine() -> None:
    """Were they to change, so would the documents of everybody who generates them again."""
    digest = hashlib.sha256(b"\n".join(lines(2_500, seed=1))).hexdigest()
    assert digest == "83f828ac0c33d0a8af286fe5ff25ece94a10614e4ae0cc6ba051bcbf31fca61f"


@given(st.integers(0, 2 * BLOCK), st.integers(0, 2 * BLOCK), st.integers())
def test_the_first_events_are_the_same_however_many_follow(few: int, more: int, seed: int) -> None:
    few, more = sorted((few, more))
    assert lines(more, seed)[:few] == lines(few, seed)
    assert len(lines(more, seed)) == more


def test_another_seed_or_mask_and_no_seed_give_others() -> None:
    ids = [
        {id_of(line) for line in lines(10, seed, mask)}
        for seed, mask in [
            (1, "todayT?:?:?"),
            (2, "todayT?:?:?"),
            (-1, "todayT?:?:?"),
            (1, "2026-02-14T?:?:?"),
            (1, "todayT12:?:?"),
            (None, "todayT?:?:?"),
            (None, "todayT?:?:?"),
        ]
    ]
    assert len(set().union(*ids)) == 10 * len(ids)


def test_any_number_of_them_is_made_piece_by_piece() -> None:
    events = Events(Mask.parse("todayT?:?:?").at(NOW), 1)
    assert [len(block) for block in islice(events.blocks(10**30), 3)] == [BLOCK] * 3
    assert [len(block) for block in events.blocks(2 * BLOCK + 1)] == [BLOCK, BLOCK, 1]
    assert [*events.blocks(0)] == []
