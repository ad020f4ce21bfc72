"""A back-fill killed at any of its steps, and started again: nothing is lost, and nothing twice but what was in
hand; and the same with its workers, and with two at once."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.cli.processes import wait
from tests.crash.crashing import END, KILLED, ROOT, START, Driver, Opencast, environment, read_lines

STEP = timedelta(minutes=5)
BUCKET = "harvest-timestamps"
STRIDE = 3
"""It is killed at every one of so many steps; a harvest's own are in test_kill_at_every_step.py, each of them."""


def arguments(output: str, *more: str) -> list[str]:
    span = ["--start", START.isoformat(), "--end", END.isoformat(), "--step", "5m"]
    return ["--env-file", os.devnull, "backfill", "useractions", *span, "-o", output, *more]


def wanted(opencast: Opencast) -> set[int]:
    """The ids of the good rows from START to END."""
    rows = [row for row in opencast.table._by_id.values() if START <= row.created < END]
    return {row.id for row in rows if row.id != Opencast.poison_id}


class World:
    """One back-fill from its beginning: an output and a state of its own."""

    def __init__(self, opencast: Opencast, redis_url: str, directory: Path, number: int, s3: bool) -> None:
        self.directory = directory / str(number)
        self.directory.mkdir()
        self.opencast = opencast
        self.out = self.directory / "out.jsonl"
        self.queue = f"filled-{number}"
        self.s3 = s3
        place = {"S3_HARVEST_TS_BUCKET": f"{BUCKET}-{number}", "SQS_QUEUE_NAME": self.queue} if s3 else {}
        self.env = environment(opencast.url, redis_url, self.directory / "state", **place)
        self.args = arguments("sqs" if s3 else str(self.out), "--workers", "1", "--json")

    def delivered(self) -> Counter[int]:
        documents = _received(self.queue) if self.s3 else iter(read_lines(self.out))
        return Counter(document["action_id"] for document in documents)

    def check(self, kills: int, what: str) -> None:
        """Everything there, and nothing twice but the window in hand."""
        delivered = self.delivered()
        assert set(delivered) == wanted(self.opencast), f"lost or foreign after {what}"
        twice = [id for id, count in delivered.items() if count > 1]
        rows = self.opencast.table._by_id
        windows = {(rows[id].created - START) // STEP for id in twice}
        assert len(windows) <= kills, f"{windows} again after {what}"
        dead = [letter for path in self.directory.glob("state/dead-letters/*.jsonl") for letter in read_lines(path)]
        assert {letter["id"] for letter in dead} == {str(Opencast.poison_id)}, what


def _received(queue: str) -> Iterator[dict[str, Any]]:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        yield from (json.loads(message["Body"]) for message in messages)


@pytest.fixture
def driver(aws: str, tmp_path: Path) -> Iterator[Driver]:
    with Driver(tmp_path) as driver:
        yield driver


@pytest.mark.parametrize("s3", [False, True], ids=["files", "s3 and sqs"])
def test_killed_at_any_step_and_started_again(
    s3: bool, driver: Driver, redis_url: str, redis_server: Any, tmp_path: Path
) -> None:
    killed_at: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    with Opencast().fill(2) as opencast:

        def killed(number: int, kill_at: int | str) -> bool:
            redis_server.flush()
            opencast.deal_anew()
            world = World(opencast, redis_url, tmp_path, number, s3)
            first = driver.run(world.args, world.env, kill_at)
            if first.code != KILLED:
                assert first.code == 0, first.log
                world.check(0, "a run that nothing disturbed")
                passed.update(point.partition(".backfill-")[0] for point in first.points)
                return False
            what = f"a kill at point {kill_at}, {first.points[-1]}"
            killed_at[first.points[-1].partition(".backfill-")[0]] += 1
            second = driver.run(world.args, world.env)
            assert second.code == 0, f"{what}\n{second.log}"
            world.check(1, what)
            found = json.loads(second.log[second.log.index("{\n") :])
            assert found["done"] == [found["range"]], what
            assert found["running"] == found["failed"] == found["missing"] == [], what
            return True

        number = next(number for number in itertools.count(1, STRIDE) if not killed(number, number))
        for step in ("sqs SendMessageBatch",) if s3 else ("write out.jsonl", "half of write out.jsonl"):
            number += 1
            assert killed(number, step), f"no run came by {step}"
    state = "s3 PUT last-action-timestamp" if s3 else "replace last-action-timestamp"
    assert passed[state] > 6, "the state, at each window's beginning and end, and the lease"
    assert passed["fetch /usertracking/actions.json"] > 3
    assert passed["sqs SendMessageBatch" if s3 else "half of write out.jsonl"] > 1
    assert killed_at[state] > 0
    assert killed_at["fetch /usertracking/actions.json"] > 0


def test_run_after_run_killed_a_little_later_gets_there(driver: Driver, redis_url: str, tmp_path: Path) -> None:
    with Opencast().fill(2) as opencast:
        world = World(opencast, redis_url, tmp_path, 1, s3=False)
        for kills in itertools.count():
            attempt = driver.run(world.args, world.env, kill_at=25 + 2 * kills)
            if attempt.code != KILLED:
                break
        assert attempt.code == 0, attempt.log
        assert kills > 2
        world.check(kills, f"{kills} kills")


def process(world: World, *more: str) -> subprocess.Popen[str]:
    args = [*arguments(str(world.out), "--workers", "3"), *more]
    command = [sys.executable, str(ROOT / "harvest.py"), *args]
    return subprocess.Popen(command, env=world.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def status(world: World) -> dict[str, Any]:
    args = ["--env-file", os.devnull, "backfill", "useractions", "-o", str(world.out), "--status", "--json"]
    command = [sys.executable, str(ROOT / "harvest.py"), *args]
    done = subprocess.run(command, env=world.env, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def running(world: World) -> list[int]:
    """The processes at work, as the state says."""
    return [int(one["worker"].rpartition(":")[2]) for one in status(world)["running"]]


@pytest.fixture
def slow(redis_url: str, tmp_path: Path) -> Iterator[World]:
    """A back-fill whose windows take long enough to be seen at work."""
    with Opencast(latency=2.0).fill(4) as opencast:
        yield World(opencast, redis_url, tmp_path, 1, s3=False)


def test_a_worker_that_is_killed_leaves_its_window_alone_undone(slow: World) -> None:
    with process(slow) as first:
        wait(lambda: len(running(slow)) == 3)
        victim = running(slow)[0]
        os.kill(victim, signal.SIGKILL)
        slow.opencast.latency = 0.0
        _, log = first.communicate(timeout=60)
    assert first.returncode == 69, log
    assert f"process {victim}, ended in the middle of it" in log
    found = status(slow)
    assert len(found["failed"]) == 1
    assert found["running"] == found["missing"] == []
    with process(slow) as second:
        _, log = second.communicate(timeout=60)
    assert second.returncode == 0, log
    slow.check(1, "a kill of one worker")


def test_its_workers_end_with_a_back_fill_that_is_killed(slow: World) -> None:
    with process(slow) as first:
        wait(lambda: len(running(slow)) == 3)
        workers = running(slow)
        slow.opencast.latency = 60.0  # whoever finished the batch in hand would wait for that
        first.kill()
        first.communicate(timeout=60)
    wait(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
    slow.opencast.latency = 0.0
    assert status(slow)["running"] == []
    with process(slow) as second:
        _, log = second.communicate(timeout=60)
    assert second.returncode == 0, log
    slow.check(3, "a kill of all")


def test_told_to_stop_it_finishes_what_is_in_hand(slow: World) -> None:
    with process(slow) as first:
        wait(lambda: len(running(slow)) == 3)
        first.terminate()
        slow.opencast.latency = 0.0
        _, log = first.communicate(timeout=60)
    assert first.returncode == 75, log
    assert "told to stop" in log
    found = status(slow)
    assert found["running"] == found["failed"] == []
    with process(slow) as second:
        _, log = second.communicate(timeout=60)
    assert second.returncode == 0, log
    slow.check(3, "a stop")


def test_a_second_one_is_told_who_is_at_it(slow: World) -> None:
    with process(slow, "--workers", "1") as first:
        wait(lambda: bool(running(slow)))
        with process(slow) as second:
            _, log = second.communicate(timeout=60)
        assert second.returncode == 75, log
        assert f"process {first.pid} on" in log
        slow.opencast.latency = 0.0
        _, log = first.communicate(timeout=60)
    assert first.returncode == 0, log
    slow.check(0, "two at once")
