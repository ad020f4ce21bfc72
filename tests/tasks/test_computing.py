"""A real worker, a real Elasticsearch, a real analytic."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvesters.assembly import Assembly
from harvesters.errors import Interrupted, Unavailable
from harvesters.messages import descriptors
from harvesters.messages.analytics import AnalyticStore
from harvesters.operate.analytics import Analytics
from harvesters.settings import Settings
from tests.cli.processes import ROOT, wait
from tests.commandline import run_here
from tests.nodes import Node, node_for_a_test
from tests.tasks.office import Office, opened

MOVING = {"type": "moving", "value": "7d"}
OVER = {"type": "fixed", "start": "2021-01-01T00:00:00", "end": "2021-02-01T00:00:00"}


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    with node_for_a_test(request) as node:
        yield node


@pytest.fixture
def office(tmp_path: Path, redis_url: str, node: Node) -> Iterator[Office]:
    with opened(tmp_path, redis_url) as office:
        office.more |= {"ES_HOST": node.url, "HARVEST_RETRY_BUDGET": "5"}
        yield office


def describe(timespan: dict[str, str]) -> descriptors.Descriptor:
    told = {"timespan": timespan, "project": "nobody-s", "type": "count", "dimension": "message", "metric": "requests"}
    return descriptors.parse(told)


def test_it_is_computed_and_what_was_deleted_ends_its_task(office: Office, node: Node) -> None:
    with closing(node.client()) as client:
        store = AnalyticStore(client)
        ids = [store.create(describe(span), datetime.now(UTC)) for span in (MOVING, OVER)]
        try:
            analytics = Analytics(Settings(office.env), lambda: False, 4.0)
            assert set(ids) <= {*analytics.ids(None)}
            assert set(ids) & {*analytics.ids("moving")} == {ids[0]}
            assert set(ids) & {*analytics.unfinished()} == {ids[1]}
            for id in (*ids, "none-of-that-id"):
                office.send("tasks.update_analytic", id)
            log = (office.directory / "worker.log").open("ab")
            command = [sys.executable, "-m", "harvesters", "--env-file", os.devnull, "worker"]
            worker = subprocess.Popen(command, env=office.env, stdout=log, stderr=log, cwd=ROOT)
            try:
                wait(lambda: office.queued() == 0)
                worker.terminate()
                assert worker.wait(30) == 0, office.logs()
            finally:
                worker.kill()
                worker.wait()
                log.close()
            found = [store.find(id) for id in ids]
            assert [one.fields["result"]["count"] for one in found if one is not None] == [0, 0]
            assert ids[1] not in analytics.unfinished()
            analytics.close()
        finally:
            for id in ids:
                store.delete(id)


@pytest.mark.parametrize("setting", ["MESSAGES_TIMEZONE=Mars", "CARDINALITY_PRECISION_THRESHOLD=40001"])
def test_settings_that_cannot_be_read(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*setting.split("="))
    assert run_here("worker") == 78


def test_it_gives_up_soon_where_the_cluster_is_away_so_that_others_may_pass() -> None:
    told = Settings({"ES_HOST": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0.2"})
    with closing(Analytics(told, lambda: False, 4.0)) as analytics, pytest.raises(Unavailable):
        analytics.compute("x")
    opened = Analytics(Settings({"HARVEST_RETRY_BUDGET": "120", "HARVEST_LEASE_TTL": "60"}), lambda: False, 4.0)
    with closing(opened):
        assembly, computer = opened._opened()
        assert isinstance(assembly, Assembly)
        assert (assembly.retry.budget, computer._ttl) == (5.0, 4.0)
        assembly.stop.set()
        assembly.clock.sleep(0)  # as who looks whether to go on: what is in hand is finished
        with pytest.raises(Interrupted):
            assembly.clock.sleep(0.01)
        assembly.close()
