from __future__ import annotations

from typing import Any

import pytest

from harvesters.errors import ConfigError, CredentialsRefused, Unavailable
from harvesters.firebase.auth import LegacySecret, ServiceAccount
from harvesters.firebase.client import FirebaseClient
from harvesters.http import HttpSource
from harvesters.privacy import redact
from harvesters.simulators.base import Request, Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.clocks import FakeClock, patient


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def timed(clock: FakeClock) -> Any:
    with FirebaseSimulator(now=lambda: clock.now().timestamp()) as server:
        server.edit("/events/a", {"n": 1})
        yield server


def client(server: FirebaseSimulator, clock: FakeClock, **changes: str) -> FirebaseClient:
    http = HttpSource("Firebase", patient(clock), 10)
    return FirebaseClient(server.url, ServiceAccount({**server.service_account(), **changes}, http), http)


def tokens_asked(server: FirebaseSimulator) -> int:
    return sum(1 for request in server.requests if request.path == "/token")


def test_one_token_serves_many_requests_and_is_renewed_before_it_ends(timed: Any, clock: FakeClock) -> None:
    source = client(timed, clock)
    for _ in range(3):
        assert source.get(("events",)) == {"a": {"n": 1}}
    assert tokens_asked(timed) == 1
    clock.advance(3599 - 301)
    source.get(("events",))
    assert tokens_asked(timed) == 1
    clock.advance(2)
    source.get(("events",))
    assert tokens_asked(timed) == 2


def test_a_token_is_sent_as_a_header_only(timed: Any, clock: FakeClock) -> None:
    client(timed, clock).get(("events",))
    request = timed.requests[-1]
    assert request.headers["authorization"].startswith("Bearer ya29.")
    assert not {"auth", "access_token"} & {name for name, _ in request.query}


def test_a_token_that_the_database_refuses_is_fetched_anew_once(timed: Any, clock: FakeClock) -> None:
    source = client(timed, clock)
    source.get(("events",))
    timed.revoke()
    assert source.get(("events", "a", "n")) == 1
    assert tokens_asked(timed) == 2


def test_a_short_lived_token_is_still_used(clock: FakeClock) -> None:
    with FirebaseSimulator(now=lambda: clock.now().timestamp(), token_life=60) as server:
        source = client(server, clock)
        source.get(())
        clock.advance(50)
        source.get(())
        assert tokens_asked(server) == 1


def test_a_key_that_is_not_the_accounts_is_refused(timed: Any, clock: FakeClock) -> None:
    with FirebaseSimulator() as other:
        wrong = other.service_account()["private_key"]
    with pytest.raises(CredentialsRefused, match="Invalid JWT Signature"):
        client(timed, clock, private_key=wrong).get(("events",))


def test_an_endpoint_that_repeats_the_assertion_does_not_have_it_shown(clock: FakeClock) -> None:
    class Echo(FirebaseSimulator):
        def handle(self, request: Request) -> Response:
            self.assertion = request.form()["assertion"]
            return Response.json({"error_description": f"what is {self.assertion}? {'x' * 5000}"}, 400)

    with Echo(now=lambda: clock.now().timestamp()) as server:
        with pytest.raises(CredentialsRefused) as raised:
            client(server, clock).get(())
        assert server.assertion not in str(raised.value)
        assert redact(server.assertion) != server.assertion
        assert len(str(raised.value)) < 1000


def test_a_clock_that_is_wrong_is_named(timed: Any, clock: FakeClock) -> None:
    wrong = FakeClock()
    wrong.advance(-7200)
    with pytest.raises(CredentialsRefused, match="clock is right"):
        client(timed, wrong).get(("events",))


def test_an_unusable_private_key_is_an_error_of_configuration(timed: Any, clock: FakeClock) -> None:
    with pytest.raises(ConfigError, match="private key"):
        client(timed, clock, private_key="no key").get(("events",))


def test_a_token_endpoint_that_is_down_is_retried(timed: Any, clock: FakeClock) -> None:
    timed.fail("status", path="/token", times=2, response=Response(503))
    assert client(timed, clock).get(("events", "a", "n")) == 1
    timed.fail("status", path="/token", times=1000, response=Response(503))
    with pytest.raises(Unavailable):
        client(timed, clock).get(("events",))


def test_the_legacy_secret_is_a_parameter_and_masked_everywhere() -> None:
    auth = LegacySecret("s3cr3t-of-the-database")
    assert auth.params() == {"auth": "s3cr3t-of-the-database"}
    assert auth.headers() == {}
    assert not auth.renew()
    assert "s3cr3t" not in redact("GET https://x.firebaseio.com/.json?auth=s3cr3t-of-the-database&x=1")
    assert "s3cr3t" not in redact("somewhere else: s3cr3t-of-the-database")
