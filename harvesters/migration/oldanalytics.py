"""What an older document of an analytic says, in today's form: the former migrator's actions, by their numbers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from harvesters.messages.descriptors import AGGREGATION, AGGREGATIONS, COUNT, METRICS, SEGMENTATION

Body = dict[str, Any]

ACTIONS = {
    1: "moving_time_window_type_renamed",
    2: "fixed_time_window_type_renamed",
    3: "analytic_reorganization",
    4: "project_to_app_id",
    5: "message_analytic",
    6: "message_conversation_deletion",
    7: "remove_app_id_from_indices",
    8: "aggregation_result",
}
"""Names of the actions of the former service's migrator, by their numbers."""

_METRICS = {
    **{f"u:{name}": name for name in ("total", "active", "engaged", "new")},
    **{f"t:{name}": name for name in ("total", "active", "closed", "new")},
    **{f"c:{name}": name for name in ("total", "new")},
    **{f"d:{name}": name for name in ("fallback", "intents", "domains")},
    **{f"m:{name}": name for name in ("from_users", "from_bot", "responses", "notifications", "requests")},
    "m:from_user": "from_users",
    "b:response": "response",
}
_SEGMENTS = {
    "a:segmentation": "age",
    "g:segmentation": "gender",
    "m:segmentation": "all",
    "r:segmentation": "from_users",
    "u:segmentation": "from_users",
    "t:segmentation": "label",
}
_GONE_3 = ("c:path", "c:length", "m:unhandled")
_SCALARS = ("avg", "min", "max", "sum", "value_count", "cardinality")


def analytic(body: Body, done: Collection[int], now: str) -> Body | None:
    """The analytic in today's form; None for one whose metric is no more.

    Args:
        done: actions that need not be done again.
        now: when a result was made that does not say so.
    """
    pending = set(ACTIONS) - set(done)
    made = dict(body)
    if 3 in pending:
        for old, new in (("staticId", "id"), ("query", "descriptor")):
            if old in made:
                made[new] = made.pop(old)
    key = "descriptor" if "descriptor" in made else "query"
    said = made.get(key)
    if not isinstance(said, dict):
        return made
    descriptor = _described(said, pending)
    if descriptor is None:
        return None
    made[key] = descriptor
    if isinstance(made.get("result"), dict):
        made["result"] = _resulted(made["result"], descriptor, pending, now)
    return made


def unknown_metric(body: Body) -> str:
    """What an analytic is to compute that nobody computes; "" where it is known."""
    said = body.get("descriptor", body.get("query"))
    if not isinstance(said, dict):
        return ""
    kind, dimension = _lower(said.get("type")), _lower(said.get("dimension"))
    metric = said.get("metric") if kind != AGGREGATION else said.get("aggregation")
    known = METRICS.get(kind, {}).get(dimension, ()) if kind != AGGREGATION else AGGREGATIONS
    return "" if _lower(metric) in known else " ".join(str(each) for each in (kind, dimension, metric) if each)


def _described(said: Body, pending: Collection[int]) -> Body | None:
    made = dict(said)
    if isinstance(made.get("timespan"), dict):
        made["timespan"] = _timespan(made["timespan"], pending)
    metric = made.get("metric")
    if 3 in pending and made.get("type") == "analytic":
        if metric in _GONE_3:
            return None
        made["type"] = SEGMENTATION if metric in _SEGMENTS else COUNT
        made["metric"] = metric = {**_METRICS, **_SEGMENTS}.get(str(metric), metric)
    if 5 in pending:
        if metric in ("from_bot", "m:from_bot"):
            return None
        if metric in ("from_users", "m:from_user", "m:from_users"):
            made["metric"] = "requests"
    return None if 6 in pending and metric == "m:conversation" else made


def _timespan(said: Body, pending: Collection[int]) -> Body:
    kind = said.get("type")
    if not isinstance(kind, str):
        return said
    for number, old, new in ((1, "DEFAULT", "MOVING"), (2, "CUSTOM", "FIXED")):
        if number in pending and kind.upper() == old:
            kind = new if kind.isupper() else new.lower()
    return {**said, "type": kind.lower() if 3 in pending else kind}


def _resulted(said: Body, descriptor: Body, pending: Collection[int], now: str) -> Body:
    made = dict(said)
    kind = descriptor.get("type")
    if 3 in pending:
        if made.get("creationDt") is None:
            made["creationDt"] = now
        # An `all` window that is open to the past has no fromDt: there it is null and not missing.
        if made.get("toDt") is None or "fromDt" not in made:
            made["fromDt"], made["toDt"] = _bounds(descriptor, now)
        made.pop("items", None)
        made.pop("transactions", None)
        if "counts" in made:
            made["segments"] = made.pop("counts")
        if isinstance(made.get("segments"), dict):
            made["segments"] = [{"type": name, "count": count} for name, count in made["segments"].items()]
        if kind in (COUNT, SEGMENTATION, AGGREGATION):
            made["type"] = kind
        for each in AGGREGATIONS:
            if each in made:
                made["aggregation"] = made.pop(each)
    name = descriptor.get("aggregation")
    if 8 in pending and made.get("type") == AGGREGATION and name in _SCALARS and "aggregation" in made:
        value = made["aggregation"]
        if not isinstance(value, dict):
            made["aggregation"] = {name: value}
    return made


def _bounds(descriptor: Body, now: str) -> tuple[Any, Any]:
    timespan = descriptor.get("timespan")
    if isinstance(timespan, dict) and timespan.get("type") == "fixed":
        return timespan.get("start"), timespan.get("end")
    return now, now


def _lower(value: Any) -> str:
    return value.lower() if isinstance(value, str) else ""
