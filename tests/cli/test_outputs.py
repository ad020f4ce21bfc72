"""What the outputs promise, through the commands: FIFO queues, standard output, full disks, dead letters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.firebase.pushid import push_floor
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.opencast.server import ActionRow, OpencastSimulator
from tests.cli.conftest import Command, spoil
from tests.conformance.test_sink import received

ROOT = Path(__file__).parents[2]


def harvest_into(handle: int, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "harvest.py"), "--env-file", os.devnull, *arguments]
    settings = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0", **env}
    return subprocess.Popen(command, env=settings, stdout=handle, stderr=subprocess.PIPE)


def read_slowly(process_of: Any) -> tuple[bytes, int]:
    """What comes out of a pipe that does not block, and the exit code; `process_of` starts the process on a handle."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = process_of(writer)
    os.close(writer)
    taken = []
    while chunk := os.read(reader, 4096):
        taken.append(chunk)
        threading.Event().wait(0.001)
    os.close(reader)
    process.communicate(timeout=60)
    return b"".join(taken), process.returncode


def fill(opencast: OpencastSimulator, count: int) -> None:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=500)
    session = {"sessionId": "s", "userId": "u", "userIp": "10.0.0.1", "userAgent": "Mozilla " * 20}
    for number in range(count):
        row = ActionRow(
            1000 + number, "episode-1", session, 0, 0, "HEARTBEAT", True, start + timedelta(seconds=number // 4)
        )
        opencast.add(row)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_every_line_gets_onto_a_pipe_that_does_not_block(opencast: OpencastSimulator, unbuffered: str) -> None:
    fill(opencast, 600)
    arguments = ("useractions", "-o", "-", "-i", "15")
    out, code = read_slowly(lambda handle: harvest_into(handle, *arguments, PYTHONUNBUFFERED=unbuffered))
    assert code == 0
    assert len(out) > 2 * 65_536, "as much as a pipe holds proves nothing"
    assert len({json.loads(line)["action_id"] for line in out.splitlines()}) == 610


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_export_gets_whole_onto_a_pipe_that_does_not_block(unbuffered: str) -> None:
    with FirebaseSimulator(secret="s3cret") as database:
        database.load("/big", {f"k{number:05}": "x" * 500 for number in range(600)})
        env = {"FIREBASE_ENDPOINT": database.url, "FIREBASE_KEY": "s3cret", "PYTHONUNBUFFERED": unbuffered}
        out, code = read_slowly(lambda handle: harvest_into(handle, "firebase", "export", "big", **env))
    assert code == 0
    assert len([json.loads(line) for line in out.splitlines()]) == 600


def test_standard_output_onto_a_full_disk_is_69_and_nothing_is_committed(
    opencast: OpencastSimulator, checkpoint: Path
) -> None:
    with open("/dev/full", "wb") as full:
        process = harvest_into(full.fileno(), "useractions", "-o", "-")
        _, log = process.communicate(timeout=60)
    assert process.returncode == 69, log
    assert not checkpoint.exists()


@pytest.fixture
def fifo(elasticmq_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"outputs-{uuid.uuid4().hex[:8]}.fifo"
    monkeypatch.setenv("SQS_QUEUE_NAME", name)
    return name


@pytest.mark.parametrize("redis", ["away", "there", "emptied"])
def test_a_footprint_that_grows_and_shrinks_arrives_in_each_version_and_once(
    harvest: Command, opencast: OpencastSimulator, fifo: str, redis: str, redis_url: str, redis_server: Any
) -> None:
    env = {"HARVEST_LOOKBACK": "600"} | ({"REDIS_URL": redis_url} if redis != "away" else {})
    opencast.table.update(105, type="FOOTPRINT", outpoint=10)
    for outpoint in (10, 10, 60, 60, 10, 60):
        opencast.table.update(105, outpoint=outpoint)
        assert harvest("useractions", "-i", "15", env=env).code == 0
        if redis == "emptied":
            redis_server.flush()
    bodies = [json.loads(message["Body"]) for message in received(fifo)]
    assert [body["action"]["outpoint"] for body in bodies if body["action_id"] == 105] == [10, 60, 10, 60]
    assert len(bodies) == 13, "the others arrive once"


def test_an_event_that_is_edited_and_edited_back_arrives_in_each_version(harvest: Command, fifo: str) -> None:
    key = push_floor(int(datetime.now(UTC).timestamp() * 1000) - 5000)
    with FirebaseSimulator(secret="s3cret") as database:
        env = {"FIREBASE_ENDPOINT": database.url, "FIREBASE_KEY": "s3cret", "HARVEST_LOOKBACK": "600"}
        for text in "AABBAB":
            database.load("/events", {key: {"type": "chat_message", "title": text}})
            assert harvest("firebase", "events", "-o", "sqs", env=env).code == 0
    assert [json.loads(message["Body"])["title"] for message in received(fifo)] == [*"ABAB"]


def test_over_the_error_budget_each_dead_letter_is_kept_once(
    harvest: Command, opencast: OpencastSimulator, state: Path, tmp_path: Path
) -> None:
    env = {"HARVEST_ERROR_BUDGET": "0"}
    for _ in range(3):
        spoil(opencast, 104)
        assert harvest("useractions", "-o", str(tmp_path / "out"), env=env).code == 65
    letters = [line for path in (state / "dead-letters").glob("*.jsonl") for line in path.read_text().splitlines()]
    assert [json.loads(letter)["id"] for letter in letters] == ["104"]
