"""Queries as nobody should write them: a sentence and exit code 2, or an answer; never a traceback."""

from __future__ import annotations

import io
import sys

import pytest

from tests.cli.conftest import Command
from tests.indices import Cluster

NO_QUERY = [
    b"",
    b" \n",
    b"{",
    b"null",
    b"true",
    b"[]",
    b'"match_all"',
    b"17",
    b"\xff\xfe{}",
    b'{"query": {"term": {"huid": "\xff"}}}',
    b'{"query": NaN}',
    b'{"query": {"term": {"huid": "\\ud800"}}}',
    b'{"query": {"match_all": {}}} {}',
    b"{" + b'"a":{' * 10_000 + b"}" * 10_001,
    b'{"body": []}',
    b'{"body": "match_all"}',
    b'{"index": 5, "body": {}}',
    b'{"index": "useractions-*", "body": null}',
]
ODD = [
    b"{}",
    b"\xef\xbb\xbf{}",
    b'{"query": null}',
    b'{"query": []}',
    b'{"query": {}}',
    b'{"query": {"match_all": {}, "term": {}}}',
    b'{"query": {"wrong": {}}}',
    b'{"query": {"term": {"huid": {"value": [1, 2]}}}}',
    b'{"query": {"range": {"timestamp": {"gte": "no time"}}}}',
    b'{"size": -1}',
    b'{"size": 1000000}',
    b'{"size": "many"}',
    b'{"size": 1e400}',
    b'{"from": 99999999999999999999}',
    b'{"size": 0, "size": 1}',
    b'{"aggs": {"a": {"terms": {}}}}',
    b'{"aggs": {"a.b": {"terms": {"field": "mpid"}}}}',
    b'{"aggs": {"a": {"terms": {"field": "nothing"}}}}',
    b'{"aggs": {"a": {"wrong": {}}}}',
    b'{"sort": [{"nothing": "asc"}]}',
    b'{"script_fields": {"x": {"script": "while (true) {}"}}}',
    b'{"_source": false}',
    b'{"fields": ["*"], "_source": false}',
    b'{"size": 1, "stored_fields": ["_none_"]}',
    b'{"size": 0, "aggs": {"a": {"filters": {"filters": [{"match_all": {}}, {"term": {"huid": "x"}}]}}}}',
    b'{"size": 0, "aggs": {"a": {"filter": {"match_all": {}}, "meta": {"buckets": 5, "hits": []}}}}',
    b'{"size": 0, "aggs": {"a": {"filter": {"match_all": {}}, "aggs": {"buckets": {"max": {"field": "n"}}, '
    b'"hits": {"max": {"field": "action.inpoint"}}}}}}',
    b'{"suggest": {}}',
    b'{"query": {"query_string": {"query": "a AND ("}}}',
    b'{"query": {"regexp": {"mpid": "((((a*)*)*)*)*b"}}}',
    b'{"index": "../_all", "body": {}}',
    b'{"index": "-*", "body": {}}',
    b'{"index": "<useractions-{now/d}>", "body": {}}',
    b'{"index": "a,b,c", "body": {}}',
    b'{"index": "UPPER", "body": {}}',
    b'{"index": "%2a", "body": {}}',
    b'{"index": "a b?c#d", "body": {}}',
    b'{"description": 5, "index": "useractions-*", "body": {"query": {"match_all": {}}}}',
    b'{"query": {"terms": {"huid": [' + b",".join([b'"x"'] * 70_000) + b"]}}}",
    b'{"query":' + b'{"bool":{"must":' * 60 + b'{"match_all":{}}' + b"}}" * 60 + b"}",
]


def ask(harvest: Command, monkeypatch: pytest.MonkeyPatch, body: bytes, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
    result = harvest("query", "-", *arguments)
    return result.code, result.out, result.err


@pytest.mark.parametrize("body", NO_QUERY, ids=range(len(NO_QUERY)))
def test_what_is_no_query_is_usage_and_asks_nobody(
    harvest: Command, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setenv("ES_HOST", "127.0.0.1:1")
    code, out, err = ask(harvest, monkeypatch, body)
    assert (code, out) == (2, "")
    assert "on standard input" in err
    assert len(err) < 1000


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("style", ["table", "csv", "json"])
def test_an_odd_query_is_answered_or_refused_with_a_sentence(
    harvest: Command, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, body: bytes, style: str
) -> None:
    code, out, err = ask(harvest, monkeypatch, body, "--format", style, "--index", "useractions-*")
    assert code in (0, 2, 76, 78), err
    assert code == 0 or (not out and err), err
    assert "Traceback" not in err
    assert max(map(len, err.splitlines()), default=0) < 1500


@pytest.mark.parametrize(
    "index", ["", " ", "*", "_all", "nothing", "a/../b", "a%2fb", "ü", "x" * 300, "-x", "a,,b", "\udcff"]
)
def test_an_odd_index_is_answered_or_refused_with_a_sentence(
    harvest: Command, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    code, _, err = ask(harvest, monkeypatch, b"{}", "--index", index)
    assert code in (0, 2, 76, 78), err
    assert "Traceback" not in err


@pytest.mark.parametrize("source", ["\udcff", "\udcff, x", "*", "ü"])
def test_an_odd_source_is_one_that_nothing_comes_from(
    harvest: Command, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    code, out, err = ask(harvest, monkeypatch, b"{}", "--source", source)
    assert (code, out.strip()) == (0, ""), err
