"""No secret in what a run prints, logs, raises or stores, at the most talkative level."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.opencast.server import ActionRow, OpencastSimulator

PASSWORD = "op+en/sesame=word"
TOKEN = "loggly-token-4711"
AWS_SECRET = "aws/secret+key=0815"
REDIS_PASSWORD = "redis-pass-word"
SPELLINGS = [
    spelling
    for secret in (PASSWORD, TOKEN, AWS_SECRET, REDIS_PASSWORD)
    for spelling in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
] + [base64.b64encode(f"user:{PASSWORD}".encode()).decode()]


class Loggly(Simulator):
    """Takes log events and keeps them (the token is in its path, as Loggly wants it)."""

    def handle(self, request: Request) -> Response:
        return Response(200, b"{}")


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    finished = subprocess.run(
        [sys.executable, "-m", "harvesters", "--env-file", os.devnull, "--log-level", "DEBUG", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


@pytest.mark.parametrize("auth", ["digest", "basic"])
@pytest.mark.parametrize("right", [True, False], ids=["let in", "refused"])
def test_no_secret_is_printed_logged_or_stored(
    aws: str, redis_url: str, tmp_path: Path, auth: str, right: bool
) -> None:
    with Loggly() as loggly, OpencastSimulator(user="user", password=PASSWORD, anonymous=False) as opencast:
        now = datetime.now(UTC).replace(microsecond=0)
        opencast.add(ActionRow(1, "m", None, 0, 0, "PLAY", True, now.replace(year=2020)))
        environment = {
            "MATTERHORN_ENGAGE_HOST": opencast.url,
            "MATTERHORN_REST_USER": "user",
            "MATTERHORN_REST_PASS": PASSWORD,
            "OPENCAST_AUTH": auth,
            "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
            "S3_HARVEST_TS_BUCKET": "bucket",
            "SQS_QUEUE_NAME": "queue",
            "REDIS_URL": redis_url,
            "LOGGLY_TOKEN": TOKEN,
            "LOGGLY_URL": loggly.url,
            "HARVEST_RETRY_BUDGET": "1",
        }
        if not right:
            opencast.gate.forbidden = True
            environment["REDIS_URL"] = f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"
        code, printed = run(environment, "useractions", "-s", "20200101000000")
        assert code == (0 if right else 77), printed
        shipped = b"".join(request.body for request in loggly.requests).decode()
        assert not right or "harvesting" in shipped
        assert right or '"exit_code":77' in shipped  # the last word of a run is shipped too
    stored = "".join(path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file())
    client = redis.Redis.from_url(redis_url)
    keys = client.keys("*")
    client.close()
    for spelling in SPELLINGS:
        assert spelling not in printed
        assert spelling not in shipped
        assert spelling not in stored
        assert spelling not in str(keys)


def test_credentials_in_a_url_are_masked() -> None:
    code, printed = run(
        {
            "MATTERHORN_ENGAGE_HOST": f"http://user:{quote(PASSWORD, safe='')}@127.0.0.1:1",
            "MATTERHORN_REST_USER": "user",
            "MATTERHORN_REST_PASS": PASSWORD,
            "HARVEST_RETRY_BUDGET": "0",
        },
        *("useractions", "-o", "-"),
    )
    assert code in (69, 78)
    assert quote(PASSWORD, safe="") not in printed
    assert PASSWORD not in printed


def test_the_password_option_advises_the_setting() -> None:
    _, printed = run({}, "useractions", "--help")
    text = " ".join(printed.split())
    assert "Better put it into the setting" in text
    assert "MATTERHORN_REST_PASS" in text
