"""``zoom`` killed at its steps, over every output, and started again: nothing lost, and Elasticsearch has it once."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from harvesters.simulators.zoom.auth import GRANULAR
from harvesters.simulators.zoom.data import Account
from harvesters.simulators.zoom.server import ZoomSimulator
from tests.crash.crashing import KILLED, Attempt, Driver, environment, read_lines
from tests.zoom.harness import meeting

FAST = {"Light": 5000, "Medium": 5000, "Heavy": 5000, "Resource-intensive": 5000}
REPORTS = tuple(scope for scope in GRANULAR if not scope.startswith("dashboard"))
CHECKPOINT = "zoom-last-end-timestamp"
UUIDS = ["/begins+with==", "in/side==", "/one//==", *(f"m{number}==" for number in range(5))]
_STATE = {f"replace {CHECKPOINT}", f"replace {CHECKPOINT}.runs", f"replace {CHECKPOINT}.lease"}


@dataclass(frozen=True)
class Setup:
    """How it is run into what; `steps` are the kinds that must be killed at, `stride` how many are passed over."""

    name: str
    words: tuple[str, ...]
    output: str
    scopes: tuple[str, ...]
    steps: set[str]
    stride: int

    def __str__(self) -> str:
        return self.name


SETUPS = [
    Setup("live-file", ("--live",), "out.jsonl", GRANULAR, _STATE | {"write out.jsonl", "half of write out.jsonl"}, 6),
    Setup("live-sqs", ("--live",), "sqs", REPORTS, _STATE | {"sqs SendMessageBatch"}, 7),
    Setup("live-elasticsearch", ("--live",), "es", GRANULAR, _STATE | {"elastic POST /_bulk"}, 9),
    Setup("by-hand-elasticsearch", ("--start", "START"), "es", GRANULAR, {"elastic POST /_bulk"}, 9),
]


class World:
    """One harvest from its beginning: an output and a state of its own, and a Redis that knows nothing."""

    def __init__(
        self, setup: Setup, zoom: ZoomSimulator, redis: Any, directory: Path, elastic: str, noon: datetime
    ) -> None:
        self._setup, self._elastic = setup, elastic
        self._state = directory / "state"
        self._out = directory / setup.output
        self._queue = directory.name
        self._days = [f"{day:%Y.%m.%d}" for day in (noon - timedelta(days=1), noon, noon + timedelta(days=1))]
        redis.flush()
        self.forget()
        self._state.mkdir()
        # The look-back is too short to mend a checkpoint that went too far.
        (self._state / CHECKPOINT).write_text(f"{noon - timedelta(hours=6):%Y%m%d%H%M%SZ}")
        self.env = environment(
            "",
            redis.url,
            self._state,
            ZOOM_API_URL=zoom.api_url,
            ZOOM_OAUTH_URL=zoom.oauth_url,
            ZOOM_ACCOUNT_ID="account",
            ZOOM_CLIENT_ID="client",
            ZOOM_CLIENT_SECRET="secret",
            SQS_QUEUE_NAME=self._queue,
            ES_HOST=elastic,
            ZOOM_LOOKBACK="1",
        )
        output = setup.output if setup.output in ("sqs", "es") else str(self._out)
        words = [word.replace("START", f"{noon - timedelta(hours=6):%Y%m%d%H%M%S}") for word in setup.words]
        self.args = ["--env-file", os.devnull, "zoom", *words, "-o", output]

    def forget(self) -> None:
        """Leave nothing on the shared Elasticsearch."""
        for day in self._days if self._setup.output == "es" else ():
            for kind in ("meetings", "sessions"):
                requests.delete(f"{self._elastic}/{kind}-{day}", timeout=30)

    def delivered(self) -> tuple[Counter[str], Counter[str]]:
        """How often each meeting (by UUID) and each session (by id) is there."""
        documents = {"sqs": self._received, "es": self._indexed}.get(self._setup.output, self._written)()
        meetings = Counter(document["uuid"] for document in documents if "uuid" in document)
        return meetings, Counter(document["id"] for document in documents if "meeting" in document)

    def state(self) -> str:
        """The checkpoint."""
        return (self._state / CHECKPOINT).read_text()

    def _written(self) -> list[dict[str, Any]]:
        return read_lines(self._out)

    def _received(self) -> list[dict[str, Any]]:
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName=self._queue)["QueueUrl"]
        found = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
        return found

    def _indexed(self) -> list[dict[str, Any]]:
        names = ",".join(f"{kind}-{day}" for kind in ("meetings", "sessions") for day in self._days)
        quiet = {"ignore_unavailable": "true", "size": "1000"}
        requests.post(f"{self._elastic}/{names}/_refresh", params={"ignore_unavailable": "true"}, timeout=30)
        found = requests.get(f"{self._elastic}/{names}/_search", params=quiet, timeout=30).json()
        return [hit["_source"] for hit in found["hits"]["hits"]]


@pytest.fixture
def driver(aws: str, tmp_path: Path) -> Iterator[Driver]:
    with Driver(tmp_path) as driver:
        yield driver


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_zoom_killed_at_any_step_and_started_again_loses_nothing(
    setup: Setup, driver: Driver, redis_server: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    elastic = request.getfixturevalue("elasticsearch_url") if setup.output == "es" else "127.0.0.1:1"
    noon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    meetings = [meeting(uuid, noon - timedelta(minutes=9 * number)) for number, uuid in enumerate(UUIDS)]
    with ZoomSimulator(Account(meetings=meetings), limits=FAST, scopes=setup.scopes) as zoom:

        def world(name: str) -> World:
            directory = tmp_path / f"{setup}-{name}"
            directory.mkdir()
            return World(setup, zoom, redis_server, directory, elastic, noon)

        def complete(world: World, runs: int, what: str) -> None:
            found, sessions = world.delivered()
            assert set(found) == set(UUIDS), f"lost or foreign after {what}"
            assert len(sessions) == 2 * len(UUIDS), f"sessions lost or made twice after {what}"
            most = 1 if setup.output == "es" else runs
            assert max((found + sessions).values()) <= most, f"delivered too often after {what}"

        undisturbed = world("undisturbed")
        try:
            whole = driver.run(undisturbed.args, undisturbed.env)
            _ended_well(whole, "nothing")
            complete(undisturbed, 1, "a run that nothing disturbed")
            assert setup.steps <= set(whole.points)
            killed_at = set()
            kinds = dict.fromkeys(point for point in whole.points if not point.startswith("redis"))
            for number, kill in enumerate([*range(1, len(whole.points) + 1, setup.stride), *kinds]):
                here = world(str(number))
                first = driver.run(here.args, here.env, kill)
                if first.code == KILLED:
                    killed_at.add(first.points[-1])
                what = f"a kill at point {kill}, {first.points[-1]}"
                _ended_well(driver.run(here.args, here.env), what)
                complete(here, 2, what)
                if "--live" in setup.words:
                    assert here.state() >= f"{noon:%Y%m%d%H%M%SZ}", what
                if setup.output == "out.jsonl":
                    before = here.delivered()
                    _ended_well(driver.run(here.args, here.env), what)
                    assert here.delivered() == before, f"a third run sent something again, after {what}"
            assert setup.steps <= killed_at
        finally:
            undisturbed.forget()


def _ended_well(attempt: Attempt, what: str) -> None:
    assert attempt.code == 0, f"after {what} the run ended with {attempt.code}:\n{attempt.log}"
