"""A real Elasticsearch that is killed under load, and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harvesters.standins.elasticsearch import Elasticsearch
from tests.indices import Cluster
from tests.web.conftest import EVENTS, PEOPLE, Running, fill_people, load, serving, wait_for

PATIENCE = 2.0
SLACK = 3.0  # seconds, which a busy machine may take beyond it
FUNNEL = "/api/v1/insights/funnel"
PATHS = ["/api/v1/profiles?q=ana", "/api/v1/profiles?limit=100", "/api/v1/profiles/suggest?q=ng", FUNNEL]


@pytest.fixture(scope="module")
def node(elasticsearch_server: Elasticsearch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elasticsearch]:
    """One of this file's own, to be killed; there is one where the shared one can be."""
    with Elasticsearch(directory=tmp_path_factory.mktemp("node")) as started:
        yield started


@pytest.fixture
def cluster(node: Elasticsearch) -> Iterator[Cluster]:
    found = Cluster(node.url)
    yield found
    node.start()
    found.clean()


@dataclass
class Clients:
    """They ask one question after the other, of each of PATHS.

    Attributes:
        right: by path, the answer that alone is right.
        statuses: of the answers since somebody looked, with the seconds that each took.
    """

    server: Running
    right: dict[str, Any]
    statuses: list[tuple[int, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def ask(self, path: str) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            answer = self.server.get(path)
            self.statuses.append((answer.status_code, time.monotonic() - began))
            if answer.ok and answer.json() != self.right[path]:
                self.wrong.append(answer.text)

    def look(self, least: int) -> set[int]:
        """The statuses of the next answers, of so many at least; none came late."""
        self.statuses = []
        wait_for(lambda: len(self.statuses) >= least)
        seen = self.statuses
        assert max(seconds for _, seconds in seen) < PATIENCE + SLACK
        return {status for status, _ in seen}

    @contextmanager
    def asking(self) -> Iterator[None]:
        with ThreadPoolExecutor(2 * len(PATHS)) as threads:
            asked = [threads.submit(self.ask, path) for path in PATHS * 2]
            try:
                yield
            finally:
                self._over.set()
        for one in asked:
            one.result()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_each_question_is_answered_in_time_and_rightly_or_not_at_all(
    workers: str, cluster: Cluster, node: Elasticsearch, tmp_path: Path
) -> None:
    settings = load(cluster, EVENTS, tmp_path / "events.json") | {"HARVEST_SEARCH_TIMEOUT": str(PATIENCE)}
    fill_people(cluster)
    limits = {"HARVEST_INSIGHTS_MAX_AGE": "1", "HARVEST_API_RATE": "0"}
    with serving(tmp_path / "log", "--workers", workers, **settings | limits) as server:
        wait_for(lambda: all(server.get(path).ok for path in PATHS))
        clients = Clients(server, {path: server.get(path).json() for path in PATHS})
        with clients.asking():
            assert clients.look(50) == {200}
            node.kill()
            wait_for(lambda: clients.look(20) == {503})  # insights are good for another second
            assert server.get("/health").ok
            assert server.get("/ready").status_code == 503
            node.start()  # some shards are still on their way: nobody gets an answer without theirs
            wait_for(lambda: all(server.get(path).ok for path in [*PATHS, "/ready"]))
            wait_for(lambda: clients.look(50) == {200})
        assert clients.wrong == []
        assert clients.right[PATHS[1]]["total"] == len(PEOPLE)
        assert server.end() == 0
        assert "a bug" not in server.log.read_text()
