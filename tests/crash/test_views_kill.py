"""`listings log` and `listings count`, killed at every step: the next run has each view logged and counted once."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import log2
from pathlib import Path
from typing import Any

import pytest

from harvesters.listings.logfiles import LogFiles
from tests.brokers import Broker
from tests.crash.crashing import KILLED, Attempt, Driver
from tests.indices import Cluster, cluster_for_a_test
from tests.listings.test_accesslog import items

BEFORE = ["a", "b", "a"]
AFTER = ["c", "a", "d", "e", "c"]
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = "13"  # bytes, so that what comes after begins another file


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster_for_a_test(request) as found:
        yield found


class World:
    """A topic with views of which some are in the log already, and an index, for one attempt after another."""

    def __init__(self, kafka: Broker, driver: Driver, directory: Path) -> None:
        self.kafka, self.driver, self.directory = kafka, driver, directory
        self.more: dict[str, str] = {}
        kafka.make(kafka.views, 2)
        self.views(*BEFORE)
        self.begin("begun", None)
        assert self.run("log").code == 0
        self.begun = self.state

    def views(self, *ids: str) -> None:
        """A view a day from the beginning of 2026 on, so that each counts twice as much as the one before."""
        for number, id in enumerate(ids):
            view, at = {"user_id": "u", "item_id": id}, BEGINNING + timedelta(days=number)
            self.kafka.send(self.kafka.views, [view], number % 2, timestamp=int(at.timestamp() * 1000))

    def begin(self, name: str, state: Path | None) -> None:
        """Another state, a copy of `state` or none at all, with a group and an index of its own."""
        self.name, self.state = name, self.directory / name
        if state is not None:
            shutil.copytree(state, self.state)

    @property
    def files(self) -> LogFiles:
        return LogFiles(self.state / "access.log")

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        return {
            **kept,
            **self.kafka.environment,
            "HARVEST_STATE_DIR": str(self.state),
            "VIEWS_GROUP": f"{self.kafka.prefix}-{self.name}",
            "ACCESS_LOG_MAX_BYTES": LIMIT,
            **self.more,
        }

    def run(self, command: str, kill_at: int | str = 0) -> Attempt:
        return self.driver.run(["--env-file", os.devnull, "listings", command], self.environment, kill_at)

    def check_log(self, what: str) -> None:
        assert Counter(items(self.files)) == Counter(BEFORE + AFTER), what
        files = (self.state / "dead-letters").glob("*.jsonl")
        dead = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        assert {letter["id"] for letter in dead} == {f"{self.kafka.views}/1/{len(BEFORE) // 2}"}, what


def ended_well(attempt: Attempt, what: str) -> None:
    assert attempt.code == 0, f"after {what} the run ended with {attempt.code}:\n{attempt.log}"


@pytest.mark.parametrize("begun", [True, False], ids=["goes on", "begins"])
def test_log_killed_at_any_step_has_every_view_once(begun: bool, kafka: Broker, driver: Driver, tmp_path: Path) -> None:
    world = World(kafka, driver, tmp_path)
    kafka.send(kafka.views, [b"poison"], 1)
    world.views(*AFTER)
    steps: set[str] = set()

    def killed(number: int, kill_at: int | str) -> bool:
        world.begin(str(number), world.begun if begun else None)
        first = world.run("log", kill_at)
        if first.code != KILLED:
            ended_well(first, "nothing")
            world.check_log("a run that nothing disturbed")
            return False
        steps.add(first.points[-1])
        what = f"a kill at point {number}, {first.points[-1]}"
        ended_well(world.run("log"), what)
        world.check_log(what)
        return True

    number = next(number for number in itertools.count(1) if not killed(number, number))
    wanted = {"write access.log", "half of write access.log", "fsync access.log", "replace access.log.offsets"}
    wanted |= {"kafka poll", "kafka holds", "kafka commit"} | ({"replace access.log.1"} if begun else set())
    # How often it has to ask for messages differs, so counting may have passed a step by.
    for step in sorted(wanted - steps):
        number += 1
        assert killed(number, step), f"no run came by {step}"


def test_log_killed_again_and_again_gets_there(kafka: Broker, driver: Driver, tmp_path: Path) -> None:
    world = World(kafka, driver, tmp_path)
    kafka.send(kafka.views, [b"poison"], 1)
    world.views(*AFTER)
    world.begin("again", world.begun)
    for kills in itertools.count():
        attempt = world.run("log", kill_at=12 + kills % 60)
        if attempt.code != KILLED:
            break
    ended_well(attempt, f"{kills} kills")
    world.check_log(f"{kills} kills")
    assert kills > 3


def test_count_killed_at_any_step_counts_every_view_once(
    kafka: Broker, cluster: Cluster, driver: Driver, tmp_path: Path
) -> None:
    """What was counted before, a listing that waits, one that comes back, and a file of the log that is closed."""
    world = World(kafka, driver, tmp_path)

    def prepare(name: str, state: Path | None) -> None:
        world.begin(name, state)
        world.more = {"ES_HOST": cluster.url, "LISTINGS_INDEX": cluster.name(name)}
        cluster.create(name, {"properties": {"visits": {"type": "long"}}})
        cluster.fill_by_id(name, [{"id": id} for id in "abcdf"])

    def check(what: str) -> None:
        found: dict[str, Any] = {id: each.get("visits") for id, each in cluster.documents(world.name).items()}
        assert found == {"a": 3, "b": 1, "c": 2, "d": 1, "f": None}, what
        hot = {id: each.get("hot") for id, each in cluster.documents(world.name).items()}
        assert hot == {"a": pytest.approx(log2(7)), "b": 1, "c": pytest.approx(log2(17)), "d": 2, "f": None}, what

    prepare("counted", world.begun)
    ended_well(world.run("count"), "nothing")
    world.views(*AFTER)
    ended_well(world.run("log"), "nothing")
    counted = world.state
    steps: Counter[str] = Counter()
    for number in itertools.count(1):
        prepare(str(number), counted)
        first = world.run("count", number)
        if first.code != KILLED:
            ended_well(first, "nothing")
            check("a run that nothing disturbed")
            break
        steps[first.points[-1]] += 1
        what = f"a kill at point {number}, {first.points[-1]}"
        ended_well(world.run("count"), what)
        check(what)
    assert {"commit totals", "elastic POST /_bulk"} <= steps.keys()
