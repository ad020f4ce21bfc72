"""A simulated Realtime Database, and clients of it whose waits take no time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from harvesters.firebase.auth import LegacySecret
from harvesters.firebase.client import FirebaseClient
from harvesters.http import HttpSource
from harvesters.simulators.firebase import buddyup
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.clocks import FakeClock, patient

START, END = datetime(2016, 1, 1, tzinfo=UTC), datetime(2016, 2, 15, tzinfo=UTC)

Connect = Callable[..., FirebaseClient]


@pytest.fixture
def firebase() -> Iterator[FirebaseSimulator]:
    """An empty database."""
    with FirebaseSimulator() as server:
        yield server


@pytest.fixture
def buddyup_database(firebase: FirebaseSimulator) -> dict[str, Any]:
    """The content of `firebase`: 300 events, 40 users, 10 classes."""
    content = buddyup.database(300, START, END, people=40, courses=10)
    for path, children in content.items():
        firebase.load(path, children)
    return content


@pytest.fixture
def connect(firebase: FirebaseSimulator) -> Connect:
    """A client of `firebase`."""

    def made(server: FirebaseSimulator | None = None, **options: Any) -> FirebaseClient:
        server = server or firebase
        http = HttpSource("Firebase", patient(FakeClock(datetime(2016, 3, 1, tzinfo=UTC))), 10)
        return FirebaseClient(server.url, LegacySecret(server.secret), http, **options)

    return made


def queries(server: FirebaseSimulator) -> list[dict[str, str]]:
    """The parameters of the requests that were made."""
    return [dict(request.query) for request in server.requests]


def shuffled(items: Any, seed: int = 1) -> list[Any]:
    """The same, in another order."""
    mixed = list(items)
    random.Random(seed).shuffle(mixed)
    return mixed
