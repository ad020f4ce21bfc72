"""``harvest.py logs query``, and the three queries of its page."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.indices import Cluster
from tests.way import way

DOCS = Path(__file__).parents[2] / "docs" / "logs.md"


@pytest.fixture(scope="module")
def queries() -> dict[str, dict[str, Any]]:
    """The three of docs/logs.md, by the name of the file that the page puts them into."""
    text = DOCS.read_text()
    found = re.findall(r"`(query\d\.json)`: .*\n\n```json\n((?:[^`]|\n)*)```", text)
    return {name: json.loads(body) for name, body in found}


class TestQuery:
    @pytest.fixture
    def filled(self, logs: Command) -> list[dict[str, Any]]:
        logs("init")
        arguments = ("generate", "--seed", "5", "--timestamp", "2026-02-13T?:?:?")
        assert logs(*arguments, "--count", "20000").out == "20000 log events generated\n"
        one_by_one = ("generate", "--seed", "6", "--timestamp", "2026-02-13T?:?:?", "--count", "1000")
        assert logs(*one_by_one, "--one-by-one").out == "1000 log events generated\n"
        return logs(*arguments, "--count", "20000", "-o", "-").documents + logs(*one_by_one, "-o", "-").documents

    @pytest.mark.slow
    def test_the_seeds_queries_are_answered_exactly(
        self, logs: Command, filled: list[dict[str, Any]], queries: dict[str, Any], tmp_path: Path
    ) -> None:
        answers = {}
        for name, body in queries.items():
            shown = logs("query", stdin=json.dumps(body))
            assert shown.code == 0, shown.err
            assert shown.out.startswith("Response: 200\n{'took': ")
            assert shown.out.endswith("}\nQuery finished\n")
            answers[name] = json.loads(logs("query", "--json", stdin=json.dumps(body)).out)
        assert answers["query1.json"]["hits"]["total"] == {"value": 10_000, "relation": "gte"}  # Elasticsearch's limit
        assert len(answers["query1.json"]["hits"]["hits"]) == 10

        countries = Counter(event["ua_country"] for event in filled)
        pairs = Counter((event["ua_country"], event["browser"]) for event in filled)
        buckets = answers["query2.json"]["aggregations"]["country"]["buckets"]
        assert {bucket["key"]: bucket["doc_count"] for bucket in buckets} == countries
        found = {(one["key"], two["key"]): two["doc_count"] for one in buckets for two in one["browser"]["buckets"]}
        assert found == pairs

        failed = Counter(event["url"] for event in filled if 500 <= event["responseCode"] <= 599)
        buckets = answers["query3.json"]["aggregations"]["url"]["buckets"]
        assert [bucket["doc_count"] for bucket in buckets] == [number for _, number in failed.most_common(5)]
        assert all(failed[bucket["key"]] == bucket["doc_count"] for bucket in buckets)
        assert answers["query3.json"]["hits"]["total"]["value"] == failed.total()

    def test_there_are_three(self, queries: dict[str, Any]) -> None:
        assert [*queries] == ["query1.json", "query2.json", "query3.json"]
        assert queries["query1.json"] == {}

    @pytest.mark.parametrize("stdin", ["", " \n", "nonsense", "{", "[]", "1", '"x"', "{} {}", '{"size": NaN}'])
    def test_what_is_no_object_is_usage(self, logs: Command, stdin: str) -> None:
        result = logs("query", stdin=stdin, env={"ES_HOST": "127.0.0.1:1"})
        assert (result.code, result.out) == (2, "")
        assert "standard input" in result.err

    @pytest.mark.parametrize("style", [(), ("--json",)])
    def test_what_the_cluster_does_not_understand_is_shown_and_2(self, logs: Command, style: tuple[str, ...]) -> None:
        logs("init")
        result = logs("query", *style, stdin='{"query": {"nonsense": {}}}')
        assert result.code == 2
        assert "unknown query [nonsense]" in result.err
        if style:
            assert json.loads(result.out)["status"] == 400
        else:
            assert result.out.startswith("Response: 400\n{'error': {")
            assert "Query finished" not in result.out

    def test_no_index_is_78(self, logs: Command) -> None:
        result = logs("query", stdin="{}")
        assert (result.code, result.out) == (78, "")
        assert "logs init" in result.err

    def test_an_index_that_the_query_itself_names_is_named(self, logs: Command, cluster: Cluster) -> None:
        logs("init")
        lookup = {"url": {"index": cluster.name("nope"), "id": "1", "path": "x"}}
        result = logs("query", stdin=json.dumps({"query": {"terms": lookup}}))
        assert result.code == 78
        assert f"no index {cluster.name('nope')!r} (of the query to {cluster.name('logs')!r})" in result.err

    def test_it_is_sent_as_it_is(self, logs: Command, cluster: Cluster) -> None:
        body = '{ "size":0,  "query":{"range":{"ttfb":{"lt":1.00000000000000000001}}} }'
        seen = []
        logs("init")
        with way(cluster.url, lambda path, asked, _: seen.append(asked)) as elasticsearch:
            result = logs("query", stdin=body, env={"ES_HOST": elasticsearch.url})
        assert result.code == 0, result.err
        assert seen[-1] == body.encode()

    def test_a_shard_that_fails_leaves_nothing_out(self, logs: Command, cluster: Cluster) -> None:
        logs("init")
        seen = []
        with way(cluster.url, lambda path, asked, _: seen.append(path)) as elasticsearch:
            logs("query", stdin="{}", env={"ES_HOST": elasticsearch.url})
        assert "allow_partial_search_results=false" in seen[-1]
