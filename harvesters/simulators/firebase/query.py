"""The query parameters of the Realtime Database's REST interface: what they mean, and what it says to wrong ones.

Texts in quotation marks are the server's own; for `limit…`, `timeout`, clashing bounds and bounds of
`$key` that are no text none is known, there only the status is real.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from harvesters.simulators.firebase.order import FIRST_KEY, LAST_KEY, KeyRank, ValueRank, key_rank, value_rank
from harvesters.simulators.firebase.tree import InvalidData, Node, Path, check_key, priority_of, scalar

BOUNDS = ("startAt", "startAfter", "endAt", "endBefore", "equalTo")
LIMITS = ("limitToFirst", "limitToLast")

_TIMEOUT = re.compile(r"(\d+)(ms|s|min)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}

Bound = tuple[ValueRank, KeyRank]


class BadQuery(ValueError):
    """A query that is answered with 400; the message is what the body says."""


@dataclass(frozen=True)
class Query:
    """One query. `order_by` is ``$key``, ``$value``, ``$priority`` or the path of a child; bounds are positions."""

    order_by: str
    low: Bound | None = None
    high: Bound | None = None
    limit: int | None = None
    from_end: bool = False

    def keys(self, node: Node) -> list[str]:
        """The keys of `node` that it selects, in its order."""
        if self.order_by == "$key":
            order = node.order()
            first = bisect_left(order, (self.low[1], "")) if self.low else 0
            last = bisect_left(order, (self.high[1], "")) if self.high else len(order)
            return [key for _, key in order[self._cut(first, last)]]
        index = node.index(self.order_by, self._value_of)
        first = bisect_left(index, (*self.low, "")) if self.low else 0
        last = bisect_left(index, (*self.high, "")) if self.high else len(index)
        return [key for _, _, key in index[self._cut(first, last)]]

    def index_missing(self, path: Path, rules: Mapping[str, list[str]]) -> str | None:
        """The error for `path` when `rules` (path, with ``$name`` for any key, to ``.indexOn``) lack the index."""
        name = ".value" if self.order_by == "$value" else self.order_by
        if name in ("$key", "$priority"):
            return None
        if any(_matches(pattern, path) and name in fields for pattern, fields in rules.items()):
            return None
        return f'Index not defined, add ".indexOn": "{name}", for path "/{"/".join(path)}", to the rules'

    def _cut(self, first: int, last: int) -> slice:
        last = max(first, last)
        if self.limit is None:
            return slice(first, last)
        return (
            slice(max(first, last - self.limit), last) if self.from_end else slice(first, min(last, first + self.limit))
        )

    def _value_of(self, child: Any) -> Any:
        if self.order_by == "$value":
            return scalar(child)
        if self.order_by == "$priority":
            return priority_of(child)
        for key in self.order_by.split("/"):
            child = child.get(key) if isinstance(child, Node) else None
        return scalar(child)


def parse_query(params: Mapping[str, str]) -> Query | None:
    """The query in `params`, None when there is none. Raises `BadQuery`."""
    given = {name: params[name] for name in (*BOUNDS, *LIMITS) if name in params}
    if "orderBy" not in params:
        if given:
            raise BadQuery("orderBy must be defined when other query parameters are defined")
        return None
    order_by = _order_by(params["orderBy"])
    values = {name: _value(given[name]) for name in BOUNDS if name in given}
    _check_bounds(values)
    if order_by == "$key" and not all(isinstance(value, str) for value in values.values()):
        raise BadQuery("Constraint key field type must be a string")
    limit, from_end = _limit(given)
    low, high = _bounds(values, by_key=order_by == "$key")
    return Query(order_by, low, high, limit, from_end)


def parse_shallow(params: Mapping[str, str]) -> Query | None:
    """What Google's CLI sends with ``shallow=true``: `limitToFirst` and an unquoted `startAfter`, without `orderBy`."""
    if "orderBy" in params:
        return parse_query(params)
    if not any(name in params for name in (*BOUNDS, *LIMITS)):
        return None
    limit, from_end = _limit(params)
    quoted = {name: params[name] for name in BOUNDS if name in params}
    values = {name: text if not text.startswith('"') else _value(text) for name, text in quoted.items()}
    low, high = _bounds(values, by_key=True)
    return Query("$key", low, high, limit, from_end)


def parse_timeout(text: str) -> float:
    """Seconds of a `timeout` such as ``3ms``, ``3s`` or ``3min``; at most 15 minutes. Raises `BadQuery`."""
    match = _TIMEOUT.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= 15 * 60:
        raise BadQuery("timeout must be a number followed by ms, s or min, and not more than 15min")
    return seconds


def _order_by(text: str) -> str:
    try:
        path = orjson.loads(text)
        if path in ("$key", "$value", "$priority"):
            return str(path)
        keys = path.strip("/").split("/")
        for key in keys:
            check_key(key)
    except (ValueError, AttributeError, InvalidData):
        raise BadQuery("orderBy must be a valid JSON encoded path") from None
    return "/".join(keys)


def _value(text: str) -> Any:
    try:
        value = orjson.loads(text)
    except ValueError:
        value = {}
    if isinstance(value, dict | list):
        raise BadQuery("Constraint index field must be a JSON primitive")
    return value


def _check_bounds(values: Mapping[str, Any]) -> None:
    if "equalTo" in values and len(values) > 1:
        raise BadQuery("equalTo cannot be specified in addition to startAfter, startAt, endAt, or endBefore")
    if {"startAt", "startAfter"} <= values.keys() or {"endAt", "endBefore"} <= values.keys():
        raise BadQuery("Only one bound can be specified at each end")


def _limit(given: Mapping[str, str]) -> tuple[int | None, bool]:
    names = [name for name in LIMITS if name in given]
    if not names:
        return None, False
    if len(names) > 1:
        raise BadQuery("Only one of limitToFirst and limitToLast can be specified")
    text = given[names[0]]
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise BadQuery(f"{names[0]} must be a positive integer")
    return int(text), names[0] == "limitToLast"


def _bounds(values: Mapping[str, Any], by_key: bool) -> tuple[Bound | None, Bound | None]:
    """The positions before the first and behind the last child that `values` let in."""

    def position(value: Any, behind: bool) -> Bound:
        if not by_key:
            return (value_rank(value), LAST_KEY if behind else FIRST_KEY)
        kind, number, length, text = key_rank(value)
        return ((), (kind, number, length, text + "\0" if behind else text))

    low = high = None
    for name, value in values.items():
        if name in ("startAt", "startAfter", "equalTo"):
            low = position(value, behind=name == "startAfter")
        if name in ("endAt", "endBefore", "equalTo"):
            high = position(value, behind=name != "endBefore")
    return low, high


def _matches(pattern: str, path: Path) -> bool:
    keys = pattern.strip("/").split("/")
    return len(keys) == len(path) and all(
        key.startswith("$") or key == given for key, given in zip(keys, path, strict=True)
    )
