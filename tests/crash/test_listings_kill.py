"""``listings index``, killed at every one of its steps and at random, and started again until it is done."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harvesters.elastic import paths
from tests.brokers import Broker
from tests.crash.crashing import KILLED, Attempt, Driver
from tests.indices import Cluster, cluster_for_a_test
from tests.listings.workers import Worker, wait_for

pytestmark = pytest.mark.slow

SESSION = "1"  # second: what a killed process held is read on then
STEPS = {
    *("kafka begin", "kafka done", "kafka commit", "kafka close"),
    *("elastic POST /_bulk", "elastic POST /INDEX/_mget", "elastic POST /INDEX-deleted/_mget"),
    *("elastic PUT /INDEX", "elastic PUT /INDEX-deleted", "elastic POST /INDEX/_refresh"),
}


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster_for_a_test(request) as found:
        yield found


class World:
    """A topic and an index of their own: listings, some with several versions, some deleted, and poison."""

    def __init__(self, kafka: Broker, cluster: Cluster, directory: Path) -> None:
        self.kafka, self.cluster = Broker(kafka.server), cluster
        self.name = f"listings-{self.kafka.prefix}"
        self.state = directory / self.kafka.prefix
        self.kafka.make(self.kafka.listings)
        self.wanted: dict[str, str] = {}
        self.poison: set[str] = set()

    @property
    def index(self) -> str:
        return self.cluster.name(self.name)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
        more = {"ES_HOST": self.cluster.url, "LISTINGS_INDEX": self.index, "HARVEST_STATE_DIR": str(self.state)}
        more |= {"KAFKA_SESSION_TIMEOUT": SESSION, "HARVEST_ERROR_BUDGET": "100%"}
        return kept | self.kafka.environment | more

    def fill(self, count: int) -> None:
        """The last message of each listing says what is wanted."""
        draw = random.Random(count)
        messages: list[tuple[str, Any]] = []
        for number in range(count):
            id = str(draw.randrange(count // 2))
            if number % 37 == 36:
                messages.append((id, None))
                self.wanted.pop(id, None)
            elif number % 20 == 19:
                messages.append(("poison", f"no json {number}".encode()))
            else:
                messages.append((id, {"id": id, "title": f"Desk {number}"}))
                self.wanted[id] = f"Desk {number}"
        sent = self.kafka.send(self.kafka.listings, messages)
        bad = [each for each in sent if each.key() == b"poison"]
        self.poison = {f"{each.topic()}/{each.partition()}/{each.offset()}" for each in bad}

    def check(self) -> None:
        """Nothing is lost, nothing is old, and all is committed."""
        found = {id: each["title"] for id, each in self.cluster.documents(self.name).items()}
        assert found == self.wanted
        files = (self.state / "dead-letters").glob("listings-*.jsonl")
        assert {json.loads(line)["id"] for file in files for line in file.read_text().splitlines()} == self.poison
        ends = {at: high for at, (_, high) in self.kafka.ends(self.kafka.listings).items() if high}
        assert self.kafka.committed(self.kafka.listings) == ends


def run(driver: Driver, world: World, kill_at: int | str = 0) -> Attempt:
    arguments = ["--env-file", os.devnull, "listings", "index"]
    attempt = driver.run(arguments, world.environment, kill_at)
    names = {paths.name(f"{world.index}{end}"): f"INDEX{end}" for end in ("-listings", "-deleted", "")}
    points = attempt.points
    for name, plain in names.items():
        points = [point.replace(name, plain) for point in points]
    return Attempt(attempt.code, points, attempt.log)


def test_killed_at_every_kind_of_step(driver: Driver, kafka: Broker, cluster: Cluster, tmp_path: Path) -> None:
    whole = World(kafka, cluster, tmp_path)
    whole.fill(60)
    unharmed = run(driver, whole)
    assert unharmed.code == 0, unharmed.log
    whole.check()
    assert set(unharmed.points) >= STEPS
    assert {point for point in unharmed.points if "listings-" in point}, "dead letters are written"
    firsts = [unharmed.points.index(name) + 1 for name in dict.fromkeys(unharmed.points)]
    lasts = [len(unharmed.points) - unharmed.points[::-1].index(name) for name in ("kafka commit", "kafka done")]
    killed = 0
    for number in sorted({*firsts, *lasts}):
        world = World(kafka, cluster, tmp_path)
        world.fill(60)
        attempt = run(driver, world, number)
        killed += attempt.code == KILLED
        again = run(driver, world)
        assert again.code == 0, again.log
        world.check()
    assert killed > len(STEPS)


def test_killed_at_random_among_others(kafka: Broker, cluster: Cluster, tmp_path: Path) -> None:
    world = World(kafka, cluster, tmp_path)
    world.fill(20_000)
    draw = random.Random(7)
    workers: list[Worker] = []

    def start() -> Worker:
        return Worker(tmp_path, "--follow", **world.environment)

    try:
        workers = [start(), start()]
        for _ in range(6):
            until = time.monotonic() + draw.uniform(0.5, 2.5)
            wait_for(lambda until=until: time.monotonic() > until)  # type: ignore[misc]
            victim = draw.randrange(len(workers))
            workers[victim].kill()
            workers[victim] = start()
        last = Worker(tmp_path, **world.environment)
        workers.append(last)
        assert last.wait() == 0, last.log
        assert [worker.end() for worker in workers[:2]] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    world.check()
