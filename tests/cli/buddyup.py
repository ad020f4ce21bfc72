"""A small BuddyUp for the tests of ``harvest.py firebase``; `conftest.py` has its fixtures."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from harvesters.simulators.firebase import buddyup
from harvesters.simulators.firebase.server import FirebaseSimulator

SECRET = "legacy-s3cret-of-the-database"
CONTENT = buddyup.database(80, datetime(2016, 1, 1, tzinfo=UTC), datetime(2016, 3, 1, tzinfo=UTC), people=12, courses=5)
EVENTS = CONTENT["events"]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[FirebaseSimulator]:
    """A small BuddyUp; settings point at it."""
    with FirebaseSimulator(secret=SECRET) as simulator:
        for path, children in CONTENT.items():
            simulator.load(path, children)
        monkeypatch.setenv("FIREBASE_ENDPOINT", simulator.url)
        monkeypatch.setenv("FIREBASE_KEY", SECRET)
        yield simulator


@pytest.fixture
def prefix(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The prefix of this test's indices in a real Elasticsearch."""
    name = f"t{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("ES_HOST", elasticsearch_url)
    monkeypatch.setenv("FIREBASE_INDEX_PREFIX", name)
    yield name
    requests.delete(f"{elasticsearch_url}/{name}*", timeout=30)
    requests.delete(f"{elasticsearch_url}/_index_template/{name}*", timeout=30)


def count(url: str, index: str) -> int:
    requests.post(f"{url}/{index}/_refresh", timeout=30)
    return int(requests.get(f"{url}/{index}/_count", timeout=30).json()["count"])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ids(documents: list[dict[str, Any]]) -> set[str]:
    return {document["id"] for document in documents}
