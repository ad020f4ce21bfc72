"""Whether a search counts rightly: some clusters count the fields of an object wrongly, and answer 200.

`flat_object` (OpenSearch) and `flattened` (Elasticsearch) keep the values of all fields of an object in one. Filters by
such a field are right on both. What counts or sorts should be a field of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harvesters.search.reader import IndexReader
from harvesters.search.saved import QueryError

_INNER = ("aggs", "aggregations")
_OF_QUERIES = ("filter", "filters", "adjacency_matrix")  # these take queries, whose fields are right
_WRONG_IN_FLATTENED = ("composite", "cardinality", "significant_terms")


@dataclass(frozen=True)
class Use:
    """A field that a search counts by, or sorts by."""

    field: str
    by: str

    @property
    def within(self) -> list[str]:
        """The objects that the field may lie in, the innermost first."""
        names = self.field.split(".")
        return [".".join(names[:count]) for count in range(len(names) - 1, 0, -1)]


def uses(body: Mapping[str, Any]) -> Iterator[Use]:
    """What the body of a search counts and sorts by."""
    yield from _sorted(body.get("sort"))
    for name in _INNER:
        for aggregation in _objects(body.get(name)):
            for kind, asked in aggregation.items():
                if kind in _INNER or kind in _OF_QUERIES:
                    continue
                yield from (Use(field, kind) for field in _fields(asked))
                if isinstance(asked, Mapping):
                    yield from _sorted(asked.get("sort"))
            yield from uses({name: aggregation[name] for name in _INNER if name in aggregation})


def require_countable(reader: IndexReader, body: Mapping[str, Any]) -> None:
    """See that the cluster counts and sorts rightly what `body` asks for.

    Raises:
        QueryError: it would not; the message names the field, and what to do.
        ConfigError: there is no such index.
    """
    flat = "flat_object" if "flat_object" in reader.client.cluster.features else "flattened"
    found = [use for use in uses(body) if use.within and (flat == "flat_object" or use.by in _WRONG_IN_FLATTENED)]
    if not found:
        return
    known = reader.types(*{name: None for use in found for name in (use.field, *use.within)})
    for use in found:
        around = next((name for name in use.within if flat in known.get(name, {})), None)
        if around is not None:
            does = "sort by it fails" if use.by == "sort" else f"{use.by} by it gives wrong numbers"
            raise QueryError(
                f"{use.field} lies in {around}, which is {flat}: {does} on {reader.client.name}. Use a field of its "
                "own (keyword), or only filter by it: term, prefix and exists are right."
            )


def _objects(value: Any) -> list[Mapping[str, Any]]:
    found = value.values() if isinstance(value, Mapping) else ()
    return [each for each in found if isinstance(each, Mapping)]


def _sorted(value: Any) -> Iterator[Use]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str):
            yield Use(each.partition(":")[0], "sort")
        elif isinstance(each, Mapping):
            yield from (Use(name, "sort") for name in each)


def _fields(value: Any) -> Iterator[str]:
    """Every ``field`` that an aggregation names, however deep: in `sources`, in `terms`, in `metrics`."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "field" and isinstance(inner, str):
                yield inner
            elif name == "fields" and isinstance(inner, list):
                yield from (field for field in inner if isinstance(field, str))
            else:
                yield from _fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner)
