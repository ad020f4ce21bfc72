"""Two Opencasts with the same numbers through one queue into one cluster, told apart by ``OPENCAST_SOURCE``."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest

from harvesters.simulators.opencast.server import ActionRow, Episode, OpencastSimulator
from tests.cli.conftest import PASSWORD, USER, Command, Result
from tests.cli.searching import Cluster, cluster_for_a_test
from tests.indexing.queues import Queue

NAMES = ("main", "other")
HOUR = 3_600_000


@pytest.fixture
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """In a month that no other test has an action in, and that a server's clock can have."""
    with cluster_for_a_test(request) as cluster:
        cluster.month = f"{random.randrange(1972, 2000)}-{random.randrange(1, 13):02d}"
        cluster.prefix = f"useractions-{cluster.month.replace('-', '.')}."
        monkeypatch.setenv("ES_HOST", cluster.url)
        yield cluster


@pytest.fixture
def opencasts(cluster: Cluster) -> Iterator[dict[str, OpencastSimulator]]:
    """Each with an episode of its own, and five actions with the same numbers."""
    start = datetime.fromisoformat(f"{cluster.day(1)}T09:00:00Z")
    with ExitStack() as stack:
        found = {}
        for name in NAMES:
            simulator = stack.enter_context(OpencastSimulator(user=USER, password=PASSWORD, anonymous=False))
            simulator.add(Episode(f"{name}-1", f"Lecture of {name}", HOUR, start, "20260113001"))
            session = {"sessionId": "s", "userId": f"student-of-{name}", "userIp": "10.0.0.1"}
            for number in range(5):
                moment, at = start + timedelta(minutes=number), 600 * number
                simulator.add(ActionRow(100 + number, f"{name}-1", session, at, at, "HEARTBEAT", True, moment))
            found[name] = simulator
        yield found


def table(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out)))


def test_no_action_is_overwritten_and_every_command_tells_them_apart(
    harvest: Command, cluster: Cluster, opencasts: dict[str, OpencastSimulator], elasticmq_url: str
) -> None:
    queue = Queue()
    span = ("-s", f"{cluster.day(1)}T00:00:00Z", "-e", f"{cluster.day(1)}T12:00:00Z", "--no-update-last-ts")
    actions, episodes = cluster.index(1), f"{cluster.prefix}episodes"

    def settings(name: str) -> dict[str, str]:
        url = opencasts[name].url
        return {
            "OPENCAST_SOURCE": name,
            "MATTERHORN_ENGAGE_HOST": url,
            "MATTERHORN_ADMIN_HOST": url,
            "MATTERHORN_REST_USER": USER,
            "MATTERHORN_REST_PASS": PASSWORD,
            "SQS_QUEUE_NAME": queue.name,
        }

    def run(*command: str, name: str = "main") -> Result:
        return harvest("--log-format", "json", *command, env=settings(name))

    try:
        assert run("setup", "load_index_templates").code == 0
        for name in NAMES:
            assert run("useractions", *span, name=name).report["delivered"] == 5
        assert run("index").report["indexed"] == 10
    finally:
        queue.remove()
    cluster.ask("POST", f"/{actions}/_refresh")
    hits: dict[str, Any] = {hit["_id"]: hit["_source"] for hit in cluster.hits("01")}
    assert set(hits) == {f"{name}-{100 + number}" for name in NAMES for number in range(5)}
    assert all(id.startswith(f"{found['source']}-") for id, found in hits.items())

    for name in NAMES:
        report = run("load_episodes", "-s", actions, "-t", episodes, name=name).report
        assert (report["mpids"], report["unknown"], report["indexed"]) == (1, 0, 1), "it asked for the other's too"
    found = table(run("query", "actions_per_source", "--index", actions, "--format", "csv"))
    assert sorted(list(row.values())[:2] for row in found) == [["main", "5"], ["other", "5"]]
    export = ("export", "attendance", "-s", actions, "--episodes-index", episodes)
    assert {row["mpid"] for row in table(run(*export))} == {"main-1", "other-1"}
    for name in NAMES:
        shares = table(run(*export, "--source", name))
        assert [(row["mpid"], row["huid"]) for row in shares] == [(f"{name}-1", f"student-of-{name}")]
