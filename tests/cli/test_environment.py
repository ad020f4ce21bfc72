"""``harvest.py dev`` with containers: what Docker is told, and what is said where there is none."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvesters.cli import environment
from harvesters.dev.compose import FILE
from harvesters.standins import opencast
from tests.cli.conftest import Command, Result
from tests.dev.test_kibana import FILES, FakeKibana

COMPOSE = ["compose", "--project-name", "harvest-dev", "--file", str(FILE)]
OPTIONAL = ("cerebro", "kafka", "batch", "batch-log", "batch-count", "serve", "worker", "beat")
PROFILES = [word for name in OPTIONAL for word in ("--profile", name)]
FAKE = """#!{python}
import json, os, sys
folder = {folder!r}
with open(folder + "/calls", "a") as calls:
    calls.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n")
for words, code, out, err in json.load(open(folder + "/answers")):
    if words in " ".join(sys.argv[1:]):
        print(out)
        print(err, file=sys.stderr)
        sys.exit(code)
"""


class FakeDocker:
    """A ``docker`` on PATH that writes down what it is told and answers as it was told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: list[tuple[str, int, str, str]] = []
        program = folder / "docker"
        program.write_text(FAKE.format(python=sys.executable, folder=str(folder)))
        program.chmod(0o755)
        self._write()

    def answer(self, words: str, code: int = 0, out: str = "", err: str = "") -> None:
        """To every command with these words in it."""
        self.answers.insert(0, (words, code, out, err))
        self._write()

    @property
    def told(self) -> list[list[str]]:
        """What it was told to do, without what only asks."""
        return [words for words, _ in self._calls() if words[0] == "compose" and words[1] != "version"]

    @property
    def environments(self) -> list[dict[str, str]]:
        return [environment for _, environment in self._calls()]

    def forget(self) -> None:
        (self.folder / "calls").unlink(missing_ok=True)

    def _calls(self) -> list[Any]:
        calls = self.folder / "calls"
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def _write(self) -> None:
        (self.folder / "answers").write_text(json.dumps(self.answers))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, an empty one."""
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def docker(tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return FakeDocker(folder)


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Any]]:
    """Stands in for ``setup load_index_templates``; returns its arguments and its environment."""
    note = tmp_path / "setup"
    script = f"import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open({str(note)!r}, 'w'))"

    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-c", script, *arguments]

    monkeypatch.setattr(opencast, "harvest_command", command)
    return lambda: json.loads(note.read_text()) if note.exists() else []


def test_without_docker_it_says_so_and_what_to_do(
    harvest: Command, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in ("up", "init"):
        result = harvest("dev", command)
        assert result.code == 78
        assert "there is no `docker` command" in result.err
        assert "dev up --embedded" in result.err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said", "message"),
    [
        ("compose version", "docker: 'compose' is not a docker command.", "no Compose plugin"),
        ("version --format", "Cannot connect to the Docker daemon. Is it running?", "engine cannot be reached"),
    ],
)
def test_without_engine_or_plugin_it_says_so_and_what_to_do(
    harvest: Command, docker: FakeDocker, here: Path, words: str, said: str, message: str
) -> None:
    docker.answer(words, 1, err=f"something else\n{said}")
    result = harvest("dev", "up")
    assert result.code == 78
    for expected in (message, said, "dev up --embedded"):
        assert expected in result.err
    assert "Traceback" not in result.err
    assert docker.told == []
    assert list(here.iterdir()) == []


def test_up_starts_everything_and_writes_the_settings(harvest: Command, docker: FakeDocker, here: Path) -> None:
    result = harvest("dev", "up")
    assert result.code == 0, result.err
    assert docker.told == [[*COMPOSE, "up", "--detach", "--build"]]
    settings = (here / ".env.dev").read_text().splitlines()
    assert (here / ".env.dev").stat().st_mode & 0o777 == 0o600
    for line in (
        "ES_HOST=http://127.0.0.1:9200",
        "REDIS_URL=redis://127.0.0.1:6379/0",
        "AWS_ENDPOINT_URL_SQS=http://127.0.0.1:9324",
        "AWS_ENDPOINT_URL_S3=http://127.0.0.1:4566",
        "MATTERHORN_ENGAGE_HOST=http://127.0.0.1:8080",
    ):
        assert line in settings
    assert str(here / ".env.dev") in result.out


def test_services_are_chosen_and_bring_what_they_need(harvest: Command, docker: FakeDocker, here: Path) -> None:
    result = harvest("dev", "up", "--services", "kibana,redis", "--services", "s3", env={"HARVEST_DEV_S3_PORT": "1234"})
    assert result.code == 0, result.err
    assert docker.told == [[*COMPOSE, "up", "--detach", "--build", "kibana", "redis", "s3"]]
    settings = (here / ".env.dev").read_text()
    assert "ES_HOST=" in settings
    assert "AWS_ENDPOINT_URL_S3=http://127.0.0.1:1234" in settings
    assert "SQS" not in settings


@pytest.mark.parametrize(
    "arguments", [("--services", "redis,mysql"), ("--fetch",), ("--embedded", "--services", "kibana")]
)
def test_what_cannot_be_meant_is_usage(
    harvest: Command, docker: FakeDocker, here: Path, arguments: tuple[str, ...]
) -> None:
    assert harvest("dev", "up", *arguments).code == 2
    assert docker.told == []
    assert list(here.iterdir()) == []


def test_docker_sees_no_setting_of_a_harvest(harvest: Command, docker: FakeDocker) -> None:
    secrets = {
        "MATTERHORN_REST_PASS": "hidden-one",
        "AWS_SECRET_ACCESS_KEY": "hidden-two",
        "ES_API_KEY": "hidden-three",
    }
    assert harvest("dev", "up", env={**secrets, "HARVEST_DEV_REDIS_PORT": "16379"}).code == 0
    for seen in docker.environments:
        assert not set(secrets) & set(seen)
        assert seen["HARVEST_DEV_REDIS_PORT"] == "16379"


def test_up_fails_when_compose_does_and_down_ends_it_all_the_same(
    harvest: Command, docker: FakeDocker, here: Path
) -> None:
    docker.answer(" up ", 17, err="port is already allocated")
    result = harvest("dev", "up")
    assert result.code == 69
    assert "docker compose up failed (exit code 17)" in result.err
    assert not (here / ".env.dev").exists()
    docker.answer("ps --all", out='{"Service":"redis","State":"running","Health":"starting"}')
    assert harvest("dev", "down").code == 0
    assert docker.told[-1] == [*COMPOSE, *PROFILES, "down"]


def test_down_ends_the_containers_and_removes_the_settings(
    harvest: Command, docker: FakeDocker, here: Path, state: Path
) -> None:
    harvest("dev", "up")
    docker.forget()
    result = harvest("dev", "down", "--volumes")
    assert result.code == 0
    assert docker.told[-1] == [
        *COMPOSE,
        *PROFILES,
        "down",
        "--volumes",
    ]
    assert list(here.iterdir()) == []
    assert list(state.iterdir()) == []


def test_settings_that_were_changed_stay(harvest: Command, docker: FakeDocker, here: Path) -> None:
    harvest("dev", "up")
    with (here / ".env.dev").open("a") as file:
        file.write("DEFAULT_INTERVAL=5\n")
    assert harvest("dev", "up").code == 0
    result = harvest("dev", "down")
    assert "was changed since and stays" in result.out
    assert "DEFAULT_INTERVAL=5" in (here / ".env.dev").read_text()


def test_a_settings_file_of_somebody_else_is_not_touched(harvest: Command, docker: FakeDocker, here: Path) -> None:
    (here / ".env.dev").write_text("MINE=1\n")
    for arguments in (("up",), ("up", "--embedded"), ("init",)):
        result = harvest("dev", *arguments)
        assert result.code == 78
        assert "was not written by dev up" in result.err
    assert docker.told == []
    assert (here / ".env.dev").read_text() == "MINE=1\n"


def test_one_kind_of_environment_at_a_time(harvest: Command, docker: FakeDocker) -> None:
    harvest("dev", "up", "--services", "redis")
    result = harvest("dev", "up", "--embedded")
    assert result.code == 78
    assert "dev down" in result.err


def test_nothing_is_up_and_nothing_is_to_be_ended(
    harvest: Command, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in ("status", "down"):
        result = harvest("dev", command)
        assert (result.code, result.out) == (0, "Nothing is up.\n")
    expected: dict[str, Any] = {"kind": None, "env_file": "", "services": []}
    assert json.loads(harvest("dev", "status", "--json").out) == expected
    assert not state.exists() or list(state.iterdir()) == []


@pytest.mark.parametrize("lines", [True, False], ids=["compose 2.21", "compose 2.20"])
def test_status_shows_state_and_health(harvest: Command, docker: FakeDocker, here: Path, lines: bool) -> None:
    harvest("dev", "up", "--services", "redis,elasticsearch")
    containers = [
        {"Service": "redis", "State": "running", "Health": "healthy"},
        {"Service": "elasticsearch", "State": "exited", "Health": ""},
    ]
    told = "\n".join(map(json.dumps, containers)) if lines else json.dumps(containers)
    docker.answer("ps --all", out=told)
    found = json.loads(harvest("dev", "status", "--json").out)
    assert found["kind"] == "compose"
    assert found["env_file"] == str(here / ".env.dev")
    assert found["services"] == [
        {"name": "redis", "state": "running", "health": "healthy", "url": "redis://127.0.0.1:6379/0", "pid": None},
        {"name": "elasticsearch", "state": "exited", "health": "", "url": "http://127.0.0.1:9200", "pid": None},
    ]
    text = harvest("dev", "status").out
    assert "running healthy" in text
    assert str(here / ".env.dev") in text


def test_init_waits_for_health_loads_templates_and_dashboards_and_explains_kopf(
    harvest: Command, docker: FakeDocker, templates: Callable[[], list[Any]]
) -> None:
    with FakeKibana() as kibana:
        ports = {"HARVEST_DEV_KIBANA_PORT": str(kibana.port), "HARVEST_DEV_ELASTICSEARCH_PORT": "19200"}
        real = {"ES_HOST": "https://production.example.org", "ES_API_KEY": "of-the-real-one", "ES_PASSWORD": "real"}
        result = harvest("dev", "init", "--timeout", "60", env={**ports, **real})
        assert set(kibana.files) == {path.name for path in FILES}
    assert result.code == 0, result.err
    assert docker.told == [[*COMPOSE, "up", "--detach", "--build", "--wait", "--wait-timeout", "60"]]
    arguments, seen = templates()
    assert arguments == ["setup", "load_index_templates"]
    assert seen["ES_HOST"] == "http://127.0.0.1:19200"
    assert not set(environment._CREDENTIALS) & set(seen)
    assert "kopf is gone" in result.out


def test_init_without_elasticsearch_loads_nothing(
    harvest: Command, docker: FakeDocker, templates: Callable[[], list[Any]]
) -> None:
    result = harvest("dev", "init", "--services", "redis")
    assert result.code == 0, result.err
    assert "templates are left out" in result.out
    assert templates() == []


def test_init_ends_with_the_code_of_the_step_that_failed(
    harvest: Command, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opencast, "harvest_command", lambda *words: [sys.executable, "-c", "raise SystemExit(69)"])
    assert harvest("dev", "init", "--services", "elasticsearch").code == 69


def test_install_kopf_explains_and_starts_cerebro(harvest: Command, docker: FakeDocker) -> None:
    result = harvest("dev", "install_kopf")
    assert result.code == 0
    assert docker.told == [[*COMPOSE, "up", "--detach", "--build", "cerebro"]]
    for expected in (
        "kopf is gone",
        "http://127.0.0.1:9000/#!/overview?host=http://elasticsearch:9200",
        "app/monitoring",
    ):
        assert expected in result.out


def test_install_kopf_points_to_kibana_where_there_is_no_docker(
    harvest: Command, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result: Result = harvest("dev", "install-kopf")
    assert result.code == 0
    assert "kopf is gone" in result.out
    assert "http://127.0.0.1:5601/app/monitoring" in result.out


def test_install_kopf_only_explains_when_asked_to(harvest: Command, docker: FakeDocker) -> None:
    assert "kopf is gone" in harvest("dev", "install_kopf", "--explain").out
    assert docker.told == []


@pytest.mark.parametrize("directory", ["/proc/harvest", "/dev/null/harvest"])
@pytest.mark.parametrize("words", [("up", "--embedded"), ("down",)])
def test_a_state_directory_that_cannot_be_made_is_78(
    harvest: Command, here: Path, directory: str, words: tuple[str, ...]
) -> None:
    result = harvest("dev", *words, env={"HARVEST_STATE_DIR": directory})
    assert result.code == 78
    assert directory in result.err
    assert "HARVEST_STATE_DIR" in result.err
