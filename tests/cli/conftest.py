"""Commands as a user gives them, in this process, against a simulated Opencast."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.cli import main
from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.server import ActionRow, Episode, OpencastSimulator
from tests.cli.buddyup import database, prefix  # noqa: F401 - fixtures
from tests.cli.past import past  # noqa: F401
from tests.cli.watching import among, export, watched  # noqa: F401
from tests.indices import Cluster, cluster_for_a_test

USER, PASSWORD = "api-user", "api-pass-word"


@dataclass
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def report(self) -> dict[str, Any]:
        """The run report; needs --log-format json."""
        return next(record for line in self.err.splitlines() if "report" in (record := json.loads(line)))


Command = Callable[..., Result]


@pytest.fixture
def harvest(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Run ``harvest.py ARGUMENTS`` in this process; `env` sets settings for that run."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
        capfd.readouterr()
        with monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            code = main.run(["--env-file", os.devnull, *arguments])
        out, err = capfd.readouterr()
        return Result(int(code), out, err)

    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")  # nobody listens there: the cache is memory
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "5")  # a mistake should not take two minutes to show
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield run
    root.handlers[:], root.level = before


@pytest.fixture
def opencast(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpencastSimulator]:
    """An Opencast with ten actions, ten seconds apart, the last one a minute ago; settings point at it."""
    with OpencastSimulator(user=USER, password=PASSWORD, anonymous=False) as simulator:
        simulator.add(Episode(mpid="episode-1", title="Lecture 1", duration=3_600_000, series="20260213001"))
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=150)
        for number in range(10):
            session = {"sessionId": f"s{number}", "userId": f"u{number}", "userIp": "10.0.0.1", "userAgent": "Mozilla"}
            created = start + timedelta(seconds=10 * number)
            simulator.add(ActionRow(100 + number, "episode-1", session, number, number, "HEARTBEAT", True, created))
        monkeypatch.setenv("MATTERHORN_ENGAGE_HOST", f"127.0.0.1:{simulator.port}")
        monkeypatch.setenv("MATTERHORN_REST_USER", USER)
        monkeypatch.setenv("MATTERHORN_REST_PASS", PASSWORD)
        yield simulator


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory (HARVEST_STATE_DIR, set for every test)."""
    return tmp_path / "state"


@pytest.fixture
def checkpoint(state: Path) -> Path:
    """The checkpoint's file."""
    return state / "last-action-timestamp"


def spoil(simulator: OpencastSimulator, id: int) -> None:
    """Make the row `id` one that no document can be made of, as no real row should be."""
    answer = simulator.handle

    def spoilt(request: Request) -> Response:
        response = answer(request)
        if request.path.endswith("actions.json") and response.status == 200:
            content = json.loads(response.body)
            for row in content["actions"].get("action", []):
                if isinstance(row, dict) and row["id"] == id:
                    row["inpoint"] = "far"
            response.body = json.dumps(content).encode()
        return response

    simulator.handle = spoilt  # type: ignore[method-assign]


@pytest.fixture
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A real Elasticsearch, with indices of this test's own; ES_HOST points at it."""
    with cluster_for_a_test(request) as found:
        monkeypatch.setenv("ES_HOST", found.url)
        yield found


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def logs(harvest: Command, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``harvest.py logs ARGUMENTS`` with an index of this test's own; `stdin` is standard input."""

    def run(*arguments: str, stdin: str = "", terminal: bool = False, **named: Any) -> Result:
        kind = Terminal if terminal else io.TextIOWrapper
        monkeypatch.setattr(sys, "stdin", kind(io.BytesIO(stdin.encode())))
        return harvest("logs", *arguments, **named)

    monkeypatch.setenv("ELASTIC_INDEX", cluster.name("logs"))
    return run
