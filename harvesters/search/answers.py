"""What a search answers, as rows of a table: one for each innermost bucket, or one for each hit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = dict[str, Any]


def to_rows(answer: Mapping[str, Any]) -> list[Row]:
    """The rows of an answer: of its aggregations if it has some, else of its hits.

    A bucket aggregation makes a column with its name and one called ``count``; a metric, and an aggregation with a
    single bucket, is a column. Bucket aggregations beside each other come one after the other. A filter that nothing
    matched is left out.
    """
    aggregations = answer.get("aggregations")
    if aggregations:
        return list(_expanded({}, aggregations))
    return [_hit(hit) for hit in answer.get("hits", {}).get("hits", ())]


def columns_of(rows: list[Row]) -> list[str]:
    """Every column that some row has, in the order in which they turn up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def flat(value: Mapping[str, Any], prefix: str = "") -> Row:
    """Objects within objects as dotted names."""
    row: Row = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            row.update(flat(inner, f"{prefix}{name}."))
        else:
            row[f"{prefix}{name}"] = inner
    return row


def _hit(hit: Mapping[str, Any]) -> Row:
    # stored_fields: _none_ leaves out even the id.
    return {**({"_id": hit["_id"]} if "_id" in hit else {}), **flat(hit.get("_source") or {})}


def _expanded(given: Row, aggregations: Mapping[str, Any]) -> Iterator[Row]:
    row = dict(given)
    branches: list[tuple[str, Any]] = []
    pending = list(aggregations.items())
    while pending:
        name, found = pending.pop(0)
        if _are_buckets(found.get("buckets")):
            branches.append((name, found["buckets"]))
        elif "doc_count" in found:
            row[name] = found["doc_count"]
            pending = [(f"{name}.{inner}", value) for inner, value in _inner(found).items()] + pending
        elif isinstance(found.get("hits"), dict) and isinstance(found["hits"].get("hits"), list):
            for hit in found["hits"]["hits"][:1]:
                row.update(flat(hit.get("_source") or {}))
        else:
            row.update(_metric(name, found))
    filled = [(name, buckets) for name, buckets in branches if buckets]
    if not filled and row:
        yield row
    for name, buckets in filled:
        for key, bucket in _keyed(buckets):
            head = key if isinstance(key, dict) else {name: key}
            yield from _expanded({**row, **head, "count": bucket["doc_count"]}, _inner(bucket))


def _are_buckets(value: Any) -> bool:
    """Whether it is a list or an object of buckets, and no aggregation or ``meta`` that somebody gave that name."""
    if not isinstance(value, list | dict):
        return False
    buckets = value.values() if isinstance(value, dict) else value
    return all(isinstance(bucket, dict) and "doc_count" in bucket for bucket in buckets)


def _keyed(buckets: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    if isinstance(buckets, dict):
        yield from ((key, bucket) for key, bucket in buckets.items() if bucket["doc_count"])
        return
    for place, bucket in enumerate(buckets):
        yield bucket.get("key_as_string", bucket.get("key", place)), bucket  # filters without names have no key


def _inner(bucket: Mapping[str, Any]) -> dict[str, Any]:
    """The aggregations inside of a bucket."""
    return {name: value for name, value in bucket.items() if isinstance(value, dict) and name != "key"}


def _metric(name: str, found: Mapping[str, Any]) -> Row:
    if "value" in found:
        return {name: found.get("value_as_string", found["value"])}
    values = found.get("values", found)
    return flat(values, f"{name}.") if isinstance(values, dict) else {name: values}
