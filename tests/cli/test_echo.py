"""Every command against a server that sends back whatever it was sent: nothing secret is shown, and no body either."""

from __future__ import annotations

import base64
import logging
import os
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest

from harvesters.simulators.base import Request, Response, Simulator
from tests.cli.conftest import Command
from tests.clocks import hurry

SECRETS = {
    "MATTERHORN_REST_PASS": "rest/pass word+1",
    "ES_PASSWORD": "es-pässwörd=2",
    "ZOOM_CLIENT_SECRET": "zoom-client-secret-3",
    "FIREBASE_KEY": "firebase/key+4",
    "AWS_SECRET_ACCESS_KEY": "aws/secret+5",
    "AWS_SESSION_TOKEN": "aws-session-token-6",
    "LOGGLY_TOKEN": "loggly-token-7",
}
REDIS_PASSWORD = "redis-password-8"
TOKEN = "access-token-of-the-server-9"
STUDENT = "student-10564389"
CHATTER = "blah" * 2000
USERS = {"MATTERHORN_REST_USER": "rest-user", "ES_USER": "es-user", "ZOOM_CLIENT_ID": "zoom-client"}
BASIC = [
    base64.b64encode(f"{USERS[user]}:{SECRETS[secret]}".encode()).decode()
    for user, secret in (
        ("MATTERHORN_REST_USER", "MATTERHORN_REST_PASS"),
        ("ES_USER", "ES_PASSWORD"),
        ("ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET"),
    )
]
COMMANDS = [
    "useractions -o -",
    "useractions",
    "load_episodes --mpid m",
    "zoom -o -",
    "zoom --live -o sqs",
    "firebase export",
    "firebase events -o -",
    "firebase profiles -o -",
    "firebase classes",
    "index",
    "query top_episodes",
    "export attendance",
    "export viewing_options",
    "export rollcall",
    "setup load_index_templates",
    "setup migrate",
    "setup prune --older-than 1d",
]


class Echo(Simulator):
    """Answers with `status`, and in every place where a server words an error, with the request itself, or `words`."""

    def __init__(self, status: int, whole: bool = True, words: str = "") -> None:
        super().__init__()
        self.status = status
        self.whole = whole
        self.words = words

    def handle(self, request: Request) -> Response:
        headers = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
        query = "&".join(f"{name}={value}" for name, value in request.query)
        body = request.body[:500].decode("utf-8", "replace")
        text = self.words or f"{request.method} {request.path}?{query} {headers} {body}"
        words = {"type": "echo", "reason": text, "message": text, "errorMessage": text, "error_description": text}
        content = {**words, "error": words, "access_token": TOKEN, "expires_in": 3600, "students": [STUDENT] * 1000}
        answer = orjson.dumps(content)
        if not self.whole:
            answer = answer[:-2]
        named = {"Content-Type": "application/json", "X-Elastic-Product": "Elasticsearch"}
        return Response(200 if "oauth" in request.path and self.status < 500 else self.status, answer, named)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run tries again at its end, whatever the retry budget says, it tries at once."""
    hurry(monkeypatch)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **SECRETS,
        **USERS,
        "ZOOM_ACCOUNT_ID": "zoom-account",
        "AWS_ACCESS_KEY_ID": "aws-id",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SQS_QUEUE_NAME": "queue",
        "REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0",
        "HARVEST_RETRY_BUDGET": "0",
        "HARVEST_HTTP_TIMEOUT": "10",
        "HARVEST_STATE_DIR": str(tmp_path / "state"),
    }


def places(server: Echo) -> dict[str, str]:
    """The settings by which every service is this one."""
    services = ("MATTERHORN_ENGAGE_HOST", "MATTERHORN_ADMIN_HOST", "ES_HOST", "ZOOM_API_URL", "LOGGLY_URL")
    urls = dict.fromkeys((*services, "FIREBASE_ENDPOINT", "BANNER_ENDPOINT_BASE", "AWS_ENDPOINT_URL"), server.url)
    return {**urls, "ZOOM_OAUTH_URL": f"{server.url}/oauth/token"}


def spellings() -> list[str]:
    secrets = [*SECRETS.values(), REDIS_PASSWORD, TOKEN]
    return BASIC + [
        spelling
        for secret in secrets
        for spelling in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
    ]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("status", [200, 400, 401, 404, 503])
def test_no_secret_and_no_body_is_shown(
    harvest: Command,
    environment: dict[str, str],
    tmp_path: Path,
    command: str,
    status: int,
) -> None:
    with Echo(status, whole=True) as server, Echo(status, whole=False) as torn:
        for each in (server, torn):
            for auth in ("basic", "digest") if command.startswith("useractions") else ("basic",):
                bucket = "bucket" if "-o" not in command else ""
                settings = {**environment, **places(each), "OPENCAST_AUTH": auth, "S3_HARVEST_TS_BUCKET": bucket}
                result = harvest("--log-level", "DEBUG", *command.split(), env=settings)
                # What a source answers under 200 is its data, and no secret of ours.
                shown = result.err if status == 200 else result.out + result.err
                for spelling in spellings():
                    assert spelling not in shown, shown
                assert STUDENT not in result.err, result.err
                assert max(map(len, result.err.splitlines()), default=0) < 2000
                assert each.requests
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            stored = path.read_text(errors="replace")
            assert status == 200 or not any(spelling in stored for spelling in spellings())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_talks_at_length_is_cut_short(
    harvest: Command, environment: dict[str, str], command: str
) -> None:
    for status in (400, 401, 404, 503):
        with Echo(status, words=CHATTER) as server:
            bucket = "bucket" if "-o" not in command else ""
            result = harvest(*command.split(), env={**environment, **places(server), "S3_HARVEST_TS_BUCKET": bucket})
            assert max(map(len, result.err.splitlines()), default=0) < 1000, result.err
            assert CHATTER[:501] not in result.err
            assert result.code != 1


def test_what_is_looked_for_was_sent(harvest: Command, environment: dict[str, str]) -> None:
    """The server does get secrets, and sends them back: else the tests above would prove nothing."""
    with Echo(503, whole=True) as server:
        settings = {**environment, "ES_HOST": server.url, "FIREBASE_ENDPOINT": server.url}
        harvest("query", "top_episodes", env=settings)
        harvest("firebase", "export", env=settings)
        sent = [request.headers.get("authorization", "") for request in server.requests]
        assert f"Basic {BASIC[1]}" in sent
        assert SECRETS["FIREBASE_KEY"] in [request.param("auth") for request in server.requests]


def test_logging_is_as_it_was() -> None:
    assert os.environ.get("LOGGLY_TOKEN") is None
    assert not any("Loggly" in type(handler).__name__ for handler in logging.getLogger().handlers)
