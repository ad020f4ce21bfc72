"""What should give credentials to boto3, and gives none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.errors import ConfigError, CredentialsRefused, HarvestError, Unavailable
from harvesters.settings import Settings
from harvesters.simulators.amazon.credentials import Credentials
from harvesters.simulators.base import Request, Response, Simulator
from tests.amazon.conftest import REGION, Domain
from tests.clocks import FakeClock, patient
from tests.connecting import Connect

KEY = {"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "a-secret-key", "Token": "token"}


class Giver(Simulator):
    """Answers whatever it is asked, as what gives credentials."""

    answer = Response.json({})

    def handle(self, request: Request) -> Response:
        return self.answer


@pytest.fixture
def giver() -> Iterator[Giver]:
    with Giver() as giver:
        yield giver


def refusal(connect: Connect, kind: type[HarvestError], budget: float = 5) -> str:
    """How a request ends, to a cluster that would not answer it."""
    settings = Settings({"ES_AUTH": "aws", "ES_AWS_REGION": REGION, "ES_HOST": "127.0.0.1:1"})
    client = connect.from_settings(settings, patient(FakeClock(), budget=budget))
    with pytest.raises(kind) as told:
        client.request("GET", "/x")
    client.close()
    return str(told.value)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"code": "x", "message": "no role"},
        {**KEY, "Expiration": "never"},
        {**KEY, "AccessKeyId": None, "Expiration": "2099-01-01T00:00:00Z"},
        {**KEY, "AccessKeyId": "schlüssel", "Expiration": "2099-01-01T00:00:00Z"},
    ],
)
def test_an_answer_that_holds_none(
    connect: Connect, giver: Giver, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    giver.answer = Response.json(answer)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{giver.url}/role")
    said = refusal(connect, ConfigError)
    assert said.startswith("ES_AUTH=aws: ")
    assert "a-secret-key" not in said


@pytest.mark.parametrize(("code", "kind"), [("AccessDenied", CredentialsRefused), ("Throttling", Unavailable)])
def test_a_role_that_is_not_given(
    connect: Connect,
    giver: Giver,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    code: str,
    kind: type[HarvestError],
) -> None:
    """As to a pod of Kubernetes, which shows the token in a file."""
    token = tmp_path / "token"
    token.write_text("a token")
    error = f"<ErrorResponse><Error><Code>{code}</Code><Message>not you</Message></Error></ErrorResponse>"
    giver.answer = Response(403, error.encode(), {"Content-Type": "text/xml"})
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", giver.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/harvest")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    assert "not you" in refusal(connect, kind)
    assert caplog.text.count("Traceback") == 0
    token.unlink()
    assert str(token) in refusal(connect, ConfigError)


def test_new_ones_that_have_ended_already_are_waited_for(connect: Connect, role: Credentials) -> None:
    role.lifetime = timedelta(hours=-1)
    assert "still expired" in refusal(connect, Unavailable)


@pytest.mark.parametrize("program", ["/nowhere/to/be/found", "echo nothing"])
def test_a_program_that_gives_none(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str
) -> None:
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert refusal(connect, ConfigError).startswith("ES_AUTH=aws: ")


def test_a_service_waits_for_what_gives_credentials(connect: Connect, domain: Domain) -> None:
    """It is away at the moment when the first credentials have ended."""
    client = connect.from_settings(domain.settings, patient(FakeClock()))
    assert client.request("GET", "/x").found
    domain.credentials.rotate()
    domain.credentials.fail("status", path="/role", times=3, response=Response.json({"message": "no"}, 500))
    assert client.request("GET", "/x").found
    client.close()
