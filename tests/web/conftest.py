"""The web face in this process, and as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.testclient import TestClient

from harvesters.settings import Settings
from harvesters.web.app import create
from tests.cli.processes import wait
from tests.commandline import run_here
from tests.indices import Cluster, cluster_for_a_test
from tests.insights.made import buddied, by_key, event
from tests.nodes import Node
from tests.profiles.conftest import document

ROOT = Path(__file__).parents[2]
NO_REDIS = "redis://127.0.0.1:1/0"  # nobody listens there
SECRETS = "ana:s-ana,bob:s-bob:profiles,eve:s-eve:insights:read"

EVENTS = by_key(
    event("account_created", "ana", "2016-02-01T10:00:00", school_id="osu_edu"),
    event("signed_up", "ana", "2016-02-01T11:00:00", school_id="osu_edu"),
    event("account_created", "bob", "2016-02-02T10:00:00", school_id="<b>&"),
    event("signed_up", "bob", "2016-02-03T10:00:00", school_id="<b>&"),
    event("added_class", "ana", "2016-02-04T10:00:00", course_id="BIO"),
    buddied("ana", "bob", "2016-03-05T10:00:00"),
)

Open = Callable[..., TestClient]


@contextmanager
def face(parts: Sequence[str] = ("insights",), client: str = "127.0.0.1", **settings: str) -> Iterator[TestClient]:
    """The app with these settings, asked by `client`; without Redis and Elasticsearch unless they are named."""
    values = {"REDIS_URL": NO_REDIS, "ES_HOST": "127.0.0.1:1", "HARVEST_SEARCH_TIMEOUT": "0.3", **settings}
    app = create(Settings(values), parts)
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False, client=(client, 1)) as opened:
        yield opened


@pytest.fixture
def open_face() -> Iterator[Open]:
    """Opens faces as `face` does; they are closed with the test."""
    entered: list[AbstractContextManager[TestClient]] = []

    def enter(*arguments: Any, **settings: Any) -> TestClient:
        entered.append(face(*arguments, **settings))
        return entered[-1].__enter__()

    yield enter
    for one in reversed(entered):
        one.__exit__(None, None, None)


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A real Elasticsearch, with indices of this test's own."""
    with cluster_for_a_test(request) as found:
        yield found


@dataclass
class Running:
    """``harvest.py serve`` as a process."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=30, **options)

    def end(self) -> int:
        """Its exit code, after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def serving(log: Path, *arguments: str, **settings: str) -> Iterator[Running]:
    """A server on a free port, listening."""
    command = [sys.executable, "-m", "harvesters", "--env-file", os.devnull, "serve", "--port", "0", *arguments]
    values = {"REDIS_URL": NO_REDIS, "ES_HOST": "127.0.0.1:1", **settings}
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, cwd=ROOT, env={**os.environ, **values})
    try:
        wait_for(lambda: process.poll() is not None or "listening on" in log.read_text())
        found = re.search(r"listening on (http://\S+)", log.read_text())
        assert found is not None, f"it ended before it listened:\n{log.read_text()}"
        yield Running(process, found[1], log)
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it is true."""
    wait(condition, 30)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of somebody who takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def load(cluster: Cluster, events: dict[str, Any], path: Path) -> dict[str, str]:
    """Index events by the real command; returns the settings by which a face finds them."""
    settings = {"ES_HOST": cluster.url, "FIREBASE_INDEX_PREFIX": cluster.prefix, "HARVEST_SEARCH_TIMEOUT": "20"}
    path.write_text(json.dumps(events))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        assert run_here("--log-level", "ERROR", "firebase", "load", str(path)) == 0
    return settings


PEOPLE: dict[str, dict[str, Any]] = {
    "u1": {"name": "Zoë Łukasz", "bio": "coffee & <b>tea</b>", "schools": {"osu_edu": True}},
    **{f"n{number:02}": {"name": f"Ana Nguyen {number % 3}", "bio": "coffee"} for number in range(45)},
}


LISTINGS: list[dict[str, Any]] = [
    {
        "id": "odd/../ü %2F?#",
        "title": "<script>alert('lamp')</script>",
        "description": "a <b>lamp</b> & more\nof it",
        "created": "2026-01-31T10:00:00Z",
        "visits": 99,
        "hot": 5.5,
    },
    {"id": "..", "title": "Two dots lamp", "created": "2026-03-01"},
    *(
        {"id": number, "title": f"Desk {number % 3}", "description": "oak", "created": f"2026-02-{1 + number % 28:02}"}
        for number in range(45)
    ),
]


@pytest.fixture(scope="module")
def events(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """EVENTS, PEOPLE and LISTINGS are in indices, which nobody changes."""
    with cluster_for_a_test(request) as cluster:
        settings = load(cluster, EVENTS, tmp_path_factory.mktemp("events") / "events.json")
        fill_people(cluster)
        fill_listings(cluster)
        yield {**settings, "LISTINGS_INDEX": f"{cluster.prefix}listing_index"}


def fill_people(cluster: Cluster) -> None:
    """Index PEOPLE, under the alias by which a face finds them."""
    cluster.load("buddyupprofiles")
    cluster.ask("PUT", f"/{cluster.prefix}buddyupprofiles")
    Node.fill(cluster, "buddyupprofiles", [document(key, value) for key, value in PEOPLE.items()], key="id")
    alias = {"add": {"index": f"{cluster.prefix}buddyupprofiles", "alias": f"{cluster.prefix}profiles"}}
    cluster.ask("POST", "/_aliases", {"actions": [alias]})


def fill_listings(cluster: Cluster) -> None:
    """Index LISTINGS."""
    cluster.load("listings")
    cluster.ask("PUT", f"/{cluster.prefix}listing_index")
    Node.fill(cluster, "listing_index", LISTINGS, key="id")
