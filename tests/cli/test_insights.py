"""Every option, exit code and error message of ``harvest.py insights``."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from harvesters.insights.answers import INSIGHTS
from tests.cli.conftest import Command
from tests.insights.made import buddied, by_chance, by_key, event

ROOT = Path(__file__).parents[2]
EVENTS = by_key(
    event("account_created", "ana", "2016-01-01T10:00:00", school_id="osu_edu"),
    event("signed_up", "ana", "2016-01-01T11:00:00", school_id="osu_edu"),
    event("added_class", "ana", "2016-01-01T12:00:00", course_id=17),
    event("account_created", 'zoë, "z"', "2016-01-01T10:00:00", school_id="sydney_edu_au"),
    event("account_created", "tester", "2016-01-01T10:00:00", school_id="buddyup_org"),
    buddied("ana", 'zoë, "z"', "2016-01-02T10:00:00"),
)
OPTIONS = {
    *("--start", "--end", "--school", "--class", "--student", "--include-test-schools", "--from", "--path", "--format"),
    *("--output", "--es-host", "--help"),
}


@pytest.fixture
def dump(tmp_path: Path) -> str:
    path = tmp_path / "events.json"
    path.write_bytes(orjson.dumps(EVENTS))
    return str(path)


def rows(harvest: Command, *arguments: str, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    result = harvest("insights", *arguments, "--format", "json", env=env)
    assert result.code == 0, result.err
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


class TestFormats:
    def test_a_table_is_the_default(self, harvest: Command, dump: str) -> None:
        result = harvest("insights", "funnel", "--from", dump)
        assert result.code == 0
        assert result.err == ""
        assert result.out.splitlines()[2:4] == [
            "   1  account_created      2    1.0000",
            "   2  signed_up            1    0.5000       0.5000        1        1.0000",
        ]

    def test_csv(self, harvest: Command, dump: str) -> None:
        assert harvest("insights", "funnel", "--from", dump, "--format", "csv").out.splitlines() == [
            "step,event,users,of_first,of_previous,dropped,median_hours",
            "1,account_created,2,1.0000,,,",
            "2,signed_up,1,0.5000,0.5000,1,1.0000",
            "3,added_class,1,0.5000,1.0000,0,1.0000",
            "4,buddy_request,0,0.0000,0.0000,1,",
            "5,buddied_up,0,0.0000,,0,",
        ]

    def test_json(self, harvest: Command, dump: str) -> None:
        found = rows(harvest, "funnel", "--from", dump)
        assert found[0] == {
            "step": 1,
            "event": "account_created",
            "users": 2,
            "of_first": 1.0,
            "of_previous": None,
            "dropped": None,
            "median_hours": None,
        }
        assert [*found[0]] == ["step", "event", "users", "of_first", "of_previous", "dropped", "median_hours"]

    def test_ids_are_quoted_as_they_have_to_be(self, harvest: Command, dump: str) -> None:
        csv = harvest("insights", "most-active", "--from", dump, "--format", "csv").out.splitlines()
        assert csv[2].startswith('2,"zoë, ""z""",sydney_edu_au,2,2,2016-01-01T10:00:00.000+00:00,')

    def test_output_takes_the_place_of_a_file_when_it_is_whole(
        self, harvest: Command, dump: str, tmp_path: Path
    ) -> None:
        out, damaged = tmp_path / "out.csv", tmp_path / "damaged.json"
        out.write_text("old")
        damaged.write_bytes(orjson.dumps(EVENTS)[:-1])
        result = harvest("insights", "overview", "--from", dump, "--from", str(damaged), "-o", str(out))
        assert (result.code, result.out, out.read_text()) == (65, "", "old")
        assert str(damaged) in result.err
        assert harvest("insights", "overview", "--from", dump, "--format", "csv", "--output", str(out)).code == 0
        assert out.read_text().startswith("period,type,events,users\n2015-12-28,account_created,2,2\n")
        assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != "") == [
            *("damaged.json", "events.json", "out.csv"),
        ]

    @pytest.mark.parametrize("name", INSIGHTS)
    def test_columns_stand_above_no_rows_too(self, harvest: Command, dump: str, name: str) -> None:
        result = harvest("insights", name, "--from", dump, "--format", "csv", "--start", "2020-01-01")
        assert result.code == 0
        assert "," in result.out.splitlines()[0]


class TestOptions:
    @pytest.mark.parametrize("name", INSIGHTS)
    def test_help_says_what_the_words_mean(self, harvest: Command, name: str) -> None:
        text = harvest("insights", name, "--help").out
        assert " ".join(INSIGHTS[name].definition.split()) in " ".join(text.split())
        assert {word.strip(",") for word in text.split()} >= OPTIONS

    def test_help_maps_every_question_to_a_command(self, harvest: Command) -> None:
        text = harvest("insights", "--help").out
        assert all(name in text.partition("Options:")[0] for name in INSIGHTS)

    def test_times_without_an_offset_are_of_the_zone(self, harvest: Command, dump: str) -> None:
        env = {"FIREBASE_TIMEZONE": "America/Los_Angeles"}
        found = rows(harvest, "overview", "--from", dump, "--by", "day", "--end", "2016-01-01T02:00:01", env=env)
        assert found == [{"period": "2016-01-01", "type": "account_created", "events": 2, "users": 2}]
        assert rows(harvest, "overview", "--from", dump, "--by", "day", "--end", "2016-01-01T02:00:00", env=env) == []
        assert len(rows(harvest, "overview", "--from", dump, "--start", "2016-01-01T11:00:00Z", env=env)) == 3

    def test_filters(self, harvest: Command, dump: str) -> None:
        assert len(rows(harvest, "overview", "--from", dump, "--school", "osu_edu")) == 3
        assert [row["type"] for row in rows(harvest, "overview", "--from", dump, "--class", "17")] == ["added_class"]
        assert len(rows(harvest, "overview", "--from", dump, "--student", "ana")) == 3
        assert rows(harvest, "funnel", "--from", dump, "--class", "17")[0]["users"] == 1

    def test_test_schools(self, harvest: Command, dump: str) -> None:
        included = rows(harvest, "overview", "--from", dump, "--include-test-schools")
        assert included[0]["events"] == 3
        env = {"FIREBASE_TEST_SCHOOLS": "osu_edu, sydney_edu_au"}
        assert rows(harvest, "overview", "--from", dump, env=env)[0]["users"] == 1

    def test_a_key_that_comes_again_takes_the_place_of_the_earlier(
        self, harvest: Command, dump: str, tmp_path: Path
    ) -> None:
        again = tmp_path / "again.json.gz"
        again.write_bytes(
            gzip.compress(orjson.dumps({"events": {"k000": event("heart", "ana", "2016-01-01T10:00:00")}}))
        )
        whole = tmp_path / "whole.json"
        whole.write_bytes(orjson.dumps({"events": EVENTS}))
        files = ["--from", str(whole), "--from", str(again), "--path", "events"]
        assert [row["type"] for row in rows(harvest, "overview", *files, "--student", "ana")] == [
            *("added_class", "heart", "signed_up"),
        ]

    def test_scores_on_request(self, harvest: Command, tmp_path: Path) -> None:
        path = tmp_path / "chat.json"
        path.write_bytes(orjson.dumps(by_key(event("chat_message", "ana", "2016-01-01T10:00:00", body="great"))))
        assert rows(harvest, "sentiment", "--from", str(path))[0]["unscored"] == 1
        assert rows(harvest, "sentiment", "--from", str(path), "--score")[0]["mean_polarity"] == 80.0

    @pytest.mark.parametrize(
        "arguments",
        [
            ["funnel", "--by", "week"],
            ["overview", "--within", "3"],
            ["overview", "--group", "color"],
            ["signups", "--by", "year"],
            ["funnel", "--within", "0"],
            ["funnel", "--within", "many"],
            ["retention", "--weeks", "-1"],
            ["most-active", "--limit", "0"],
            ["most-active", "--limit", str(2**63)],
            ["third-buddy", "--now", "--by", "week"],
            ["overview", "--start", "soon"],
            ["heatmap", "--start", "0001-01-01T00:00:00Z"],
            ["heatmap", "--end", "9999-12-31T23:59:59Z"],
            ["overview", "--school", "no UTF-8: \udcff"],
            ["overview", "--class", "\udcff"],
            ["overview", "--student", "\udcff"],
            ["overview", "--start", "2016-01-02", "--end", "2016-01-02"],
            ["overview", "--start", "2016-01-02", "--end", "2016-01-01"],
            ["overview", "--format", "xml"],
            ["overview", "--from", "/no/such/file"],
            ["overview", "--from", "/"],
            ["overview", "--path", "a.b"],
            ["nothing"],
        ],
    )
    def test_a_mistaken_option_is_2(self, harvest: Command, dump: str, arguments: list[str]) -> None:
        result = harvest("insights", arguments[0], "--from", dump, *arguments[1:])
        assert (result.code, result.out) == (2, "")


class TestMessages:
    def test_what_is_left_out_is_one_line(self, harvest: Command, tmp_path: Path) -> None:
        path = tmp_path / "odd.json"
        odd = {"a": {"type": "heart"}, "b": "text", "c": event("heart", "ana", "2031-01-01T00:00:00"), "d": ["x"]}
        path.write_bytes(orjson.dumps({**EVENTS, **odd}))
        result = harvest("insights", "overview", "--from", str(path))
        assert result.code == 0
        assert len(result.err.splitlines()) == 1
        assert "1 undated, 1 from the future, 2 that are no objects" in result.err

    @pytest.mark.parametrize(
        "filters", [["--school", "x"], ["--class", "x"], ["--student", "x"], ["--school", "x", "--student", "y"]]
    )
    def test_a_filter_that_no_event_fits_is_one_warning(self, harvest: Command, dump: str, filters: list[str]) -> None:
        result = harvest("insights", "funnel", "--from", dump, *filters, "--format", "json")
        assert result.code == 0
        assert len(result.err.splitlines()) == 1
        assert "'x'" in result.err
        assert [row["users"] for row in json.loads(result.out)] == [0] * 5

    def test_a_missing_extra_is_78_with_the_line_that_installs_it(
        self, harvest: Command, dump: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "duckdb", None)
        result = harvest("insights", "overview", "--from", dump)
        assert result.code == 78
        assert "pip install 'harvest[insights]'" in result.err

    @pytest.mark.parametrize("memory", ["much", "512", "-5MB", "512MB; DROP", "1e9MB"])
    def test_memory_that_is_no_size_is_78(self, harvest: Command, dump: str, memory: str) -> None:
        result = harvest("insights", "overview", "--from", dump, env={"HARVEST_INSIGHTS_MEMORY": memory})
        assert result.code == 78
        assert "HARVEST_INSIGHTS_MEMORY" in result.err

    def test_a_cluster_that_does_not_answer_is_69(self, harvest: Command) -> None:
        env = {"ES_HOST": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0"}
        assert harvest("insights", "overview", env=env).code == 69

    def test_with_a_file_nobody_else_is_asked(self, harvest: Command, dump: str) -> None:
        env = {"ES_HOST": "http://a..b/", "REDIS_URL": "redis://127.0.0.1:1/0", "S3_HARVEST_TS_BUCKET": "none"}
        assert harvest("insights", "overview", "--from", dump, env=env).code == 0


class TestIndex:
    @pytest.fixture
    def prefix(self, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        name = f"t{uuid.uuid4().hex[:8]}"
        monkeypatch.setenv("ES_HOST", elasticsearch_url)
        monkeypatch.setenv("FIREBASE_INDEX_PREFIX", name)
        yield name
        requests.delete(f"{elasticsearch_url}/{name}*", timeout=30)
        requests.delete(f"{elasticsearch_url}/_index_template/{name}*", timeout=30)

    def test_index_dump_and_documents_have_the_same_answers(
        self, harvest: Command, prefix: str, tmp_path: Path
    ) -> None:
        dump, documents = tmp_path / "dump.json", tmp_path / "documents.jsonl"
        events = {key: value for key, value in by_chance(3, 400, 10**9, 3_600_000).items() if isinstance(value, dict)}
        deep: Any = "end"
        for _ in range(30):
            deep = {"inside": deep}
        events["deep"] = event("heart", "ana", "2016-01-01T10:00:00", deep=deep)  # the index keeps it as a text
        dump.write_bytes(orjson.dumps(events))
        assert harvest("firebase", "load", str(dump)).code == 0
        assert harvest("firebase", "load", str(dump), "-o", str(documents)).code == 0
        for name in INSIGHTS:
            expected = rows(harvest, name, "--from", str(dump))
            assert expected
            assert rows(harvest, name, "--from", str(documents)) == expected
            assert rows(harvest, name) == expected

    def test_no_index_is_78(self, harvest: Command, prefix: str) -> None:
        result = harvest("insights", "overview")
        assert result.code == 78
        assert f"{prefix}events" in result.err
        assert "firebase load" in result.err


def test_sigterm_ends_a_query(dump: str, tmp_path: Path) -> None:
    """In the middle of one: the process is told as soon as the query, which would take hours, has begun."""
    code = (
        "import os, sys\n"
        "from harvesters.insights import answer, history\n"
        "def ask(self, query, parameters):\n"
        "    print('asked', flush=True)\n"
        "    with history.translated(), self._store.cursor() as cursor:\n"
        "        return cursor.execute('SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b')\n"
        "answer.unheard_of = lambda *arguments: []\n"
        "history.History.ask = ask\n"
        "from harvesters.cli.main import main\n"
        f"main(['--env-file', os.devnull, 'insights', 'funnel', '--from', {dump!r}])\n"
    )
    spilled = tmp_path / "spilled"
    spilled.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(spilled)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (75, ""), err
    assert "Traceback" not in err
    assert [*spilled.iterdir()] == []


@pytest.mark.parametrize("style", ["csv", "json", "table"])
def test_sigterm_ends_the_writing_of_an_answer(dump: str, tmp_path: Path, style: str) -> None:
    """In the middle of one: no row is written before the process is told."""
    code = (
        "import os, signal\n"
        "from harvesters.insights import stopping\n"
        "def write(self, text):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert self._stop.wait(60)\n"
        "    return written(self, text)\n"
        "written, stopping.Stoppable.write = stopping.Stoppable.write, write\n"
        "from harvesters.cli.main import main\n"
        "main(['--env-file', os.devnull, 'insights', 'heatmap', '--from', "
        f"{dump!r}, '--format', {style!r}, '--output', 'answer'])\n"
    )
    work = tmp_path / "work"
    work.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 75, result.stderr
    assert "Traceback" not in result.stderr
    assert [*work.iterdir()] == []


def test_sigterm_ends_what_nobody_reads(dump: str, tmp_path: Path) -> None:
    """The pipe is full when the process is told."""
    command = [sys.executable, "-m", "harvesters", "--env-file", os.devnull, "insights", "heatmap", "--from", dump]
    process = subprocess.Popen(
        [*command, "--start", "1970-01-01", "--format", "json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.read(1) == b"["
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 75
    process.communicate()
