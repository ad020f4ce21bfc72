"""A harvest killed at every one of its steps, and started again: nothing is lost, and next to nothing is sent twice."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from harvesters.simulators.opencast.table import Order
from harvesters.simulators.opencast.usertracking import Dialect
from harvesters.timespan import format_checkpoint
from tests.crash.crashing import (
    BATCH,
    END,
    KILLED,
    START,
    Attempt,
    Driver,
    Opencast,
    arguments,
    environment,
    read_lines,
)

BUCKET = "harvest-timestamps"
KEY = "last-action-timestamp"

_FETCH = {"fetch /usertracking/actions.json", "fetch /search/episode.json"}
_MARKS = {"redis MGET", "redis SET", "redis HMGET", "redis HSET"}
_QUEUE = {"sqs GetQueueUrl", "sqs CreateQueue", "sqs GetQueueAttributes", "sqs SendMessageBatch"}
_S3 = {f"s3 GET {KEY}", f"s3 PUT {KEY}", f"s3 GET {KEY}.lease", f"s3 PUT {KEY}.lease"}
_FILES = {f"fsync .{KEY}.new", f"replace {KEY}", f"fsync .{KEY}.lease.new", f"replace {KEY}.lease"}


def _appends(name: str) -> set[str]:
    note = f".{name}.append"
    both = {f"{kind} {file}" for kind in ("write", "half of write", "fsync") for file in (name, note)}
    return both | {f"unlink {note}"}


_DEAD = {step.replace("DAY", "") for step in _appends("useractions-DAY.jsonl")}


@dataclass(frozen=True)
class Setup:
    """What harvests from what into what, and where the checkpoint is; `steps` are the kinds that must be killed at.

    It is killed at every step, or at every one of so many (`stride`) where others have nearly the same ones.
    """

    dialect: Dialect
    order: Order
    output: str
    checkpoint: str
    pages: int
    steps: set[str]
    stride: int = 1

    def __str__(self) -> str:
        return f"{self.dialect}-{self.order}-{self.output}-{self.checkpoint}"


SETUPS = [
    Setup("dce", "created", "sqs", "s3", 3, _FETCH | _MARKS | _QUEUE | _S3),
    Setup("dce", "created", "out.jsonl", "file", 3, _FETCH | _MARKS | _FILES | _appends("out.jsonl")),
    Setup("dce", "shuffled", "out.jsonl.gz", "file", 2, _FETCH | _MARKS | _FILES | _appends("out.jsonl.gz"), 3),
    Setup("stock", "created", "out.jsonl", "s3", 2, _FETCH | _MARKS | _S3 | _appends("out.jsonl"), 3),
]


class World:
    """One harvest from its beginning: an output, a checkpoint at START and a Redis, all of its own."""

    def __init__(self, setup: Setup, opencast: Opencast, redis_url: str, directory: Path, number: int) -> None:
        self.directory = directory / str(number)
        self.directory.mkdir()
        self._setup = setup
        self._opencast = opencast
        self._queue = f"actions-{number}"
        self._bucket = f"{BUCKET}-{number}"
        self._state = self.directory / "state"
        self._out = self.directory / setup.output
        place = {"S3_HARVEST_TS_BUCKET": self._bucket} if setup.checkpoint == "s3" else {}
        self.env = environment(opencast.url, redis_url, self._state, SQS_QUEUE_NAME=self._queue, **place)
        self.args = arguments("-o", "sqs" if setup.output == "sqs" else str(self._out))
        self._start()

    def _start(self) -> None:
        if self._setup.checkpoint == "s3":
            _client("s3").create_bucket(Bucket=self._bucket)
            _client("s3").put_object(Bucket=self._bucket, Key=KEY, Body=format_checkpoint(START).encode())
            return
        self._state.mkdir()
        (self._state / KEY).write_text(format_checkpoint(START))

    def checkpoint(self) -> str:
        """What the checkpoint says."""
        if self._setup.checkpoint == "s3":
            content: bytes = _client("s3").get_object(Bucket=self._bucket, Key=KEY)["Body"].read()
            return content.decode()
        return (self._state / KEY).read_text()

    def check(self, kills: int, what: str) -> None:
        """Everything there, next to nothing twice, and the checkpoint at the end of the window."""
        delivered = Counter(document["action_id"] for document in self._delivered())
        assert set(delivered) == self._opencast.wanted, f"lost or foreign after {what}"
        twice = sum(delivered.values()) - len(delivered)
        assert twice <= BATCH * kills, f"{twice} delivered again after {what}"
        dead = [letter for path in self._state.glob("dead-letters/*.jsonl") for letter in read_lines(path)]
        assert {letter["id"] for letter in dead} == {str(Opencast.poison_id)}, what
        assert self.checkpoint() == format_checkpoint(END), what

    def _delivered(self) -> Iterator[dict[str, Any]]:
        return _received(self._queue) if self._setup.output == "sqs" else iter(read_lines(self._out))


@cache
def _client(service: str) -> Any:
    return boto3.client(service)  # type: ignore[call-overload]


def _received(queue: str) -> Iterator[dict[str, Any]]:
    sqs = _client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        yield from (json.loads(message["Body"]) for message in messages)


@pytest.fixture
def driver(aws: str, tmp_path: Path) -> Iterator[Driver]:
    with Driver(tmp_path) as driver:
        yield driver


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_a_run_killed_at_any_step_and_started_again_loses_nothing(
    setup: Setup, driver: Driver, redis_url: str, redis_server: Any, tmp_path: Path
) -> None:
    killed_at: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    with Opencast(dialect=setup.dialect, order=setup.order).fill(setup.pages) as opencast:

        def killed(number: int, kill_at: int | str) -> bool:
            redis_server.flush()
            opencast.deal_anew()
            world = World(setup, opencast, redis_url, tmp_path, number)
            first = driver.run(world.args, world.env, kill_at)
            if first.code != KILLED:
                _ended_well(first, "nothing")
                world.check(0, "a run that nothing disturbed")
                passed.update(first.points)
                return False
            what = f"a kill at point {number}, {first.points[-1]}"
            killed_at[first.points[-1]] += 1
            _ended_well(driver.run(world.args, world.env), what)
            world.check(1, what)
            return True

        number = next(number for number in itertools.count(1, setup.stride) if not killed(number, number))
        # Threads take their steps in any order, so counting may have passed one by.
        for step in sorted(setup.steps - killed_at.keys()):
            number += 1
            assert killed(number, step), f"no run came by {step}"
    commit = f"s3 PUT {KEY}" if setup.checkpoint == "s3" else f"replace {KEY}"
    assert killed_at[commit] > 0
    assert passed[commit] > ((setup.dialect, setup.order) == ("dce", "created"))


def test_run_after_run_killed_a_little_later_each_gets_there_in_the_end(
    driver: Driver, redis_url: str, tmp_path: Path
) -> None:
    setup = Setup("dce", "created", "out.jsonl", "file", 12, set())
    with Opencast().fill(setup.pages) as opencast:
        world = World(setup, opencast, redis_url, tmp_path, 1)
        checkpoints = [world.checkpoint()]
        for kills in itertools.count():
            attempt = driver.run(world.args, world.env, kill_at=20 + kills)
            checkpoints.append(world.checkpoint())
            if attempt.code != KILLED:
                break
        _ended_well(attempt, f"{kills} kills")
        world.check(kills, f"{kills} kills")
    assert kills > 3
    assert checkpoints == sorted(checkpoints)
    assert len(set(checkpoints)) > 3, "the killed runs should have come some way, each"


def _ended_well(attempt: Attempt, what: str) -> None:
    # 75 would mean that the lease of the dead run still stands.
    assert attempt.code == 0, f"after {what} the run ended with {attempt.code}:\n{attempt.log}"
