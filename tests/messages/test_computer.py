"""Computing what is kept: results, one at a time, and those that are deleted meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from harvesters.errors import BadInput, ConfigError, CredentialsRefused, Exit, HarvestError, LeaseHeld, Unavailable
from harvesters.messages import descriptors
from harvesters.messages.analytics import UnknownAnalytic, rounds
from harvesters.messages.analytics.computer import LEASES
from harvesters.messages.descriptors import AGGREGATIONS
from tests.messages.desk import MOVING, TASKS, TOTAL, Desk, desk_for_a_test, talk_at
from tests.messages.talk import DAYS, START, conversation, counted, numbers

AVERAGE = {"type": "aggregation", "project": "p", "field": "metadata.score", "aggregation": "avg"}
ALL = {"type": "segmentation", "project": "p", "dimension": "message", "metric": "all"}


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    with desk_for_a_test(request) as desk:
        desk.load_ours()
        yield desk


def test_a_result_says_what_it_is_of_and_when(desk: Desk) -> None:
    talk = talk_at(desk)
    talk.post(conversation(1, 200))
    count, average, all = desk.keep(), desk.keep(AVERAGE), desk.keep(ALL, {"type": "moving", "value": "ALL"})
    computer = desk.computer(MESSAGES_TIMEZONE="Europe/Rome")
    start, end = START + timedelta(days=1, hours=-1), START + timedelta(days=4, hours=-1)
    times = {
        "creationDt": "2021-03-05T13:00:00+01:00",
        "fromDt": "2021-03-02T00:00:00+01:00",
        "toDt": "2021-03-05T00:00:00+01:00",
    }
    assert computer.compute(count) == {"type": "count", "count": counted(talk, "user", "total", start, end), **times}
    scores = numbers(talk.all(start=start, end=end), "metadata.score")
    mean = pytest.approx(sum(scores) / len(scores))
    assert computer.compute(average) == {"type": "aggregation", "aggregation": {"avg": mean}, **times}
    segments = computer.compute(all)
    assert segments is not None
    assert segments["fromDt"] is None
    found = [(segment["count"], segment["type"]) for segment in segments["segments"]]
    assert found == sorted(found, key=lambda one: (-one[0], one[1]))
    assert sum(one for one, _ in found) == len(talk.all(end=end))
    assert desk.result(all) == segments


def test_every_message_metric_and_aggregation_has_a_result(desk: Desk) -> None:
    talk = talk_at(desk)
    talk.post(conversation(2, 100))
    computer = desk.computer(now=START + timedelta(days=DAYS))
    for name in AGGREGATIONS:
        wanted = descriptors.parse({**AVERAGE, "aggregation": name, "timespan": {"type": "moving", "value": "all"}})
        result = computer.result(wanted)
        assert result is not None
        assert result["aggregation"]
    nothing = {**AVERAGE, "field": "metadata.nowhere", "timespan": MOVING}
    assert computer.result(descriptors.parse(nothing)) is None


def test_equal_counts_are_in_the_order_of_names(desk: Desk) -> None:
    class Platform:
        def transactions(self, *asked: Any) -> list[Any]:
            return [{"label": label} for label in ("more", "zeal", "answer", "more")]

    wanted = {"type": "segmentation", "project": "app", "dimension": "transaction", "metric": "label"}
    result = desk.computer(Platform).result(descriptors.parse({**wanted, "timespan": MOVING}))
    assert result is not None
    assert [(one["type"], one["count"]) for one in result["segments"]] == [("more", 2), ("answer", 1), ("zeal", 1)]


def test_one_is_never_computed_by_two(desk: Desk) -> None:
    id = desk.keep(TASKS)

    def platform() -> NoReturn:
        with pytest.raises(LeaseHeld):
            desk.computer().compute(id)
        raise Unavailable("enough")

    with pytest.raises(Unavailable, match="enough"):
        desk.computer(platform).compute(id)
    with pytest.raises(Unavailable, match="enough"):  # and it is free again
        desk.computer(platform).compute(id)


def test_one_that_is_deleted_while_it_is_computed_stays_deleted(desk: Desk) -> None:
    id = desk.keep(TASKS)

    class Platform:
        def tasks(self, app: str, **bounds: Any) -> list[Any]:
            desk.store.delete(id)
            return []

    with pytest.raises(UnknownAnalytic):
        desk.computer(Platform).compute(id)
    assert desk.analytics() == {}
    assert desk.ask("GET", f"/{LEASES}/_doc/{id}", accept=(404,))["found"] is False
    with pytest.raises(UnknownAnalytic):
        desk.computer().compute(id)


@pytest.mark.parametrize(
    "descriptor",
    [
        {**TOTAL, "metric": "unhandled", "timespan": MOVING},
        {**TOTAL, "timespan": {"type": "moving", "value": "9999999999Y"}},
    ],
)
def test_one_that_cannot_be_read_is_an_error(desk: Desk, descriptor: Any) -> None:
    desk.keep_old("old", descriptor, {"count": 3})
    with pytest.raises(BadInput, match="old cannot be computed"):
        desk.computer().compute("old")
    assert desk.result("old") == {"count": 3}


@pytest.mark.parametrize("value", ["40001", "1.5", "many", "-1", "nan"])
def test_a_threshold_that_is_none_is_refused(desk: Desk, value: str) -> None:
    with pytest.raises(ConfigError, match="CARDINALITY_PRECISION_THRESHOLD"):
        desk.computer(CARDINALITY_PRECISION_THRESHOLD=value)


def test_one_that_fails_does_not_stop_the_others(desk: Desk) -> None:
    ids = [desk.keep(), desk.keep(TASKS), desk.keep(), desk.keep(TASKS)]
    desk.keep_old("old", {**TOTAL, "metric": "unhandled", "timespan": MOVING})
    asked = []

    def away() -> NoReturn:
        asked.append(1)
        raise Unavailable("the platform is away")

    done = rounds.compute(desk.computer(away), desk.store.all())
    assert (done.computed, done.failed, done.code) == (2, 3, Exit.UNAVAILABLE)
    assert len(asked) == 1, "who wanted the platform after that waits for it, too"
    assert desk.result(ids[0])["count"] == desk.result(ids[2])["count"] == 0

    def refuses() -> NoReturn:
        raise CredentialsRefused("the key is refused")

    done = rounds.compute(desk.computer(refuses), desk.store.all())
    assert (done.computed, done.failed, done.code) == (2, 3, Exit.CREDENTIALS)


def test_one_that_somebody_else_computes_is_waited_for(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    id = desk.keep(TASKS)
    stored = desk.store.find(id)
    assert stored is not None

    def platform() -> NoReturn:
        assert rounds.compute(desk.computer(), [stored]).failed == 1
        raise Unavailable("enough")

    with pytest.raises(HarvestError, match="enough"):
        desk.computer(platform).compute(id)
    assert "trying again in 1." in caplog.text
    assert "is held by" in caplog.text
