"""``harvest.py logs``, as a user gives it: against a real Elasticsearch, and without any."""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harvesters.elastic import paths
from harvesters.firebase.indices import with_prefix
from harvesters.logs.events import FIELDS
from harvesters.search import templates
from harvesters.simulators.base import Request, Response, Simulator
from tests.cli.conftest import Command
from tests.indices import Cluster
from tests.servers import KIND
from tests.sinks.bulk import WELCOME, answer
from tests.way import way

MAPPING = templates.find("pset_x").mappings
MADE = re.compile(r"Response: 200\n\{'acknowledged': True, 'shards_acknowledged': True, 'index': '(.*)'\}\nSchema gen")


@pytest.fixture
def generate(harvest: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``logs generate -o -``, with nobody to ask."""
    monkeypatch.setenv("ES_HOST", "127.0.0.1:1")
    return lambda *arguments, **named: harvest("logs", "generate", "-o", "-", *arguments, **named)


class TestLines:
    """Neither a cluster nor the extra is needed."""

    @pytest.fixture(autouse=True)
    def no_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "aiohttp", None)

    def test_an_event_of_today_unless_told_otherwise(self, generate: Command) -> None:
        result = generate()
        assert result.code == 0
        (event,) = result.documents
        assert tuple(event) == FIELDS
        assert result.err == "1 log events generated\n"

    def test_none(self, generate: Command) -> None:
        result = generate("--count", "0")
        assert (result.code, result.out, result.err) == (0, "", "0 log events generated\n")

    def test_a_mask(self, generate: Command) -> None:
        result = generate("--timestamp", "?-2-29 12:?:07", "--count", "2000")
        assert all(re.fullmatch(r"20\d[048]-02-29T12:\d\d:07", event["eventTime"]) for event in result.documents)
        assert len({event["eventTime"] for event in result.documents}) > 60

    def test_a_seed(self, generate: Command) -> None:
        few, more = (generate("--seed", "7", "--count", count).out for count in ("100", "1000"))
        assert more.startswith(few)
        assert generate("--seed", "7", "--count", "100", "--max-tasks", "3", "--one-by-one").out == few
        assert generate("--count", "100").out != generate("--count", "100").out

    @pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
    def test_a_file_is_appended_to(self, harvest: Command, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        for seed in ("1", "2"):
            result = harvest("logs", "generate", "--count", "1500", "--seed", seed, "-o", str(path))
            assert (result.code, result.out) == (0, "1500 log events generated\n")
        text = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
        assert len({json.loads(line)["logID"] for line in text.splitlines()}) == 3000

    @pytest.mark.parametrize("path", ["/dev/null", ".", "x" * 256, "~nobody-of-that-name/x"])
    def test_what_is_no_file_is_78(self, harvest: Command, path: str) -> None:
        result = harvest("logs", "generate", "-o", path)
        assert result.code == 78
        assert "--output" in result.err

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--timestamp", "2026-02-29Tnow"),
            ("--timestamp", ""),
            ("--count", "-1"),
            ("--count", "many"),
            ("--max-tasks", "0"),
            ("--seed", "x"),
        ],
    )
    def test_what_cannot_be_is_usage(self, generate: Command, arguments: tuple[str, ...]) -> None:
        result = generate(*arguments)
        assert (result.code, result.out) == (2, "")
        assert arguments[0] in result.err

    def test_a_mask_that_cannot_be_names_the_part(self, generate: Command) -> None:
        assert "no month 13" in generate("--timestamp", "?-13-?Tnow").err


@pytest.mark.parametrize("arguments", [("init",), ("generate",), ("query",)])
def test_without_the_extra_it_says_how_to_install_it(
    harvest: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr("harvesters.elastic.asyncclient.find_spec", lambda name: None)
    result = harvest("logs", *arguments)
    assert (result.code, result.out) == (78, "")
    assert "pip install 'harvest[async]'" in result.err


class TestInit:
    def test_it_makes_an_index_as_the_seed_has_it(self, logs: Command, cluster: Cluster) -> None:
        result = logs("init")
        assert result.code == 0, result.err
        found = MADE.fullmatch(result.out.removesuffix("erated\n"))
        assert found is not None
        assert found[1] == cluster.name("logs")
        mapping = cluster.ask("GET", f"/{cluster.name('logs')}/_mapping")[cluster.name("logs")]["mappings"]
        assert {name: field["type"] for name, field in mapping["properties"].items()} == {
            **dict.fromkeys(("logID", "ua_os", "userId"), "text"),
            **dict.fromkeys(("browser", "ua_country", "url"), "keyword"),
            "eventTime": "date",
            "responseCode": "integer",
            "ttfb": "float",
            "location": "geo_point",
        }
        assert mapping["dynamic"] == "strict"

    def test_an_empty_one_is_made_anew_without_a_question(self, logs: Command, cluster: Cluster) -> None:
        before = [uuid(cluster) for _ in range(2) if logs("init").code == 0]
        assert before[0] != before[1]

    def test_documents_are_deleted_with_yes_alone(self, logs: Command, cluster: Cluster) -> None:
        logs("init")
        logs("generate", "--count", "20")
        before = uuid(cluster)
        refused = logs("init", stdin="y\n")  # no terminal
        assert (refused.code, refused.out) == (2, "")
        assert "20 documents" in refused.err
        assert "--yes" in refused.err
        assert uuid(cluster) == before
        assert cluster.count("logs") == 20
        assert logs("init", "--yes").code == 0
        assert cluster.count("logs") == 0

    def test_documents_that_no_search_sees_yet_are_documents(self, logs: Command, cluster: Cluster) -> None:
        logs("init")
        cluster.ask("PUT", f"/{cluster.name('logs')}/_settings", {"index.refresh_interval": "-1"})
        cluster.ask("PUT", f"/{cluster.name('logs')}/_doc/1", {"browser": "IE"})
        refused = logs("init")
        assert refused.code == 2
        assert "1 document, and" in refused.err

    @pytest.mark.parametrize("answer", ["", "\n", "n\n", "no\n", "yess\n", "j\n", "y\n", "YES\n"])
    def test_at_a_terminal_it_asks(self, logs: Command, cluster: Cluster, answer: str) -> None:
        logs("init")
        logs("generate", "--count", "3")
        result = logs("init", stdin=answer, terminal=True)
        assert f"{cluster.name('logs')} holds 3 documents. Delete it?" in result.err
        wanted = answer.lower() in ("y\n", "yes\n")
        assert result.code == (0 if wanted else 75)
        assert cluster.count("logs") == (0 if wanted else 3)
        assert wanted or "nothing was done" in result.err

    @pytest.mark.parametrize(
        "name",
        [
            *("*", "pset*", "pset_x,other", "-pset_x", "_all", "_pset", ".pset", "..", "+pset"),
            *(
                "<pset-{now/d}>",
                "PSET_X",
                "\u00c4",
                "a b",
                "a/b",
                "a:b",
                "a#b",
                'a"b',
                "a\\b",
                "a?b",
                "a|b",
                "a\u202eb",
            ),
            "\u00e4" * 128,
        ],
    )
    def test_what_is_no_name_of_one_index_is_refused(self, harvest: Command, name: str) -> None:
        for command in (["init", "--yes"], ["generate"], ["query"]):
            result = harvest("logs", *command, "--index", name, env={"ES_HOST": "127.0.0.1:1"})
            assert (result.code, result.out) == (78, "")
            assert "no name of one index" in result.err

    @pytest.mark.parametrize("command", [["init", "--yes"], ["generate"], ["query"]])
    def test_an_empty_name_stands_for_no_other_index(self, harvest: Command, command: list[str]) -> None:
        """As a variable of the shell gives it that is not set."""
        result = harvest("logs", *command, "--index", "", "-e", "127.0.0.1:1")
        assert result.code == 2
        assert "ELASTIC_INDEX" in result.err

    @pytest.mark.parametrize("name", ["\u00e4\u4e2d", "a%2a", "a%", "1", "pset_x.old", "migrated-0001-x"])
    def test_other_names_are_taken_as_they_are(self, logs: Command, cluster: Cluster, name: str) -> None:
        name = cluster.name(name) if not name.startswith("migrated") else f"{name}{cluster.prefix}"
        try:
            assert logs("init", "--index", name).code == 0
            assert logs("generate", "--index", name, "--count", "3").code == 0
            assert "'value': 3" in logs("query", "--index", name, stdin="{}").out
        finally:
            cluster.ask("DELETE", f"/{paths.name(name)}", accept=(404,))

    @pytest.mark.parametrize(
        "name",
        [
            "useractions-2026.02.13",
            "useractions",
            "episodes",
            "meetings-2026.02.13",
            "buddyupevents-2026-02",
            "buddyupprofiles",
            "mineprofiles",
            "mineevents",
            "migrated-0004-episodes",
            "reverted-0001-useractions-2026.02.13",
            "harvest-migrations",
        ],
    )
    def test_names_of_our_other_indices_are_refused(self, harvest: Command, name: str) -> None:
        settings = {"ES_HOST": "127.0.0.1:1", "FIREBASE_INDEX_PREFIX": "mine", "ELASTIC_INDEX": name}
        for command in (["init", "--yes"], ["generate"]):
            result = harvest("logs", *command, env=settings)
            assert result.code == 78, result.err
            assert repr(name) in result.err

    @pytest.mark.parametrize("template", [each.name for each in templates.read() if each.name != "pset_x"])
    def test_so_is_every_pattern_of_every_template(self, harvest: Command, template: str) -> None:
        (found,) = (each for each in with_prefix(templates.read(), "buddyup") if each.name == template)
        for pattern in [found.name, *found.aliases, *found.patterns]:
            assert harvest("logs", "init", "--yes", "--index", pattern.replace("*", "x")).code == 78

    @pytest.mark.parametrize(
        "mapping",
        [
            {"properties": {**MAPPING["properties"], "huid": {"type": "keyword"}}},
            {"properties": {"location": {"properties": {"city": {"type": "keyword"}}}}},
            {"properties": {"browser": {"type": "keyword"}, "x": {"type": "object"}}},
            *([{"runtime": {"grade": {"type": "keyword"}}}] if KIND.startswith("es") else []),  # OpenSearch has none
            {"properties": {"logid": {"type": "keyword"}}},
        ],
    )
    def test_an_index_with_other_fields_is_left_alone(
        self, logs: Command, cluster: Cluster, mapping: dict[str, Any]
    ) -> None:
        cluster.create("logs", mapping)
        before = uuid(cluster)
        result = logs("init", "--yes")
        assert (result.code, result.out) == (78, "")
        assert "not for log events" in result.err
        assert uuid(cluster) == before

    def test_documents_without_a_field_are_somebody_elses(self, logs: Command, cluster: Cluster) -> None:
        cluster.create("logs", {"enabled": False})
        cluster.fill("logs", [{"grade": "A"}])
        assert logs("init", "--yes").code == 78
        assert cluster.count("logs") == 1

    def test_an_index_whose_mapping_was_guessed_from_events_is_ours(self, logs: Command, cluster: Cluster) -> None:
        (event,) = logs("generate", "-o", "-").documents
        cluster.ask("PUT", f"/{cluster.name('logs')}/_doc/1", event)
        assert logs("init", "--yes").code == 0

    def test_an_alias_is_left_alone(self, logs: Command, cluster: Cluster) -> None:
        cluster.create("real", MAPPING)
        cluster.ask("PUT", f"/{cluster.name('real')}/_alias/{cluster.name('logs')}")
        result = logs("init", "--yes")
        assert result.code == 78
        assert "an alias" in result.err
        assert cluster.exists("real")

    @pytest.mark.parametrize(
        "found",
        [
            {"indices": [], "data_streams": [{"name": "pset_x", "backing_indices": [".ds-pset_x-1"]}]},
            {"indices": [{"name": "pset_x", "attributes": ["open"], "data_stream": "stream"}]},
        ],
    )
    def test_a_data_stream_is_left_alone(self, harvest: Command, found: dict[str, Any]) -> None:
        """The core of Elasticsearch makes data streams, and removes none; so here it is said what it answers."""
        asked = []

        class Streams(Simulator):
            def handle(self, request: Request) -> Response:
                asked.append((request.method, request.path.partition("?")[0]))
                return answer(WELCOME if request.path == "/" else found)

        with Streams() as elasticsearch:
            result = harvest("logs", "init", "--yes", env={"ES_HOST": elasticsearch.url})
        assert result.code == 78
        assert "a data stream" in result.err
        assert asked == [("GET", "/"), ("GET", "/_resolve/index/pset_x")]

    def test_a_closed_one_is_left_alone(self, logs: Command, cluster: Cluster) -> None:
        logs("init")
        cluster.ask("POST", f"/{cluster.name('logs')}/_close")
        result = logs("init", "--yes")
        assert result.code == 78
        assert "_open" in result.err
        assert logs("query", stdin="{}").code == 78

    def test_what_is_filled_meanwhile_is_left_alone(self, logs: Command, cluster: Cluster) -> None:
        logs("init")
        asked = 0

        def fill(path: str, body: bytes, _: bytes) -> None:
            nonlocal asked
            asked += path.endswith("/_refresh")
            if asked == 2:  # after the first look
                cluster.ask("PUT", f"/{cluster.name('logs')}/_doc/1", {"browser": "IE"})

        with way(cluster.url, fill) as elasticsearch:
            result = logs("init", env={"ES_HOST": elasticsearch.url})
        assert result.code == 75
        assert "1 documents meanwhile" in result.err
        assert cluster.count("logs") == 1

    @pytest.mark.parametrize("documents", [0, 1])
    def test_another_init_at_the_same_moment(self, logs: Command, cluster: Cluster, documents: int) -> None:
        name = cluster.name("logs")
        done: list[Any] = []

        def overtake(path: str, body: bytes, _: bytes) -> None:
            if path == f"/{name}" and body and not done:  # the request that makes it
                done.append(cluster.ask("PUT", f"/{name}", json.loads(body)))
                for id in range(documents):
                    cluster.ask("PUT", f"/{name}/_doc/{id}", {"browser": "IE"})

        with way(cluster.url, overtake) as elasticsearch:
            result = logs("init", env={"ES_HOST": elasticsearch.url})
        assert done
        assert result.code == (75 if documents else 0), result.err
        assert cluster.count("logs") == documents

    def test_an_answer_that_is_lost_does_no_harm(
        self, logs: Command, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: Counter[str] = Counter()

        def lose(path: str, body: bytes, answer: bytes) -> int | None:
            seen[kind := "make" if body else path] += 1
            return 503 if path == f"/{cluster.name('logs')}" and seen[kind] == 1 else None

        monkeypatch.setattr("harvesters.retry.RetryPolicy.pause", lambda *_: 0.0)
        logs("init")
        with way(cluster.url, lose, after=True) as elasticsearch:
            result = logs("init", env={"ES_HOST": elasticsearch.url})
        assert result.code == 0, result.err
        assert cluster.count("logs") == 0

    def test_its_template_is_for_pset_x_alone(self) -> None:
        assert templates.find("pset_x").patterns == ["pset_x"]


def uuid(cluster: Cluster) -> str:
    name = cluster.name("logs")
    return str(cluster.ask("GET", f"/{name}/_settings")[name]["settings"]["index"]["uuid"])


class TestGenerate:
    def test_without_an_index_it_says_what_makes_one(self, logs: Command, cluster: Cluster) -> None:
        result = logs("generate", "--count", "5")
        assert (result.code, result.out) == (78, "0 log events generated\n")
        assert "logs init" in result.err
        assert not cluster.exists("logs")

    @pytest.mark.parametrize("way_in", [(), ("--one-by-one",)])
    def test_a_seed_gives_the_documents_that_it_gives_as_lines(
        self, logs: Command, cluster: Cluster, way_in: tuple[str, ...]
    ) -> None:
        logs("init")
        arguments = ("generate", "--seed", "3", "--count", "101", "--timestamp", "2026-02-13T?:?:?")
        lines = logs(*arguments, "-o", "-").documents
        for tasks in ("1", "7"):
            result = logs(*arguments, "--max-tasks", tasks, *way_in)
            assert (result.code, result.out, result.err) == (0, "101 log events generated\n", "")
            assert cluster.documents("logs") == {event["logID"]: event for event in lines}

    def test_an_empty_run(self, logs: Command) -> None:
        logs("init")
        assert logs("generate", "--count", "0").out == "0 log events generated\n"

    @pytest.mark.parametrize("way_in", [(), ("--one-by-one",)])
    def test_what_the_index_refuses_does_not_keep_the_others(
        self, logs: Command, cluster: Cluster, way_in: tuple[str, ...]
    ) -> None:
        cluster.create("logs", {"properties": {"responseCode": {"type": "byte"}}})  # takes 100 alone
        result = logs("generate", "--seed", "1", "--count", "230", *way_in)
        taken = cluster.count("logs")
        assert 0 < taken < 230
        assert result.out == f"{taken} log events generated\n"
        assert result.code == 65
        assert re.search(rf"{230 - taken} of 230 events were refused for good: \w+_parsing_exception", result.err)
        assert "[responseCode]" in result.err

    def test_searches_see_what_it_did_at_once(self, logs: Command, cluster: Cluster) -> None:
        logs("init")
        cluster.ask("PUT", f"/{cluster.name('logs')}/_settings", {"index.refresh_interval": "-1"})
        logs("generate", "--count", "30")
        assert "'value': 30" in logs("query", stdin="{}").out

    def test_one_after_the_other_and_none_twice(self, logs: Command, cluster: Cluster) -> None:
        logs("init")
        for _ in range(2):
            assert logs("generate", "--count", "50").code == 0
        assert cluster.count("logs") == 100


@pytest.mark.parametrize("command", [["init", "--yes"], ["generate"], ["query"]])
def test_one_that_does_not_answer_is_69(logs: Command, command: list[str]) -> None:
    result = logs(*command, stdin="{}", env={"ES_HOST": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0"})
    assert result.code == 69, result.err
