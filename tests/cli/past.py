"""An Opencast with a day in the past, for back-fills."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.server import ActionRow, Episode, OpencastSimulator

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Result

USER, PASSWORD = "api-user", "api-pass-word"
START = datetime(2026, 2, 1, tzinfo=UTC)
END = START + timedelta(days=1)
ROWS = 144
DAY = ("--start", "2026-02-01", "--end", "2026-02-02", "--step", "4h")
WINDOWS = [
    f"2026-02-01T{hour:02}:00:00Z/2026-02-0{1 if hour < 20 else 2}T{(hour + 4) % 24:02}:00:00Z"
    for hour in range(0, 24, 4)
]
SOON = {"HARVEST_RETRY_BUDGET": "0.1"}


class Past(OpencastSimulator):
    """An action every ten minutes; `trouble` answers what it likes instead, by the time that is asked for."""

    trouble: Callable[[str], Response | None] = staticmethod(lambda start: None)

    def handle(self, request: Request) -> Response:
        if request.path.endswith("actions.json") and (answer := self.trouble(request.param("start"))) is not None:
            return answer
        return super().handle(request)

    @property
    def asked(self) -> list[str]:
        """The times that windows were asked for, each page."""
        starts = [one.param("start") for one in self.requests if one.path.endswith("actions.json")]
        return [start for start in starts if start.startswith("2026") and start.endswith("0000")]


@dataclass
class Backfills:
    """``harvest.py backfill useractions`` of that day into a file."""

    harvest: Command
    server: Past
    output: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, job: str = "useractions", span: Sequence[str] = DAY, **env: str) -> Result:
        output = [] if "-o" in arguments else ["-o", str(self.output)]
        workers = [] if "--workers" in arguments else ["--workers", "1"]
        result: Result = self.harvest(
            "backfill", job, *span, *output, *workers, *arguments, env={**self.env, **SOON, **env}
        )
        return result

    def status(self, *arguments: str, span: Sequence[str] = ()) -> Any:
        result = self.run("--status", "--json", *arguments, span=span)
        assert result.code == 0, result.err
        return json.loads(result.out)

    @property
    def delivered(self) -> Counter[int]:
        """How often each row was delivered."""
        if not self.output.exists():
            return Counter()
        return Counter(json.loads(line)["action_id"] for line in self.output.read_text().splitlines())

    def is_whole(self) -> bool:
        """Every row of the day is there, once."""
        return self.delivered == Counter({100 + number: 1 for number in range(ROWS)})


@pytest.fixture
def past(harvest: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Backfills]:
    with Past(user=USER, password=PASSWORD, anonymous=False) as server:
        point_at(server, monkeypatch)
        yield Backfills(harvest, server, tmp_path / "out.jsonl")


def point_at(server: OpencastSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill it, and have the settings name it."""
    fill(server)
    monkeypatch.setenv("MATTERHORN_ENGAGE_HOST", server.url)
    monkeypatch.setenv("MATTERHORN_REST_USER", USER)
    monkeypatch.setenv("MATTERHORN_REST_PASS", PASSWORD)


def fill(server: OpencastSimulator) -> None:
    server.add(Episode(mpid="episode-1", title="Lecture 1", duration=3_600_000, series="20260213001"))
    for number in range(ROWS):
        session = {"sessionId": f"s{number}", "userId": f"u{number}", "userIp": "10.0.0.1", "userAgent": "Mozilla"}
        created = START + timedelta(minutes=10 * number)
        server.add(ActionRow(100 + number, "episode-1", session, number, number, "HEARTBEAT", True, created))


def broken(*hours: int, status: int = 500) -> Callable[[str], Response | None]:
    """Answers with an error where a window begins at one of these hours."""
    starts = {f"20260201{hour:02}0000" for hour in hours}
    return lambda start: Response.html(status, "no") if start in starts else None
