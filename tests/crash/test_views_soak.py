"""Both commands as services, killed at any moment while views go on coming: in the end every number is right.

``python -m tests.crash.test_views_soak 1000000`` does the same with as many views as one likes.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from harvesters.listings.logfiles import LogFiles
from harvesters.standins.elasticsearch import Elasticsearch
from harvesters.standins.kafka import Kafka
from tests.brokers import Broker
from tests.crash.crashing import ROOT
from tests.indices import Cluster, cluster_for_a_test
from tests.listings.test_accesslog import items

LISTINGS = 50


def test_services_that_are_killed_at_any_moment_count_every_view_once(
    kafka: Broker, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with cluster_for_a_test(request) as cluster:
        soak(kafka, cluster, tmp_path, views=5_000, kills=12, limit=20_000)


def soak(kafka: Broker, cluster: Cluster, state: Path, views: int, kills: int, limit: int) -> None:
    """Send `views` views in ten parts; meanwhile kill whichever command `kills` times, and start it again."""
    dice = random.Random(views)
    kafka.make(kafka.views)
    wanted = [f"item {min(int(dice.expovariate(0.1)), LISTINGS)}" for _ in range(views)]
    cluster.create("listings", {"properties": {"visits": {"type": "long"}, "hot": {"type": "double"}}})
    cluster.fill_by_id("listings", [{"id": f"item {number}"} for number in range(LISTINGS + 1)])
    environment = {
        **os.environ,
        **kafka.environment,
        "ES_HOST": cluster.url,
        "LISTINGS_INDEX": cluster.name("listings"),
        "HARVEST_STATE_DIR": str(state),
        "ACCESS_LOG_MAX_BYTES": str(limit),
    }
    log, count = ["log", "--follow"], ["count", "--every", "0.1s"]

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        full = [sys.executable, "harvest.py", "--env-file", os.devnull, "listings", *command]
        return subprocess.Popen(full, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)

    def send() -> None:
        for part in range(10):
            kafka.send(kafka.views, [{"user_id": "u", "item_id": item} for item in wanted[part::10]])

    running = {"log": start(log), "count": start(count)}
    sending = threading.Thread(target=send)
    sending.start()
    try:
        for _ in range(kills):
            time.sleep(dice.uniform(0.3, 1.2))  # what is killed, and where, is what is drawn here
            name, command = dice.choice([("log", log), ("count", count)])
            assert running[name].poll() is None, f"{name} ended by itself"
            running[name].kill()
            running[name].wait()
            running[name] = start(command)
        sending.join()
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    for command in (["log"], ["count"]):
        assert start(command).wait() == 0
    assert Counter(items(LogFiles(state / "access.log"))) == Counter(wanted)
    found = {id: each.get("visits") for id, each in cluster.documents("listings").items()}
    assert found == {f"item {number}": Counter(wanted)[f"item {number}"] or None for number in range(LISTINGS + 1)}


if __name__ == "__main__":
    with Kafka() as broker, Elasticsearch() as node, tempfile.TemporaryDirectory() as directory:
        number = int(sys.argv[1])
        soak(Broker(broker), Cluster(node.url), Path(directory), number, max(12, number // 20_000), number)
