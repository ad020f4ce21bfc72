"""What a search counts by, and whether a cluster can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harvesters.search.countable import Use, require_countable, uses
from harvesters.search.reader import IndexReader
from harvesters.search.saved import QueryError, saved_queries
from tests.nodes import Node

TERMS = {"terms": {"field": "data.x"}}


def counted(aggregation: dict[str, Any]) -> dict[str, Any]:
    return {"size": 0, "aggs": {"a": aggregation}}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (counted(TERMS), [("data.x", "terms")]),
        (
            {"aggregations": {"a": {**TERMS, "aggs": {"b": {"avg": {"field": "n"}}}}}},
            [("data.x", "terms"), ("n", "avg")],
        ),
        (
            counted({"composite": {"sources": [{"x": TERMS}, {"n": {"terms": {"field": "n"}}}]}}),
            [("data.x", "composite"), ("n", "composite")],
        ),
        (counted({"multi_terms": {"terms": [{"field": "a.b"}]}}), [("a.b", "multi_terms")]),
        (
            counted({"filter": {"exists": {"field": "data.x"}}, "aggs": {"b": {"cardinality": {"field": "huid"}}}}),
            [("huid", "cardinality")],
        ),
        (counted({"filters": {"filters": {"x": {"exists": {"field": "data.x"}}}}}), []),
        (counted({"top_hits": {"sort": [{"data.x": "desc"}]}}), [("data.x", "sort")]),
        ({"sort": ["data.x", {"n": {"order": "asc"}}, "m:desc"]}, [("data.x", "sort"), ("n", "sort"), ("m", "sort")]),
        ({"sort": "n"}, [("n", "sort")]),
        ({"query": {"term": {"data.x": "a"}}}, []),
        ({"aggs": "nonsense", "sort": 5}, []),
    ],
)
def test_what_is_counted_and_sorted_by(body: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert [*uses(body)] == [Use(*each) for each in found]


@pytest.fixture
def reader(node: Node) -> Iterator[IndexReader]:
    """An index with `data`, whose fields are kept as those of events are."""
    node.load("buddyupevents")
    events = [{"id": str(number), "type": "x", "data": {"x": "ab"[number % 2]}} for number in range(4)]
    node.fill("buddyupevents-2016-01", events, key="id")
    client = node.client()
    yield IndexReader(client, f"{node.prefix}buddyupevents-*")
    client.close()


@pytest.mark.parametrize(
    "body",
    [
        counted({"composite": {"sources": [{"x": TERMS}]}}),
        counted({"cardinality": {"field": "data.x"}}),
        counted({"significant_terms": {"field": "data.x"}}),
        counted({"terms": {"field": "type"}, "aggs": {"b": {"cardinality": {"field": "data.x"}}}}),
    ],
)
def test_what_no_cluster_counts_rightly_is_refused(reader: IndexReader, body: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match=r"data\.x lies in data, which is fla.*gives wrong numbers.*keyword"):
        require_countable(reader, body)


@pytest.mark.parametrize("body", [counted(TERMS), {"sort": ["data.x"]}, counted({"value_count": {"field": "data.x"}})])
def test_what_elasticsearch_counts_rightly_opensearch_does_not(
    node: Node, reader: IndexReader, body: dict[str, Any]
) -> None:
    if node.product.distribution == "elasticsearch":
        require_countable(reader, body)
        return
    with pytest.raises(QueryError, match=r"data\.x lies in data, which is flat_object"):
        require_countable(reader, body)


@pytest.mark.parametrize(
    "query",
    [{"term": {"data.x": "a"}}, {"prefix": {"data.x": "a"}}, {"terms": {"data.x": ["a", "c"]}}],
)
def test_filters_are_right_everywhere(reader: IndexReader, query: dict[str, Any]) -> None:
    body = {"query": query, "size": 0, "aggs": {"types": {"terms": {"field": "type"}}}}
    require_countable(reader, body)
    assert reader.search(body)["aggregations"]["types"]["buckets"] == [{"key": "x", "doc_count": 2}]


def test_our_own_queries_count_by_fields_of_their_own() -> None:
    from harvesters.search import templates

    flat = {
        name
        for template in templates.read()
        for name, field in template.mappings["properties"].items()
        if field.get("type") == "flattened"
    }
    assert flat >= {"data", "zoom"}
    for saved in saved_queries():
        assert not [use for use in uses(saved.body) if set(use.within) & flat], saved.name
