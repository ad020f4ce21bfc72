"""Where analytics lie: found at once, changed where they are, and gone when they are deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.messages.desk import MOVING, TOTAL, Desk, desk_for_a_test

FIXED = {"type": "fixed", "start": "2021-03-01T00:00:00", "end": "2021-03-04T00:00:00+02:00"}


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    with desk_for_a_test(request) as desk:
        desk.load_ours()
        yield desk


def test_one_is_found_at_once_in_the_index_of_its_day(desk: Desk) -> None:
    id = desk.keep()
    found = desk.store.find(id)
    assert found is not None
    assert found.place[0] == "analytic-2021-03-05"
    assert found.out() == {"id": id, "descriptor": {**TOTAL, "timespan": MOVING}, "result": None}
    assert desk.store.find("another") is None
    assert desk.keep() != id


def test_there_are_none_without_an_index(desk: Desk) -> None:
    assert desk.store.find("x") is None
    assert desk.store.delete("x") == 0
    assert [*desk.store.all()] == []


def test_an_older_one_is_changed_where_it_is(desk: Desk) -> None:
    desk.ask("DELETE", "/_index_template/analytics")
    desk.keep_old("old-1", {**TOTAL, "timespan": {"type": "DEFAULT", "value": "1D"}}, {"count": 1, "type": "count"})
    found = desk.store.find("old-1")
    assert found is not None
    assert found.out()["descriptor"]["timespan"] == {"type": "moving", "value": "1D"}
    assert desk.store.settle(found, {"count": 5, "type": "count"})
    (hit,) = desk.hits("analytic-*")
    assert hit["_index"] == "analytic-p-user"
    assert hit["_source"]["result"]["count"] == 5
    assert desk.store.delete("old-1") == 1
    assert desk.analytics() == {}


def test_what_was_deleted_meanwhile_stays_deleted(desk: Desk) -> None:
    id = desk.keep()
    found = desk.store.find(id)
    assert found is not None
    assert desk.store.delete(id) == 1
    assert not desk.store.settle(found, {"count": 1})
    assert desk.analytics() == {}
    desk.ask("DELETE", "/analytic-2021-03-05")
    assert not desk.store.settle(found, {"count": 1})
    assert desk.store.find(id) is None


def test_what_somebody_changed_meanwhile_gets_the_later_result(desk: Desk) -> None:
    id = desk.keep()
    first, second = desk.store.find(id), desk.store.find(id)
    assert first is not None
    assert second is not None
    assert desk.store.settle(first, {"count": 1})
    assert desk.store.settle(second, {"count": 2})
    assert desk.result(id) == {"count": 2}


def test_a_result_of_any_shape_fits(desk: Desk) -> None:
    id = desk.keep()
    for result in ({"aggregation": {"avg": 1.5}}, {"aggregation": {"1.0": 3}}, {"aggregation": 7}, None):
        found = desk.store.find(id)
        assert found is not None
        assert desk.store.settle(found, result)
        assert desk.result(id) == result


@pytest.mark.parametrize(
    ("timespan", "result", "is_due"),
    [
        (MOVING, {"creationDt": "2021-03-05T00:00:00"}, True),
        ({"type": "DEFAULT", "value": "all"}, None, True),
        (FIXED, None, True),
        (FIXED, {"creationDt": "2021-03-03T21:59:59"}, True),
        (FIXED, {"creationDt": "2021-03-03T22:00:00"}, False),
        (FIXED, {"creationDt": "2021-03-03T23:00:00+01:00"}, False),
        (FIXED, {"creationDt": "2021-03-03T23:00:00+02:00"}, True),
        (FIXED, {"creationDt": "nonsense"}, True),
        (FIXED, {"count": 1}, True),
        ({"type": "nonsense"}, None, False),
    ],
)
def test_what_is_due(desk: Desk, timespan: Any, result: Any, is_due: bool) -> None:
    desk.keep_old("x", {**TOTAL, "timespan": timespan}, result, "analytic-2021-03-01")
    assert [stored.id for stored in desk.store.all(lambda stored: stored.is_due)] == ["x"] * is_due
    kind = timespan["type"].lower().replace("default", "moving").replace("nonsense", "")
    assert [stored.kind for stored in desk.store.all()] == [kind]


def test_all_are_listed_once_and_what_is_none_is_left_out(desk: Desk) -> None:
    ids = {desk.keep() for _ in range(30)}
    desk.keep_old("twice", {**TOTAL, "timespan": MOVING}, index="analytic-a")
    desk.keep_old("twice", {**TOTAL, "timespan": MOVING}, index="analytic-b")
    desk.ask("POST", "/analytic-p-user/_doc", {"staticId": "1", "query": {}}, params={"refresh": True})
    assert sorted(stored.id for stored in desk.store.all()) == sorted([*ids, "twice"])
    assert desk.store.delete("twice") == 2
