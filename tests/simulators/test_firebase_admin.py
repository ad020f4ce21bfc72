"""The simulated Realtime Database as Google's own Python clients see it: an independent check of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Semaphore
from typing import Any

import pytest
import requests

from harvesters.firebase.pushid import is_push_id
from harvesters.simulators.firebase.server import FirebaseSimulator

firebase_admin = pytest.importorskip("firebase_admin")
db = pytest.importorskip("firebase_admin.db")


@pytest.fixture
def firebase() -> Iterator[FirebaseSimulator]:
    with FirebaseSimulator(emulator=True, namespace="buddyup", rules={"/scores": ["n", ".value"]}) as server:
        yield server


@pytest.fixture
def app(firebase: FirebaseSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("FIREBASE_DATABASE_EMULATOR_HOST", f"127.0.0.1:{firebase.port}")
    app = firebase_admin.initialize_app(options={"databaseURL": "https://buddyup.firebaseio.com"}, name="check")
    yield app
    firebase_admin.delete_app(app)


def test_the_official_client_writes_and_reads(firebase: FirebaseSimulator, app: Any) -> None:
    room = db.reference("/room", app)
    room.set({"name": "café", "seats": [1, 2, 3]})
    room.update({"seats/1": None, "open": True})
    assert room.get() == {"name": "café", "open": True, "seats": [1, None, 3]}
    assert room.get(shallow=True) == {"name": True, "open": True, "seats": True}
    assert is_push_id(room.child("log").push("entry").key)
    room.delete()
    assert room.get() is None


def test_the_official_client_queries(firebase: FirebaseSimulator, app: Any) -> None:
    scores = db.reference("/scores", app)
    scores.set({"c": {"n": 1}, "a": {"n": 3}, "b": {"n": 2}, "d": {"n": "text"}, "e": {"x": 1}})
    assert list(scores.order_by_key().start_at("b").limit_to_first(2).get()) == ["b", "c"]
    assert list(scores.order_by_child("n").get()) == ["e", "c", "b", "a", "d"]
    assert list(scores.order_by_child("n").start_at(2).end_at(3).get()) == ["b", "a"]
    assert list(scores.order_by_child("n").limit_to_last(1).get()) == ["d"]
    assert list(scores.order_by_child("n").equal_to("text").get()) == ["d"]
    scores.set({"x": 5, "y": 2})
    assert list(scores.order_by_value().get()) == ["y", "x"]


def test_the_official_client_is_told_of_a_missing_index(firebase: FirebaseSimulator, app: Any) -> None:
    with pytest.raises(firebase_admin.exceptions.InvalidArgumentError, match="Index not defined"):
        db.reference("/other", app).order_by_child("n").get()


def test_the_official_client_compares_and_swaps(firebase: FirebaseSimulator, app: Any) -> None:
    counter = db.reference("/counter", app)
    value, tag = counter.get(etag=True)
    assert value is None
    assert counter.set_if_unchanged(tag, 1)[0]
    assert counter.set_if_unchanged(tag, 2)[:2] == (False, 1)
    assert counter.transaction(lambda current: current + 1) == 2
    _, tag = counter.get(etag=True)
    assert counter.get_if_changed(tag) == (False, None, None)


def test_the_official_client_listens(firebase: FirebaseSimulator, app: Any) -> None:
    heard: list[tuple[str, str, Any]] = []
    received = _Counter(heard)
    listener = db.reference("/room", app).listen(received.add)
    received.wait_for(1)
    firebase.edit("/room/a", 1)
    firebase.edit("/room", {"b": 2}, "PATCH")
    received.wait_for(3)
    _hang_up(listener, firebase)
    assert heard == [("put", "/", None), ("put", "/a", 1), ("patch", "/", {"b": 2})]


def test_the_official_client_is_refused_another_database(firebase: FirebaseSimulator, app: Any) -> None:
    with pytest.raises(firebase_admin.exceptions.NotFoundError):
        db.reference("/", app, url="https://another.firebaseio.com").get()


def test_googles_own_library_gets_a_token_for_the_service_account() -> None:
    service_account = pytest.importorskip("google.oauth2.service_account")
    transport = pytest.importorskip("google.auth.transport.requests")
    scopes = [
        "https://www.googleapis.com/auth/userinfo.email",
        "https://www.googleapis.com/auth/firebase.database",
    ]
    with FirebaseSimulator() as firebase:
        account = service_account.Credentials.from_service_account_info(firebase.service_account(), scopes=scopes)
        account.refresh(transport.Request())
        headers = {"Authorization": f"Bearer {account.token}"}
        assert requests.get(f"{firebase.url}/a.json", headers=headers, timeout=10).status_code == 200


def _hang_up(listener: Any, firebase: FirebaseSimulator) -> None:
    """Close `listener` after the server has ended the stream: its own `close` races with the thread that reads."""
    listener._sse.should_connect = False
    listener._sse.retry = 0
    firebase.cancel_streams()
    listener._thread.join(timeout=10)
    listener.close()


class _Counter:
    """Collects events from the listener's thread."""

    def __init__(self, heard: list[tuple[str, str, Any]]) -> None:
        self._heard = heard
        self._arrived = Semaphore(0)
        self._waited = 0

    def add(self, event: Any) -> None:
        self._heard.append((event.event_type, event.path, event.data))
        self._arrived.release()

    def wait_for(self, count: int) -> None:
        while self._waited < count:
            assert self._arrived.acquire(timeout=10), f"only {self._heard}"
            self._waited += 1
