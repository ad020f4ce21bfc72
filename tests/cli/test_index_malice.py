"""``index`` and ``setup migrate`` as processes, against everything that an hour of malice thought of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.processes import HARVEST, ROOT
from tests.cli.searching import Cluster, cluster_for_a_test
from tests.indexing.queues import Queue, action
from tests.migration.test_run import old
from tests.way import way

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster_for_a_test(request) as cluster:
        monkeypatch.setenv("ES_HOST", cluster.url)
        yield cluster


@pytest.fixture
def queue(elasticmq_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    queue = Queue()
    monkeypatch.setenv("SQS_QUEUE_NAME", queue.name)
    yield queue
    queue.remove()


def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*HARVEST, *arguments],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, said


def test_hung_bulks_and_lost_deletes_cost_nothing(
    harvest: Command, cluster: Cluster, queue: Queue, elasticmq_url: str
) -> None:
    assert harvest("setup", "load_index_templates").code == 0
    released, lock, seen = Event(), Lock(), {"bulks": 0, "deletes": 0}

    def hanging(path: str, asked: bytes, _: bytes) -> int | None:
        if path.startswith("/_bulk"):
            with lock:
                seen["bulks"] += 1
                hangs = seen["bulks"] in (1, 3)
            if hangs:
                released.wait(20)
                return 503
        return None

    def losing(path: str, asked: bytes, answered: bytes) -> int | None:
        if b"ReceiptHandle" in asked and b"VisibilityTimeout" not in asked:
            with lock:
                seen["deletes"] += 1
                return 500 if seen["deletes"] % 3 == 1 else None
        return None

    queue.fill(action(number, cluster.day(1 + number % 2)) for number in range(400))
    with way(cluster.url, hanging) as elasticsearch, way(elasticmq_url, losing, after=True) as sqs:
        env = {"ES_HOST": elasticsearch.url, "AWS_ENDPOINT_URL": sqs.url, "AWS_ENDPOINT_URL_SQS": sqs.url}
        code, said = ended(start("index", HARVEST_HTTP_TIMEOUT="3", HARVEST_RETRY_BUDGET="60", **env))
        released.set()
    assert code == 0, said
    assert seen["deletes"] > 3
    assert seen["bulks"] > 2
    assert queue.empty
    assert {int(hit["_id"]) for hit in cluster.hits("0*")} == set(range(400))


def deep(levels: int) -> dict[str, Any]:
    body: dict[str, Any] = {"end": 1}
    for _ in range(levels):
        body = {"in": body}
    return body


def test_twenty_five_levels_and_long_keywords_take_nothing_along(
    harvest: Command, cluster: Cluster, queue: Queue, state: Path
) -> None:
    assert harvest("setup", "load_index_templates").code == 0
    queue.fill(
        [
            action(1, cluster.day(1), extra=deep(25)),
            action(2, cluster.day(1), action={"type": "x" * 40_000, "inpoint": 1}),
            action(3, cluster.day(1), useragent="x" * 40_000),
            action(4, cluster.day(1), episode={"title": "x" * 40_000, "series": "x" * 40_000, "extra": deep(25)}),
            action(5, cluster.day(1), mpid="ü" * 40_000),
            action(6, cluster.day(1)),
        ]
    )
    result = harvest("index")
    assert result.code == 0, result.err
    assert queue.empty
    there = {hit["_id"] for hit in cluster.hits("01")}
    dead = sum(len(path.read_text().splitlines()) for path in state.glob("dead-letters/*.jsonl"))
    assert len(there) + dead == 6
    assert {"2", "3", "5", "6"} <= there


def test_three_migrators_at_once_and_a_harvest_beside_them(
    harvest: Command, cluster: Cluster, queue: Queue, state: Path
) -> None:
    for day in ("01", "02"):
        cluster.fill(day, [old(number) for number in range(3000)])
    assert harvest("setup", "load_index_templates").code == 0
    queue.fill(action(number, cluster.day(1 + number % 2)) for number in range(10_000, 13_000))
    env = {"HARVEST_RETRY_BUDGET": "60"}
    migrators = [start("setup", "migrate", **env) for _ in range(3)]
    indexer = start("index", "--visibility-timeout", "2", **env)
    results = [ended(process) for process in migrators]
    code, said = ended(indexer)
    assert {code for code, _ in results} <= {0, 75}, results
    assert "Traceback" not in "".join(words for _, words in results)
    if code == 78:  # it came first
        assert "setup migrate" in said
    else:
        assert code == 0, said
    code, said = ended(start("setup", "migrate", **env))
    assert code == 0, said
    while not queue.empty:
        code, said = ended(start("index", "--visibility-timeout", "2", **env))
        assert code == 0, said
    assert not list(state.glob("dead-letters/*"))
    for number, day in enumerate(("01", "02")):
        ids = {int(hit["_id"]) for hit in cluster.hits(day)}
        assert ids == {*range(3000), *range(10_000 + number, 13_000, 2)}
        assert cluster.count(day) == 4500


def test_what_an_index_refused_just_before_it_was_migrated_is_no_dead_letter(
    harvest: Command, cluster: Cluster, queue: Queue, state: Path
) -> None:
    cluster.fill("01", [old(number) for number in range(3)])
    assert harvest("setup", "load_index_templates").code == 0
    migrated: list[tuple[int, str]] = []

    def migrating(path: str, asked: bytes, answered: bytes) -> int | None:
        if path.startswith("/_bulk") and not migrated:
            migrated.append(ended(start("setup", "migrate")))
        return None

    queue.fill(action(number, cluster.day(1), is_live=False) for number in range(10, 30))
    with way(cluster.url, migrating, after=True) as elasticsearch:
        code, said = ended(start("index", ES_HOST=elasticsearch.url))
    assert code == 0, said
    assert migrated[0][0] == 0, migrated
    assert not list(state.glob("dead-letters/*"))
    assert {int(hit["_id"]) for hit in cluster.hits("01")} == {*range(3), *range(10, 30)}
    assert queue.empty
