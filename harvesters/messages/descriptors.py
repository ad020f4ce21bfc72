"""What an analytic is to compute: a count, segments, or an aggregation over a field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harvesters.messages import windows
from harvesters.messages.windows import Window

COUNT, SEGMENTATION, AGGREGATION = "count", "segmentation", "aggregation"
METRICS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    COUNT: {
        "user": ("total", "active", "engaged", "new"),
        "message": ("requests", "responses", "notifications"),
        "task": ("total", "new", "new_active", "active", "new_closed", "closed"),
        "transaction": ("total",),
        "conversation": ("total", "new"),
        "dialogue": ("fallback", "intents", "domains"),
        "bot": ("response",),
    },
    SEGMENTATION: {
        "user": ("age", "gender"),
        "message": ("all", "requests"),
        "transaction": ("label",),
    },
}
"""What may be computed, by type and dimension."""
AGGREGATIONS = (
    "avg",
    "min",
    "max",
    "sum",
    "stats",
    "extended_stats",
    "value_count",
    "cardinality",
    "percentiles",
)
RANGES = {"gr": "gt", "gre": "gte", "lq": "lt", "lqe": "lte"}
"""Operations of filters that compare, and what Elasticsearch calls them."""
OPERATIONS = (*RANGES, "term", "match")

_PLATFORM = {("task", None), ("transaction", None), ("user", "age"), ("user", "gender")}
_LONGEST = 512  # characters of an id
_KEYWORD = ".keyword"

Value = str | int | float | bool


@dataclass(frozen=True)
class Metric:
    """A count, or segments.

    Attributes:
        type: `COUNT` or `SEGMENTATION`.
        project: of messages; an application of the platform where that knows the answer.
        task: of transactions, only those of this task.
    """

    type: str
    project: str
    window: Window
    dimension: str
    metric: str
    task: str | None = None

    @property
    def of_platform(self) -> bool:
        """Whether the platform is asked, and not the messages."""
        return bool({(self.dimension, None), (self.dimension, self.metric)} & _PLATFORM)

    def out(self) -> dict[str, Any]:
        """As `parse` reads it."""
        task = {"taskId": self.task} if self.dimension == "transaction" else {}
        return {**_common(self), "dimension": self.dimension, "metric": self.metric, **task}


@dataclass(frozen=True)
class Filter:
    """What a message has to be: ``gr`` >, ``gre`` ≥, ``lq`` <, ``lqe`` ≤, ``term`` exactly, ``match`` by words."""

    field: str
    operation: str
    value: Value

    @classmethod
    def parse(cls, given: Any) -> Filter:
        """As a descriptor lists it.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(given, Mapping):
            raise ValueError("a filter is no object")
        value = given.get("value")
        if not isinstance(value, Value) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError("the value of a filter is neither text, number, true nor false")
        return cls(_field(given), _word(given, "operation", OPERATIONS), value)

    def out(self) -> dict[str, Any]:
        """As `parse` reads it."""
        return {"field": self.field, "operation": self.operation, "value": self.value}


@dataclass(frozen=True)
class Aggregation:
    """What Elasticsearch would aggregate from the values of a field of messages."""

    project: str
    window: Window
    field: str
    aggregation: str
    filters: tuple[Filter, ...] = ()

    type = AGGREGATION
    of_platform = False

    def out(self) -> dict[str, Any]:
        """As `parse` reads it."""
        filters = [one.out() for one in self.filters]
        return {**_common(self), "field": self.field, "aggregation": self.aggregation, "filters": filters}


Descriptor = Metric | Aggregation


def parse(given: Any) -> Descriptor:
    """The descriptor that a JSON value is; words in any case.

    Raises:
        ValueError: it is none, for this reason.
    """
    if not isinstance(given, Mapping):
        raise ValueError("it is no object")
    kind = _word(given, "type", (*METRICS, AGGREGATION))
    project, window = _id(given, "project"), windows.parse(given.get("timespan"))
    if kind == AGGREGATION:
        filters = given.get("filters") or []
        if not isinstance(filters, list):
            raise ValueError("filters is no list")
        word = _word(given, "aggregation", AGGREGATIONS)
        return Aggregation(project, window, _field(given), word, tuple(map(Filter.parse, filters)))
    dimension = _word(given, "dimension", (*METRICS[kind],))
    metric = _word(given, "metric", METRICS[kind][dimension])
    task = _id(given, "taskId") if dimension == "transaction" and given.get("taskId") is not None else None
    return Metric(kind, project, window, dimension, metric, task)


def without_keyword(field: str) -> str:
    """The name of a field as messages have it: ``.keyword`` is what Elasticsearch called its exact value."""
    return field.removesuffix(_KEYWORD)


def _common(descriptor: Descriptor) -> dict[str, Any]:
    return {"type": descriptor.type, "project": descriptor.project, "timespan": descriptor.window.out()}


def _word(given: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str:
    word = str(given.get(name)).lower()
    if word not in words:
        raise ValueError(f"{name} is none of {', '.join(words)}")
    return word


def _field(given: Mapping[str, Any]) -> str:
    field = given.get("field")
    if not isinstance(field, str) or not without_keyword(field).strip():
        raise ValueError("field is no name")
    return field


def _id(given: Mapping[str, Any], name: str) -> str:
    """An id is a text or a number: 5 and "5" are the same."""
    id = given.get(name)
    if not isinstance(id, str | int | float) or isinstance(id, bool) or not 1 <= len(str(id)) <= _LONGEST:
        raise ValueError(f"{name} is no id, which is a text or a number of 1 to {_LONGEST} characters")
    return str(id)
