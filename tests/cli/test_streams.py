"""A reader that leaves ends a command with 0 and without a word; a stream that is closed breaks nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvesters.search import templates
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.opencast.server import OpencastSimulator
from tests.cli.processes import COMMANDS, GROUPS, HARVEST, ROOT, nobody, run
from tests.cli.searching import cluster_for_a_test

EVERY = [*COMMANDS, *GROUPS]
QUICK = [
    ["--version"],
    ["query"],
    ["completion", "bash"],
    ["completion", "zsh"],
    ["dev", "status"],
    ["dev", "install_kopf", "--explain"],
    ["dev", "down"],
    ["dev", "simulate", "opencast", "--port", "0", "--actions", "5", "--per-minute", "0"],
    ["dev", "simulate", "zoom", "--port", "0", "--meetings", "2", "--sessions", "4"],
    ["dev", "simulate", "firebase", "--port", "0", "--events", "5", "--per-minute", "0"],
    ["dev", "simulate", "wenet", "--port", "0", "--users", "3", "--tasks", "4"],
]


class Cluster(Simulator):
    """An Elasticsearch that finds some documents, whatever it is asked."""

    def handle(self, request: Request) -> Response:
        hits = [
            {"_id": f"{number}", "_index": "useractions-2026.02.13", "_source": {"mpid": "m" * 1000}}
            for number in range(1000)
        ]
        content = {"version": {"number": "9.0.0"}, "tagline": "You Know, for Search", "hits": {"hits": hits}}
        response = Response.json(content)
        response.headers["X-Elastic-Product"] = "Elasticsearch"
        return response


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with Cluster() as simulator:
        monkeypatch.setenv("ES_HOST", simulator.url)
        yield simulator


@pytest.mark.parametrize(
    "words", [*EVERY[:3], *(pytest.param(words, marks=pytest.mark.slow) for words in EVERY[3:])], ids=" ".join
)
def test_help_without_a_reader_is_quiet(words: list[str]) -> None:
    with nobody() as pipe:
        gone = run(*words, "--help", stdout=pipe)
    assert (gone.returncode, gone.stderr) == (0, "")
    closed = run(*words, "--help", shell=">&-")
    assert (closed.returncode, closed.stderr) == (0, "")


@pytest.mark.parametrize("words", QUICK, ids=" ".join)
def test_output_without_a_reader_is_quiet(words: list[str]) -> None:
    with nobody() as pipe:
        gone = run(*words, stdout=pipe)
    assert (gone.returncode, gone.stderr) == (0, "")
    closed = run(*words, shell=">&-")
    assert (closed.returncode, closed.stderr) == (0, "")


def test_completions_themselves_without_a_reader_are_quiet() -> None:
    environment = {"_HARVEST_PY_COMPLETE": "bash_complete", "COMP_WORDS": "harvest.py qu", "COMP_CWORD": "1"}
    assert run(environment=environment).stdout == "plain,query\n"
    with nobody() as pipe:
        gone = run(stdout=pipe, environment=environment)
    assert (gone.returncode, gone.stderr) == (0, "")


@pytest.mark.parametrize("style", ["table", "csv", "json"])
@pytest.mark.parametrize("lines", [0, 1])
def test_a_reader_of_a_query_may_leave(search: Cluster, style: str, lines: int) -> None:
    command = [*HARVEST, "query", "-", "--format", style]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b'{"query": {"match_all": {}}}')
        process.stdin.close()
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_a_reader_of_a_named_pipe_may_leave(search: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    command = [*HARVEST, "query", "-", "-o", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"{}")
        process.stdin.close()
        with path.open("rb") as reader:
            reader.read(10)
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.parametrize("shell", ["", ">&-"], ids=["gone", "closed"])
def test_a_harvest_without_a_reader_commits_nothing(opencast: OpencastSimulator, checkpoint: Path, shell: str) -> None:
    with nobody() as pipe:
        arguments = ("--log-level", "WARNING", "useractions", "-i", "10", "-o", "-")
        result = run(*arguments, stdout=pipe, shell=shell, environment={"REDIS_URL": ""})
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    assert "ERROR" not in result.stderr
    assert not checkpoint.exists()


def test_a_firebase_export_without_a_reader_is_quiet() -> None:
    with FirebaseSimulator(secret="legacy-secret") as simulator:
        simulator.load("users", {f"u{number}": {"name": "n" * 100} for number in range(3000)})
        environment = {"FIREBASE_ENDPOINT": simulator.url, "FIREBASE_KEY": "legacy-secret"}
        for shell in ("", ">&-"):
            with nobody() as pipe:
                arguments = ("--log-level", "WARNING", "firebase", "export", "users")
                result = run(*arguments, stdout=pipe, shell=shell, environment=environment)
            assert (result.returncode, result.stderr) == (0, "")


def test_what_has_an_effect_is_done_without_a_reader_too(request: pytest.FixtureRequest) -> None:
    with cluster_for_a_test(request) as cluster:
        environment = {"ES_HOST": cluster.url}
        with nobody() as pipe:
            result = run("setup", "load_index_templates", stdout=pipe, environment=environment)
        assert (result.returncode, result.stderr) == (0, "")
        for template in templates.read():
            assert cluster.ask("GET", f"/_index_template/{template.name}")["index_templates"]
        for day in (1, 2, 3):
            cluster.ask("PUT", f"/{cluster.index(day)}")
        with nobody() as pipe:
            result = run("setup", "prune", "--older-than", "400d", stdout=pipe, environment=environment)
        assert (result.returncode, result.stderr) == (0, "")
        for day in (1, 2, 3):
            assert cluster.ask("GET", f"/{cluster.index(day)}", accept=(404,)).get("status") == 404


class TestClosedStreams:
    @pytest.mark.parametrize("shell", ["2>&-", "<&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
    def test_without_a_standard_error_the_exit_code_is_right(self, shell: str) -> None:
        assert run("useractions", "-o", "-", shell=shell).returncode == 78
        assert run("useractions", "--bogus", shell=shell).returncode == 2
        assert run("--version", shell=shell).returncode == 0

    def test_what_is_written_does_not_end_in_another_file(self, opencast: OpencastSimulator, state: Path) -> None:
        """A file that is opened while a standard stream is closed would get its number, and what is printed there."""
        result = run("useractions", "-i", "10", "-o", str(state / "x.jsonl"), shell="<&- >&- 2>&-")
        assert result.returncode == 0
        assert len([json.loads(line) for line in (state / "x.jsonl").read_text().splitlines()]) == 10
        for path in state.rglob("*"):
            if path.is_file() and stat.S_ISREG(path.stat().st_mode):
                assert "INFO" not in path.read_text(errors="replace")

    def test_without_a_standard_error_nothing_is_lost(self, opencast: OpencastSimulator, checkpoint: Path) -> None:
        result = run("useractions", "-i", "10", "-o", "-", shell="2>&-")
        assert result.returncode == 0
        assert len(result.stdout.splitlines()) == 10
        assert checkpoint.exists()

    def test_a_reader_of_standard_error_may_leave(self, opencast: OpencastSimulator) -> None:
        with nobody() as pipe:
            command = [*HARVEST, "useractions", "-i", "10", "-o", "-"]
            result = subprocess.run(command, stdout=subprocess.PIPE, stderr=pipe, check=False, cwd=ROOT)
        assert result.returncode == 0
        assert len(result.stdout.splitlines()) == 10

    @pytest.mark.parametrize("shell", ["<&-", "0>/dev/null"], ids=["closed", "for writing"])
    def test_a_query_from_a_standard_input_that_cannot_be_read_is_usage(self, shell: str) -> None:
        result = run("query", "-", shell=shell)
        assert result.returncode == 2
        assert "standard input" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["query"], ["completion", "fish"]], ids=" ".join)
def test_a_full_disk_is_69(words: list[str]) -> None:
    result = run(*words, shell=">/dev/full")
    assert result.returncode == 69
    assert "standard output cannot be written: No space left on device" in result.stderr
    assert "bug" not in result.stderr
