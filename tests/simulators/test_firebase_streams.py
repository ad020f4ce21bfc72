"""The event streams of the simulated Realtime Database, as a client on the wire hears them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import requests

from harvesters.simulators.firebase.server import FirebaseSimulator

Events = Iterator[tuple[str, Any]]


@pytest.fixture
def firebase() -> Iterator[FirebaseSimulator]:
    with FirebaseSimulator(public=True, rules={"/events": ["n"]}) as server:
        yield server


@contextmanager
def listen(firebase: FirebaseSimulator, path: str, **params: str) -> Iterator[Events]:
    """The events at `path`; the stream is open once the first of them has been read."""
    url, headers = f"{firebase.url}/{path}.json", {"Accept": "text/event-stream"}
    with requests.get(url, params=params, headers=headers, stream=True, timeout=10) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        yield _events(response)


def _events(response: requests.Response) -> Events:
    name = ""
    for line in response.iter_lines():
        if line.startswith(b"event: "):
            name = line[7:].decode()
        elif line.startswith(b"data: "):
            yield name, line[6:].decode() if name == "auth_revoked" else json.loads(line[6:])


def test_a_stream_begins_with_the_whole_and_goes_on_with_every_edit(firebase: FirebaseSimulator) -> None:
    firebase.edit("/events/a", {"n": 1})
    with listen(firebase, "events") as events:
        assert next(events) == ("put", {"path": "/", "data": {"a": {"n": 1}}})
        firebase.edit("/events/b", {"list": ["x"]})
        assert next(events) == ("put", {"path": "/b", "data": {"list": ["x"]}})
        firebase.edit("/events/a", {"n": 2, "m": None}, "PATCH")
        assert next(events) == ("patch", {"path": "/a", "data": {"n": 2, "m": None}})
        requests.delete(f"{firebase.url}/events/b.json", timeout=10)
        assert next(events) == ("put", {"path": "/b", "data": None})
        key = firebase.edit("/events", {"n": 3}, "POST")
        assert next(events) == ("put", {"path": f"/{key}", "data": {"n": 3}})


def test_edits_above_and_elsewhere(firebase: FirebaseSimulator) -> None:
    with listen(firebase, "events/a") as events:
        assert next(events) == ("put", {"path": "/", "data": None})
        firebase.edit("/users/u", 1)
        firebase.edit("/events", {"a": {"n": 1}, "b": 2})
        assert next(events) == ("put", {"path": "/", "data": {"n": 1}})
        firebase.edit("/", {"events/a/n": 5, "users/u": 2}, "PATCH")
        assert next(events) == ("put", {"path": "/n", "data": 5})
        firebase.edit("/events/b", 3)
        firebase.keep_alive()
        assert next(events) == ("keep-alive", None)


def test_a_stream_of_a_query_hears_what_comes_into_view_and_what_leaves_it(firebase: FirebaseSimulator) -> None:
    firebase.edit("/events", {"a": {"n": 1}, "b": {"n": 2}})
    with listen(firebase, "events", orderBy='"$key"', startAfter='"a"') as events:
        assert next(events) == ("put", {"path": "/", "data": {"b": {"n": 2}}})
        firebase.edit("/events/a/n", 5)
        firebase.edit("/events/c", {"n": 3})
        assert next(events) == ("put", {"path": "/c", "data": {"n": 3}})
        firebase.edit("/events/b/n", 7)
        assert next(events) == ("put", {"path": "/b/n", "data": 7})
    with listen(firebase, "events", orderBy='"n"', limitToLast="1") as events:
        assert next(events) == ("put", {"path": "/", "data": {"b": {"n": 7}}})
        firebase.edit("/events/d", {"n": 9})
        assert [next(events), next(events)] == [
            ("put", {"path": "/b", "data": None}),
            ("put", {"path": "/d", "data": {"n": 9}}),
        ]


@pytest.mark.parametrize(
    ("end", "last"),
    [("cancel_streams", ("cancel", None)), ("revoke", ("auth_revoked", "credential is no longer valid"))],
)
def test_the_server_says_why_it_ends_a_stream(firebase: FirebaseSimulator, end: str, last: tuple[str, Any]) -> None:
    with listen(firebase, "events") as events:
        next(events)
        assert firebase.open_streams == 1
        getattr(firebase, end)()
        assert list(events) == [last]


def test_a_dropped_stream_breaks_off(firebase: FirebaseSimulator) -> None:
    with listen(firebase, "events") as events:
        next(events)
        firebase.drop_streams()
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            next(events)


def test_stopping_the_server_ends_its_streams() -> None:
    server = FirebaseSimulator(public=True).start()
    with listen(server, "events") as events:
        next(events)
        server.stop()
        with suppress(requests.exceptions.ChunkedEncodingError):  # the connection may be dropped before the last chunk
            assert list(events) == []


def test_a_stream_of_too_much_is_cancelled(firebase: FirebaseSimulator) -> None:
    firebase.max_response = 50
    firebase.edit("/events/a", "x" * 200)
    with listen(firebase, "events") as events:
        assert list(events) == [("cancel", None)]


def test_a_redirect_of_the_stream_leads_to_another_host_name(firebase: FirebaseSimulator) -> None:
    firebase.redirect_streams()
    url, headers = f"{firebase.url}/events.json", {"Accept": "text/event-stream"}
    first = requests.get(url, {"auth": "x y"}, headers=headers, allow_redirects=False, timeout=10)
    assert first.status_code == 401  # nobody is redirected before he is let in
    first = requests.get(url, {"orderBy": '"$key"'}, headers=headers, allow_redirects=False, timeout=10)
    assert first.status_code == 307
    assert first.headers["Location"] == f"http://localhost:{firebase.port}/events.json?orderBy=%22%24key%22"
    firebase.redirect_streams()
    with listen(firebase, "events") as events:
        assert next(events) == ("put", {"path": "/", "data": None})


def test_a_read_is_not_redirected(firebase: FirebaseSimulator) -> None:
    firebase.redirect_streams()
    assert requests.get(f"{firebase.url}/events.json", allow_redirects=False, timeout=10).status_code == 200
