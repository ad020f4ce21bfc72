"""``harvest.py dev up --embedded`` for real: servers that outlive it, a harvest against them, and their end."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from harvesters.dev.process import ServerProcess
from harvesters.standins.base import StandInMissing
from harvesters.standins.elasticmq import JARS as ELASTICMQ
from harvesters.standins.elasticsearch import JARS as ELASTICSEARCH
from harvesters.standins.kafka import JARS as KAFKA
from harvesters.standins.moto import Moto
from harvesters.standins.redis import Redis
from tests.servers import give_up

ROOT = Path(__file__).parent.parent.parent
HARVEST = (sys.executable, str(ROOT / "harvest.py"))


class Shell:
    """Commands as given in a directory of one's own."""

    def __init__(self, directory: Path, state: Path) -> None:
        self.directory = directory
        self.env_file = directory / ".env.dev"
        self.record = state / "dev" / "environment.json"
        self.environment = {**os.environ, "HARVEST_STATE_DIR": str(state)}

    def run(self, *arguments: str, options: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
        command = [*HARVEST, *(options or ("--env-file", os.devnull)), *arguments]
        environment = {**self.environment, **env}
        return subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False)

    def up(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run("dev", "up", "--embedded", *arguments, options=(), **env)

    def status(self) -> dict[str, dict[str, Any]]:
        found = json.loads(self.run("dev", "status", "--json").stdout)
        return {entry["name"]: entry for entry in found["services"]}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    directory = tmp_path / "here"
    directory.mkdir()
    shell = Shell(directory, tmp_path / "state")
    yield shell
    processes = _recorded(shell)
    shell.run("dev", "down")
    for process in processes:
        process.stop()


@pytest.fixture(scope="session")
def jars() -> None:
    """Elasticsearch and ElasticMQ can be started without fetching anything."""
    try:
        ELASTICSEARCH.install()
        ELASTICMQ.install()
    except StandInMissing as missing:
        give_up(missing)


def test_a_whole_life(shell: Shell, redis_server: Redis, moto_server: Moto, jars: None) -> None:
    started = shell.up()
    assert started.returncode == 0, started.stderr
    before = shell.status()
    assert set(before) == {"redis", "moto", "elasticmq", "opencast", "elasticsearch"}
    assert {entry["state"] for entry in before.values()} == {"running"}
    assert all("//127.0.0.1:" in entry["url"] for entry in before.values())
    assert shell.env_file.stat().st_mode & 0o777 == 0o600
    assert requests.get(before["elasticsearch"]["url"], timeout=5).json()["version"]["number"].startswith("8.")

    again = shell.up()
    assert again.returncode == 0
    assert "nothing was started" in again.stdout
    assert shell.status() == before

    queued = shell.run("useractions", "--interval", "30", options=("--env-file", ".env.dev", "--log-format", "json"))
    assert queued.returncode == 0, queued.stderr
    report = next(record for line in queued.stderr.splitlines() if "report" in (record := json.loads(line)))
    assert report["delivered"] == report["documents"] > 0
    assert f"AWS_ENDPOINT_URL_SQS={before['elasticmq']['url']}\n" in shell.env_file.read_text()
    indexed = shell.run("index", options=("--env-file", ".env.dev"))
    assert indexed.returncode == 0, indexed.stderr
    requests.post(f"{before['elasticsearch']['url']}/useractions-*/_refresh", timeout=5)
    count = requests.get(f"{before['elasticsearch']['url']}/useractions-*/_count", timeout=5).json()["count"]
    assert count == report["delivered"]
    live = shell.run("useractions", "--output", "-", options=("--env-file", ".env.dev"))
    assert live.returncode == 0, live.stderr  # goes on from the checkpoint in the stand-in's S3

    ended = shell.run("dev", "down", options=("--env-file", ".env.dev"))
    assert ended.returncode == 0, ended.stderr
    assert all(not ServerProcess.of(entry["pid"]).alive for entry in before.values())
    assert list(shell.directory.iterdir()) == []
    assert list(shell.record.parent.parent.iterdir()) == []
    assert shell.run("dev", "status").stdout == "Nothing is up.\n"
    assert shell.run("dev", "down").stdout == "Nothing is up.\n"


def test_init_loads_the_index_templates_and_explains_kopf(shell: Shell, jars: None) -> None:
    real = {"ES_HOST": "https://production.example.org", "ES_API_KEY": "b2YtdGhlLXJlYWwtb25l"}
    for _ in range(2):  # it can be run again
        result = shell.run("dev", "init", "--embedded", "--services", "elasticsearch", options=(), **real)
        assert result.returncode == 0, result.stderr
        assert "kopf is gone" in result.stdout
    url = shell.status()["elasticsearch"]["url"]
    found = requests.get(f"{url}/_index_template", timeout=5).json()["index_templates"]
    patterns = {pattern for entry in found for pattern in entry["index_template"]["index_patterns"]}
    assert {"useractions-*", "episodes", "meetings-*", "sessions-*"} <= patterns


def test_only_what_has_ended_is_started_again(shell: Shell, redis_server: Redis) -> None:
    shell.up("--services", "opencast,redis")
    before = shell.status()
    assert set(before) == {"redis", "opencast"}
    ServerProcess.of(before["redis"]["pid"]).stop()
    assert shell.status()["redis"]["state"] == "ended"
    again = shell.up("--services", "redis")
    assert "redis has ended by itself" in again.stdout
    after = shell.status()
    assert after["opencast"] == before["opencast"]
    assert after["redis"]["state"] == "running"
    assert after["redis"]["pid"] != before["redis"]["pid"]
    assert f"REDIS_URL={after['redis']['url']}" in shell.env_file.read_text()


def test_a_process_that_took_the_number_of_one_of_ours_is_left_alone(shell: Shell, redis_server: Redis) -> None:
    shell.up("--services", "redis")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        record = json.loads(shell.record.read_text())
        record["servers"].append(
            {"name": "moto", "url": "", "settings": {}, "process": {"pid": stranger.pid, "started": "another boot/1"}}
        )
        shell.record.write_text(json.dumps(record))
        assert shell.status()["moto"]["state"] == "ended"
        ended = shell.run("dev", "down")
        assert "moto had ended already" in ended.stdout
        assert "stopped redis" in ended.stdout
        assert stranger.poll() is None
        stranger.kill()


def test_one_that_fails_takes_along_what_was_started_with_it_and_nothing_else(
    shell: Shell, redis_server: Redis, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "env").write_text("#!/bin/sh\necho the simulator is broken\nexit 1\n")  # what it is started with
    (broken / "env").chmod(0o755)
    path = f"{broken}{os.pathsep}{os.environ['PATH']}"
    failed = shell.up("--services", "redis,opencast", PATH=path)
    assert failed.returncode == 69
    assert "the simulator is broken" in failed.stderr
    assert "started redis" in failed.stdout
    assert shell.run("dev", "status").stdout == "Nothing is up.\n"
    assert not shell.env_file.exists()

    shell.up("--services", "redis")
    before = shell.status()
    assert shell.up("--services", "redis,opencast", PATH=path).returncode == 69
    assert shell.status() == before


def test_down_ends_what_a_killed_up_had_begun(shell: Shell, tmp_path: Path) -> None:
    with _starting(shell, tmp_path) as starting:
        (begun,) = _recorded(shell)
        starting.send_signal(signal.SIGKILL)
    assert begun.alive
    assert shell.run("dev", "down").returncode == 0
    assert not begun.alive


def test_ctrl_c_ends_what_was_begun(shell: Shell, tmp_path: Path) -> None:
    with _starting(shell, tmp_path) as starting:
        (begun,) = _recorded(shell)
        starting.send_signal(signal.SIGINT)
    assert starting.returncode == 75
    assert not begun.alive
    assert not shell.record.exists()
    assert not shell.env_file.exists()


def _starting(shell: Shell, folder: Path) -> subprocess.Popen[bytes]:
    """An `up` that waits for a server which has started and never answers."""
    (folder / "env").write_text("#!/bin/sh\nexec sleep 600\n")  # what the simulator is started with
    (folder / "env").chmod(0o755)
    command = [*HARVEST, "--env-file", os.devnull, "dev", "up", "--embedded", "--services", "opencast"]
    environment = {**shell.environment, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    starting = subprocess.Popen(command, cwd=shell.directory, env=environment)
    while not _recorded(shell):
        assert starting.poll() is None
    return starting


def test_kafka_comes_when_it_is_named_and_has_the_topics(shell: Shell) -> None:
    try:
        KAFKA.install()
    except StandInMissing as missing:
        give_up(missing)
    started = shell.up("--services", "kafka")
    assert started.returncode == 0, started.stderr
    assert set(shell.status()) == {"kafka"}
    logged = shell.run("listings", "log", options=("--env-file", ".env.dev"))
    assert logged.returncode == 0, logged.stderr  # without a topic it would be 78
    assert shell.run("dev", "down").returncode == 0


def test_what_is_not_here_is_left_out_unless_it_was_named(
    shell: Shell, redis_server: Redis, moto_server: Moto, tmp_path: Path
) -> None:
    named = shell.up("--services", "redis,elasticsearch", XDG_CACHE_HOME=str(tmp_path))
    assert named.returncode == 78
    assert "the jars of Elasticsearch are not here" in named.stderr
    assert "--fetch" in named.stderr
    assert shell.status() == {}
    assert not shell.env_file.exists()
    everything = shell.up(XDG_CACHE_HOME=str(tmp_path))
    assert everything.returncode == 0, everything.stderr
    assert "left out elasticsearch" in everything.stdout
    assert "left out elasticmq: the jars of ElasticMQ are not here, so moto is the SQS" in everything.stdout
    assert set(shell.status()) == {"redis", "moto", "opencast"}
    assert "ES_HOST" not in shell.env_file.read_text()


def test_a_second_command_at_the_same_time_gives_way(shell: Shell) -> None:
    home = shell.record.parent
    home.mkdir(parents=True)
    held = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        for arguments in (("up", "--embedded"), ("down",), ("init", "--embedded")):
            result = shell.run("dev", *arguments)
            assert result.returncode == 75
            assert "another harvest.py dev command" in result.stderr
    finally:
        os.close(held)


def test_a_record_that_cannot_be_read_is_named(shell: Shell) -> None:
    shell.record.parent.mkdir(parents=True)
    shell.record.write_text('{"kind": "embedded"')
    for arguments in (("status",), ("down",), ("up", "--embedded")):
        result = shell.run("dev", *arguments)
        assert result.returncode == 78
        assert str(shell.record) in result.stderr
    shell.record.unlink()


def test_settings_that_cannot_be_written_start_nothing(shell: Shell) -> None:
    shell.env_file.mkdir()
    result = shell.up("--services", "redis")
    assert result.returncode == 78
    assert str(shell.env_file) in result.stderr
    assert shell.status() == {}


def _recorded(shell: Shell) -> list[ServerProcess]:
    if not shell.record.exists():
        return []
    servers = json.loads(shell.record.read_text())["servers"]
    return [ServerProcess(**server["process"]) for server in servers]
