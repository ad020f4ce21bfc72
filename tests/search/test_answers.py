"""Answers of searches as rows."""

from __future__ import annotations

from typing import Any

import pytest

from harvesters.search.answers import columns_of, to_rows


def aggregated(**aggregations: Any) -> list[dict[str, Any]]:
    return to_rows({"hits": {"hits": []}, "aggregations": aggregations})


def bucket(key: Any, count: int = 1, **inner: Any) -> dict[str, Any]:
    return {"key": key, "doc_count": count, **inner}


def test_hits_are_rows_of_their_fields() -> None:
    hits = [{"_id": "1", "_source": {"a": 1, "b": {"c": [1, 2], "d": {"e": None}}}}, {"_id": "2"}]
    assert to_rows({"hits": {"hits": hits}}) == [{"_id": "1", "a": 1, "b.c": [1, 2], "b.d.e": None}, {"_id": "2"}]


def test_a_bucket_is_a_row() -> None:
    assert aggregated(type={"buckets": [bucket("PLAY", 3), bucket("PAUSE", 2)]}) == [
        {"type": "PLAY", "count": 3},
        {"type": "PAUSE", "count": 2},
    ]


def test_dates_and_booleans_as_they_are_written() -> None:
    found = aggregated(live={"buckets": [bucket(1, key_as_string="true")]})
    assert found == [{"live": "true", "count": 1}]


def test_metrics_are_columns() -> None:
    metrics = {
        "viewers": {"value": 5},
        "last": {"value": 1.0, "value_as_string": "2026"},
        "share": {"values": {"50.0": 7}},
        "span": {"count": 2, "min": 1.0},
    }
    assert aggregated(type={"buckets": [bucket("PLAY", 3, **metrics)]}) == [
        {"type": "PLAY", "count": 3, "viewers": 5, "last": "2026", "share.50.0": 7, "span.count": 2, "span.min": 1.0}
    ]


def test_buckets_in_buckets_are_a_row_for_each_inner_one() -> None:
    inner = {"browser": {"buckets": {"Chrome": {"doc_count": 2}, "Other": {"doc_count": 0}}}}
    assert aggregated(
        device={"buckets": [bucket("phone", 2, **inner), bucket("none", 0, browser={"buckets": []})]}
    ) == [
        {"device": "phone", "count": 2, "browser": "Chrome"},
        {"device": "none", "count": 0},
    ]


def test_a_composite_key_is_a_column_each() -> None:
    assert aggregated(both={"buckets": [bucket({"mpid": "a", "huid": "b"})]}) == [
        {"mpid": "a", "huid": "b", "count": 1}
    ]


def test_single_buckets_and_top_hits_are_columns() -> None:
    inner = {
        "live": {"doc_count": 4, "viewers": {"value": 2}},
        "episode": {"hits": {"hits": [{"_source": {"episode": {"title": "Lecture"}}}]}},
        "none": {"hits": {"hits": []}},
    }
    assert aggregated(mpid={"buckets": [bucket("a", 9, **inner)]}) == [
        {"mpid": "a", "count": 9, "live": 4, "live.viewers": 2, "episode.title": "Lecture"}
    ]


def test_metrics_alone_are_one_row() -> None:
    assert aggregated(viewers={"value": 3}, actions={"doc_count": 7}) == [{"viewers": 3, "actions": 7}]


def test_nothing_found_is_no_row() -> None:
    assert aggregated(type={"buckets": []}) == []
    assert to_rows({}) == []


@pytest.mark.parametrize("rows", [[], [{"a": 1}, {"b": 2, "a": 3}]])
def test_columns_are_all_that_some_row_has(rows: list[dict[str, Any]]) -> None:
    assert columns_of(rows) == (["a", "b"] if rows else [])
