"""Descriptors of analytics: what is taken, and what it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from harvesters.messages import descriptors
from harvesters.messages.descriptors import AGGREGATIONS, METRICS

SPAN = {"type": "moving", "value": "7D"}
COUNT = {"type": "count", "project": "p", "timespan": SPAN, "dimension": "user", "metric": "total"}
AVERAGE = {"type": "aggregation", "project": "p", "timespan": SPAN, "field": "metadata.score", "aggregation": "avg"}
FILTER = {"field": "type", "operation": "term", "value": "request"}


@pytest.mark.parametrize(
    ("kind", "dimension", "metric"),
    [
        (kind, dimension, metric)
        for kind, dimensions in METRICS.items()
        for dimension, metrics in dimensions.items()
        for metric in metrics
    ],
)
def test_every_metric_in_any_case(kind: str, dimension: str, metric: str) -> None:
    given = {**COUNT, "type": kind.upper(), "dimension": dimension.title(), "metric": metric.upper(), "more": 1}
    task = {"taskId": None} if dimension == "transaction" else {}
    said = {**COUNT, "type": kind, "dimension": dimension, "metric": metric, **task}
    assert descriptors.parse(given).out() == said
    assert descriptors.parse(said).out() == said


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_every_aggregation(name: str) -> None:
    given = {**AVERAGE, "type": "Aggregation", "aggregation": name.upper()}
    assert descriptors.parse(given).out() == {**AVERAGE, "aggregation": name, "filters": []}


def test_filters_and_tasks_are_kept() -> None:
    said = {**AVERAGE, "filters": [FILTER, {"field": "metadata.a", "operation": "gre", "value": 0.5}]}
    assert descriptors.parse(said).out() == said
    given = {**COUNT, "dimension": "transaction", "taskId": 5}
    assert descriptors.parse(given).out()["taskId"] == "5"
    assert "taskId" not in descriptors.parse({**COUNT, "taskId": "5"}).out()


def test_a_project_may_be_a_number() -> None:
    assert descriptors.parse({**COUNT, "project": 5}).out()["project"] == "5"


@pytest.mark.parametrize(
    "wrong",
    [
        *(dict(list(COUNT.items())[:place] + list(COUNT.items())[place + 1 :]) for place in range(len(COUNT))),
        *(dict(list(AVERAGE.items())[:place] + list(AVERAGE.items())[place + 1 :]) for place in range(len(AVERAGE))),
        None,
        [],
        "count",
        {**COUNT, "type": "sum"},
        {**COUNT, "dimension": "people"},
        {**COUNT, "metric": "age"},
        {**COUNT, "type": "segmentation"},
        {**COUNT, "dimension": "message", "metric": "from_bot"},
        {**COUNT, "project": ""},
        {**COUNT, "project": None},
        {**COUNT, "project": True},
        {**COUNT, "project": "x" * 513},
        {**COUNT, "dimension": "transaction", "taskId": {}},
        {**COUNT, "timespan": {"type": "fixed", "start": "2021-01-02", "end": "2021-01-01"}},
        {**AVERAGE, "aggregation": "median"},
        {**AVERAGE, "field": ""},
        {**AVERAGE, "field": ".keyword"},
        {**AVERAGE, "field": 5},
        {**AVERAGE, "filters": FILTER},
        {**AVERAGE, "filters": ["type"]},
        {**AVERAGE, "filters": [{**FILTER, "operation": "lt"}]},
        {**AVERAGE, "filters": [{**FILTER, "value": None}]},
        {**AVERAGE, "filters": [{**FILTER, "value": ["a"]}]},
        {**AVERAGE, "filters": [{"field": "a", "operation": "term"}]},
    ],
)
def test_what_is_no_descriptor(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        descriptors.parse(wrong)
