from __future__ import annotations

import pytest

from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, Unavailable
from harvesters.firebase.auth import LegacySecret
from harvesters.firebase.client import FirebaseClient, TooBig
from harvesters.http import HttpSource
from harvesters.simulators.base import Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.clocks import patient
from tests.firebase.conftest import Connect, queries


def test_children_come_in_key_order_whatever_order_they_are_sent_in(
    firebase: FirebaseSimulator, connect: Connect
) -> None:
    firebase.load("/x", {key: key for key in ("b", "10", "9", "a", "z")})
    assert [key for key, _ in connect().children(("x",), 4).pairs] == ["9", "10", "a", "b"]
    assert connect().children(("x",), 4, startAfter="b").pairs == [("z", "z")]


def test_a_list_is_read_as_children(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.load("/x", {"0": "a", "1": "b", "3": "d"})
    assert connect().children(("x",), 10).pairs == [("0", "a"), ("1", "b"), ("3", "d")]


def test_keys_are_encoded_segment_by_segment(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.edit("/a b", {"é?&%": 1})
    assert connect().get(("a b", "é?&%")) == 1
    assert connect().children(("a b",), 5, startAt="é?&%").pairs == [("é?&%", 1)]


def test_a_node_that_is_not_there_is_none(connect: Connect) -> None:
    assert connect().get(("nowhere",)) is None
    assert connect().children(("nowhere",), 5).pairs == []


@pytest.mark.parametrize("kind", ["reset", "truncate", "cut"])
def test_an_answer_that_is_broken_is_asked_for_again(firebase: FirebaseSimulator, connect: Connect, kind: str) -> None:
    firebase.load("/x", {f"k{number}": "value" * 20 for number in range(50)})
    firebase.fail(kind, times=2)
    assert len(connect().children(("x",), 50).pairs) == 50


def test_a_busy_database_is_asked_again_and_given_up_on(firebase: FirebaseSimulator, connect: Connect) -> None:
    busy = Response.json({"error": "temporarily unavailable"}, 503)
    firebase.fail("status", times=2, response=busy)
    assert connect().get(("x",)) is None
    firebase.fail("status", times=10_000, response=busy)
    with pytest.raises(Unavailable, match="503"):
        connect().get(("x",))


def test_refused_credentials_are_named_and_not_shown(firebase: FirebaseSimulator) -> None:
    wrong = FirebaseClient(firebase.url, LegacySecret("not-the-secret"), HttpSource("Firebase", patient(), 10))
    with pytest.raises(CredentialsRefused, match="Could not parse auth token") as caught:
        wrong.get(("events",))
    assert "not-the-secret" not in str(caught.value)
    assert len(firebase.requests) == 1


def test_another_database_is_an_error_of_configuration(firebase: FirebaseSimulator) -> None:
    http = HttpSource("Firebase", patient(), 10)
    with pytest.raises(ConfigError, match="FIREBASE_ENDPOINT"):
        FirebaseClient(f"{firebase.url}/?ns=other", LegacySecret(firebase.secret), http).get(())


@pytest.mark.parametrize("endpoint", ["ftp://x", "https://x/?auth=abc", "a b"])
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="FIREBASE_ENDPOINT"):
        FirebaseClient(endpoint, LegacySecret("abc"), HttpSource("Firebase", patient(), 10))


def test_too_much_is_told_from_other_mistakes(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.max_response = 100
    firebase.load("/x", {f"k{number}": "value" * 20 for number in range(5)})
    with pytest.raises(TooBig):
        connect().children(("x",), 5)
    firebase.fail("status", response=Response.json({"error": "Index not defined"}, 400))
    with pytest.raises(ProtocolError, match="Index not defined"):
        connect().children(("x",), 5)


def test_an_answer_that_takes_the_database_too_long_is_too_much(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.load("/x", {f"k{number}": number for number in range(5)})
    firebase.fail("status", response=Response.json({"error": "The request exceeded its timeout"}, 400))
    with pytest.raises(TooBig):
        connect().children(("x",), 5)


def test_an_answer_is_not_read_beyond_what_memory_is_for_it(firebase: FirebaseSimulator, connect: Connect) -> None:
    firebase.load("/x", {f"k{number}": "v" * 1000 for number in range(5000)})
    with pytest.raises(TooBig):
        connect(max_body=2_000_000).children(("x",), 5000)


def test_a_server_that_ignores_the_query_is_no_realtime_database(firebase: FirebaseSimulator, connect: Connect) -> None:
    for content in ({"a": 1, "b": 2, "c": 3}, {"a": 1}):
        firebase.fail("status", response=Response.json(content))
        with pytest.raises(ProtocolError, match="does not honour"):
            connect().children(("x",), 2, startAfter="a")


@pytest.mark.parametrize("with_limits", [True, False])
def test_the_next_key_is_found_without_its_value(connect: Connect, with_limits: bool) -> None:
    with FirebaseSimulator(shallow_with_limits=with_limits, max_response=1000) as server:
        server.load("/x", {"a": "v" * 2000, "b": "v" * 2000, "10": 1})
        client = connect(server)
        assert client.next_key(("x",), None) == "10"
        assert client.next_key(("x",), "10") == "a"
        assert client.next_key(("x",), "a") == "b"
        assert client.next_key(("x",), "b") is None
        assert all(query.get("shallow") == "true" for query in queries(server))


def test_the_database_is_only_ever_read(firebase: FirebaseSimulator, connect: Connect) -> None:
    connect().keys(())
    connect().children((), 3)
    assert {request.method for request in firebase.requests} == {"GET"}
