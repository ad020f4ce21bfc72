"""A real Elasticsearch that stops in the middle of everything, and goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import kill
from pathlib import Path

import pytest

from harvesters.standins.base import StandIn
from harvesters.standins.elasticsearch import Elasticsearch
from tests.web.conftest import Running, serving, wait_for

PATIENCE = 2.0
PATHS = ["/api/v1/profiles?q=ana", "/api/v1/profiles/suggest?q=ng", "/api/v1/insights/funnel", "/profiles"]
PATHS += ["/api/v1/search?q=desk", "/api/v1/search/suggest?q=d", "/search?sort=hot", "/listings/1"]


@contextmanager
def stalled(node: StandIn) -> Iterator[None]:
    kill(node.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(node.pid, signal.SIGCONT)


@pytest.fixture
def server(elasticsearch_server: Elasticsearch, events: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    """It reads the events anew for each question."""
    settings = {**events, "HARVEST_SEARCH_TIMEOUT": str(PATIENCE), "HARVEST_INSIGHTS_MAX_AGE": "0"}
    with serving(tmp_path / "log", HARVEST_API_RATE="0", **settings) as running:
        wait_for(lambda: all(running.get(path).ok for path in PATHS))
        yield running


def test_each_question_is_answered_in_time_and_all_is_well_when_it_goes_on(
    server: Running, elasticsearch_server: Elasticsearch
) -> None:
    def ask(path: str) -> int:
        return server.get(path).status_code

    with ThreadPoolExecutor(40) as clients:
        before = [clients.submit(ask, path) for path in PATHS * 5]  # some of these are answered, some are caught
        with stalled(elasticsearch_server):
            caught = [clients.submit(ask, path) for path in PATHS * 5]
            assert server.get("/health").status_code == 200
            assert server.get("/ready").status_code == 503
            statuses = [one.result() for one in caught]
            assert {one.result() for one in before} <= {200, 503}
    assert {*statuses} == {503}
    wait_for(lambda: all(server.get(path).ok for path in PATHS))
    assert server.get("/ready").status_code == 200
    assert server.end() == 0
    log = server.log.read_text()
    assert "503: no answer within 2 seconds" in log
    assert "a bug" not in log
