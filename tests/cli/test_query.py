"""Every option, exit code and error message of ``harvest.py query``, and the queries that are shipped."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harvesters import useragents
from harvesters.search.saved import saved_queries
from tests.cli.conftest import Command, Result
from tests.indices import EPISODES, USERACTIONS, Cluster, cluster_for_a_test

SHIPPED = {saved.name: saved for saved in saved_queries()}
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0"


def action(hour: int, huid: str, mpid: str = "mp-1", **fields: Any) -> dict[str, Any]:
    body = {
        "timestamp": datetime(2026, 2, 12, hour, 30, tzinfo=UTC).isoformat(),
        "huid": huid,
        "mpid": mpid,
        "is_live": False,
        "action": {"type": "HEARTBEAT", "inpoint": 0, "is_playing": True},
        "useragent": IPHONE,
        "episode": {"title": f"Lecture of {mpid}", "course": "CSCI E-1", "series": "20260113001"},
        "geoip": {"country_name": "France"},
        **fields,
    }
    useragents.add_to(body)
    return body


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster_for_a_test(request) as cluster:
        actions = [
            action(9, "alice"),
            action(9, "bob"),
            action(10, "alice"),
            action(10, "alice", "mp-2", is_live=True, useragent=EDGE, episode={}),
        ]
        cluster.fill("useractions-2026.02.12", actions, USERACTIONS)
        episode = {"mpid": "mp-2", "title": "Live", "series": "20260113001", "live_stream": True, "duration": 10}
        times = dict.fromkeys(("start", "live_start", "live_end", "available"), "2026-02-12T10:00:00Z")
        cluster.fill("episodes", [episode | times | {"live_duration": 5}], EPISODES)
        yield cluster


@pytest.fixture
def query(harvest: Command, filled: Cluster, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("ES_HOST", filled.url)

    def run(*arguments: str, stdin: str = "", **named: Any) -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        return harvest("query", *arguments, **named)

    return run


def table(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out)))


class TestShipped:
    @pytest.mark.parametrize("name", SHIPPED)
    def test_each_finds_something(self, query: Command, filled: Cluster, name: str) -> None:
        result = query(name, "--index", filled.name(SHIPPED[name].index), "--format", "json")
        assert result.code == 0, result.err
        assert json.loads(result.out)

    def test_each_says_what_it_is_for(self) -> None:
        assert SHIPPED
        assert all(saved.description and saved.index for saved in SHIPPED.values())

    def test_they_count_what_they_say(self, query: Command, filled: Cluster) -> None:
        def asked(name: str) -> list[list[str]]:
            found = table(query(name, "--index", filled.name("useractions-*"), "--format", "csv"))
            return [list(row.values()) for row in found]

        def named(name: str) -> dict[str, str]:
            """The first row: the order of columns that stand for fields of a document is the cluster's."""
            return table(query(name, "--index", filled.name("useractions-*"), "--format", "csv"))[0]

        assert asked("actions_per_hour") == [
            ["2026-02-12T09:00:00.000Z", "2", "2"],
            ["2026-02-12T10:00:00.000Z", "2", "1"],
        ]
        assert asked("live_vs_vod") == [["false", "3", "2", "1"], ["true", "1", "1", "1"]]
        assert sorted(named("top_episodes").values()) == sorted(["mp-1", "3", "2", "Lecture of mp-1", "CSCI E-1"])
        assert asked("viewers_per_course") == [["20260113001", "3", "2", "CSCI E-1"]]
        assert asked("devices") == [["desktop", "1", "Edge", "1"], ["phone", "3", "Safari", "2"]]


class TestNothingToCount:
    def test_heartbeats_say_so_where_no_player_sends_them(self, query: Command, filled: Cluster) -> None:
        filled.fill("stock", [action(9, "alice", action={"type": "FOOTPRINT", "inpoint": 0})], USERACTIONS)
        result = query("heartbeats", "--index", filled.name("stock"), "--format", "json")
        assert (result.code, json.loads(result.out)) == (0, [])
        (line,) = result.err.splitlines()
        assert filled.name("stock") in line
        assert "HEARTBEAT" in line

    def test_not_where_there_are_some_at_another_time(self, query: Command, filled: Cluster) -> None:
        arguments = ("--index", filled.name("useractions-*"), "--format", "csv")
        assert query("heartbeats", *arguments, "-s", "20300101000000").err == ""
        assert query("heartbeats", *arguments).err == ""
        assert query("devices", "--index", "no-such-index-*").err == ""


class TestFormats:
    def test_table_is_the_default(self, query: Command, filled: Cluster) -> None:
        assert query("live-vs-vod", "--index", filled.name("useractions-*")).out.splitlines() == [
            "is_live  count  viewers  episodes",
            "-------  -----  -------  --------",
            "false        3        2         1",
            "true         1        1         1",
        ]

    def test_json_is_one_array(self, query: Command, filled: Cluster) -> None:
        result = query("live_vs_vod", "--index", filled.name("useractions-*"), "--format", "json")
        assert json.loads(result.out)[1] == {"is_live": "true", "count": 1, "viewers": 1, "episodes": 1}

    @pytest.mark.parametrize(("style", "empty"), [("table", ""), ("csv", ""), ("json", "[]")])
    def test_nothing_found(self, query: Command, style: str, empty: str) -> None:
        result = query("action_types", "--index", "no-such-index-*", "--format", style)
        assert result.code == 0
        assert "".join(result.out.split()) == empty

    def test_an_unknown_format_is_2(self, query: Command) -> None:
        assert query("devices", "--format", "xml").code == 2

    @pytest.mark.parametrize("option", ["-o", "--output"])
    def test_a_file(self, query: Command, filled: Cluster, tmp_path: Path, option: str) -> None:
        path = tmp_path / "rows.csv"
        indices = ("--index", filled.name("useractions-*"))
        assert query("action_types", *indices, "--format", "csv", option, str(path)).out == ""
        assert path.read_text() == "type,count,viewers\nHEARTBEAT,4,2\n"

    def test_a_table_has_nothing_that_steers_a_terminal(self, query: Command, filled: Cluster) -> None:
        filled.fill("odd", [{"title": "a\x1b[2Jb\nc", "size": 1.5, "big": True}], {})
        out = query("-", stdin=json.dumps({"index": filled.name("odd"), "body": {"query": {"match_all": {}}}})).out
        assert "\x1b" not in out
        assert out.splitlines()[2].split()[1:] == ["a", "[2Jb", "c", "1.50", "true"]


class TestNames:
    def test_without_a_name_they_are_listed(self, harvest: Command) -> None:
        result = harvest("query")
        assert result.code == 0
        assert [line.split()[0] for line in result.out.splitlines()[2:]] == list(SHIPPED)
        assert {row["name"] for row in json.loads(harvest("query", "--format", "json").out)} == set(SHIPPED)

    def test_an_unknown_one_is_2_and_the_nearest_is_named(self, query: Command) -> None:
        result = query("top_episode")
        assert result.code == 2
        assert "top_episodes" in result.err

    @pytest.mark.parametrize("name", ["../setup", "/etc/passwd", "", "nonsense"])
    def test_only_saved_ones_are_read(self, query: Command, name: str) -> None:
        result = query(name)
        assert result.code == 2
        assert "live_vs_vod" in result.err


class TestStandardInput:
    def test_the_body_of_a_search(self, query: Command, filled: Cluster) -> None:
        body = {"query": {"term": {"huid": "bob"}}, "_source": ["huid", "episode.title"]}
        result = query("-", "--index", filled.name("useractions-*"), "--format", "json", stdin=json.dumps(body))
        (row,) = json.loads(result.out)
        assert (row["huid"], row["episode.title"]) == ("bob", "Lecture of mp-1")

    def test_a_query_as_they_are_saved(self, query: Command, filled: Cluster) -> None:
        body = {"size": 0, "aggs": {"viewers": {"cardinality": {"field": "huid"}}}}
        saved = {"description": "d", "index": filled.name("useractions-*"), "body": body}
        assert json.loads(query("-", "--format", "json", stdin=json.dumps(saved)).out) == [{"viewers": 2}]

    @pytest.mark.parametrize(
        "stdin", ["", "SELECT 1", "[]", "1", '{"index": 1, "body": {}}', '{"body": []}', '{"body": {}, "types": 1}']
    )
    def test_what_is_no_query_is_2(self, query: Command, stdin: str) -> None:
        result = query("-", stdin=stdin)
        assert result.code == 2
        assert "standard input" in result.err

    def test_what_the_cluster_does_not_understand_is_2(self, query: Command) -> None:
        result = query("-", stdin='{"query": {"nonsense": {}}}')
        assert result.code == 2
        assert "unknown query [nonsense]" in result.err

    def test_a_missing_index_is_78(self, query: Command) -> None:
        result = query("-", "--index", "no-such-index", stdin="{}")
        assert result.code == 78
        assert "no-such-index" in result.err


class TestRange:
    @pytest.mark.parametrize(
        ("arguments", "count"),
        [
            (("-s", "20260212100000"), 2),
            (("--start", "2026-02-12T10:30:00Z"), 2),
            (("-e", "20260212103000"), 2),
            (("--end", "2026-02-12T10:30:01Z"), 4),
            (("-s", "20260212093100", "-e", "20260212100000"), 0),
        ],
    )
    def test_start_is_inclusive_and_end_exclusive(
        self, query: Command, filled: Cluster, arguments: tuple[str, ...], count: int
    ) -> None:
        result = query("-", "--index", filled.name("useractions-*"), *arguments, "--format", "json", stdin="{}")
        assert len(json.loads(result.out)) == count

    def test_it_is_added_to_the_query(self, query: Command, filled: Cluster) -> None:
        result = query("heartbeats", "--index", filled.name("useractions-*"), "-s", "20260212100000", "--format", "csv")
        assert [row["count"] for row in table(result)] == ["1", "1"]

    def test_a_time_that_is_none_is_2(self, query: Command) -> None:
        assert query("devices", "--start", "yesterday").code == 2


class TestCluster:
    def test_es_host(self, query: Command, filled: Cluster) -> None:
        given = ("--es-host", filled.url, "--index", filled.name("useractions-*"))
        assert query("devices", *given, env={"ES_HOST": "127.0.0.1:1"}).code == 0

    def test_one_that_does_not_answer_is_69(self, query: Command) -> None:
        assert query("devices", env={"ES_HOST": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0"}).code == 69


def test_only_one_opencast_of_several(query: Command, filled: Cluster) -> None:
    named = [action(9, "alice", source="main"), action(9, "bob", source="main"), action(9, "carol", source="other")]
    filled.fill("named-useractions", [*named, action(9, "dave")], USERACTIONS)
    index = ("--index", filled.name("named-useractions"), "--format", "csv")
    found = [list(row.values()) for row in table(query("actions_per_source", *index))]
    assert sorted(found) == [["-", "1", "1"], ["main", "2", "2"], ["other", "1", "1"]]
    rows = table(query("actions_per_hour", "--source", "main", *index))
    assert [list(row.values())[1:] for row in rows] == [["2", "2"]]
    assert table(query("actions_per_hour", "--source", "nobody", *index)) == []
