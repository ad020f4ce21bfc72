"""The earlier of our clock and the source's counts, in every command that has a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.clock import SystemClock
from harvesters.firebase.pushid import push_ms
from harvesters.simulators.base import Request, Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.opencast.server import OpencastSimulator
from harvesters.simulators.zoom.data import Account
from harvesters.simulators.zoom.server import ZoomSimulator
from tests.cli.conftest import Command, Result
from tests.cli.test_owner import lines
from tests.cli.test_useractions import ALL
from tests.cli.test_zoom import FAST, point_at
from tests.zoom.harness import meeting

AHEAD = pytest.mark.parametrize("ahead", [-10_800, -8, -3, 3, 8, 10_800])
"""Seconds by which our clock is ahead of the source's. A ``Date`` has whole seconds, so 6 may look like 5."""


@pytest.fixture
def set_ours(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set our clock so many seconds ahead."""

    def ours(ahead: float) -> None:
        monkeypatch.setattr(SystemClock, "now", lambda clock: datetime.now(UTC) + timedelta(seconds=ahead))

    return ours


@pytest.fixture
def zoom(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoomSimulator]:
    """A Zoom with a meeting that ended a while ago."""
    account = Account(meetings=[meeting("m==", datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5))])
    with ZoomSimulator(account, limits=FAST, client_secret="zoom-client-secret", jwt=True) as simulator:
        point_at(simulator, monkeypatch)
        yield simulator


def warnings(result: Result) -> list[str]:
    return [line for line in result.err.splitlines() if "WARNING the clock of" in line]


def late(path: Path, ahead: float) -> float:
    """How many seconds the checkpoint lies before the earlier of the two clocks."""
    stored = datetime.strptime(path.read_text(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return (datetime.now(UTC) + timedelta(seconds=min(ahead, 0)) - stored).total_seconds()


@AHEAD
@pytest.mark.parametrize("dialect", ["dce", "stock"])
def test_useractions(
    harvest: Command, opencast: OpencastSimulator, checkpoint: Path, set_ours: Any, ahead: int, dialect: Any
) -> None:
    opencast._writer.dialect = dialect
    set_ours(ahead)
    result = harvest("useractions", "-i", "10", "-o", "-")
    assert result.code == 0
    assert {str(document["action_id"]) for document in result.documents} == (ALL if ahead > -60 else set())
    assert 0 <= late(checkpoint, ahead) < 30
    assert len(warnings(result)) == (abs(ahead) > 5)


@AHEAD
@pytest.mark.parametrize("login", ["oauth", "jwt"])
def test_zoom_live(
    harvest: Command, zoom: ZoomSimulator, state: Path, set_ours: Any, ahead: int, login: str, tmp_path: Path
) -> None:
    set_ours(ahead)
    settings = (
        {"ZOOM_CLIENT_ID": "", "ZOOM_KEY": "key", "ZOOM_SECRET": "jwt-secret-of-thirty-two-characters"}
        if login == "jwt"
        else {}
    )
    result = harvest("zoom", "--live", "-o", str(tmp_path / "out.jsonl"), env=settings)
    if login == "jwt" and ahead < -3600:
        assert result.code == 77  # a token that ended before it is shown
        return
    assert result.code == 0
    assert (tmp_path / "out.jsonl").read_text().count('"uuid"') == 1
    assert 0 <= late(state / "zoom-last-end-timestamp", ahead) < 30
    assert len(warnings(result)) == (abs(ahead) > 5)


@AHEAD
def test_firebase_events(
    harvest: Command,
    database: FirebaseSimulator,
    state: Path,
    set_ours: Any,
    ahead: int,
    tmp_path: Path,
) -> None:
    set_ours(ahead)
    now = database._now
    key = str(database.edit("/events", {"type": "heart", "created_at": 1456800000000}, "POST"))
    database._now = lambda: now() + 7200  # an event of a client that is two hours ahead of the database
    early = str(database.edit("/events", {"type": "heart", "created_at": 1456800000000}, "POST"))
    database._now = now
    result = harvest("firebase", "events", "-o", str(tmp_path / "out.jsonl"))
    assert result.code == 0
    assert all(one in (tmp_path / "out.jsonl").read_text() for one in (key, early))
    reached = (state / "last-firebase-event").read_text()
    assert push_ms(reached) / 1000 <= now() + min(ahead, 0)
    assert (reached == key) is (ahead > 0)
    assert len(warnings(result)) == (abs(ahead) > 5)


class TestNobodyTells:
    """Then ours is all there is."""

    def test_opencast(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = opencast.handle

        def without(request: Request) -> Response:
            response = answer(request)
            response.headers["Date"] = ""
            return response

        monkeypatch.setattr(opencast, "handle", without)
        result = harvest("useractions", "-i", "10", "-o", "-")
        assert (result.code, len(result.documents), warnings(result)) == (0, 10, [])
        assert 0 <= late(checkpoint, 0) < 30

    def test_zoom(self, harvest: Command, zoom: ZoomSimulator, state: Path, tmp_path: Path) -> None:
        zoom.date_ahead = math.inf
        result = harvest("zoom", "--live", "-o", str(tmp_path / "out.jsonl"))
        assert (result.code, warnings(result)) == (0, [])
        assert 0 <= late(state / "zoom-last-end-timestamp", 0) < 30

    def test_firebase(
        self,
        harvest: Command,
        database: FirebaseSimulator,
        state: Path,
        set_ours: Any,
    ) -> None:
        database.tells_time = False
        set_ours(-10_800)
        key = str(database.edit("/events", {"type": "heart", "created_at": 1456800000000}, "POST"))
        result = harvest("firebase", "events", "-o", "-")
        assert (result.code, warnings(result)) == (0, [])
        assert key in {document["id"] for document in result.documents}
        assert (state / "last-firebase-event").read_text() != key


def test_what_a_first_run_missed_is_made_up_for_although_our_clock_is_ahead(
    harvest: Command, opencast: OpencastSimulator, set_ours: Any, tmp_path: Path
) -> None:
    """While the source is down only our clock can say where the first run began."""
    job = tmp_path / "job.jsonl"
    fault = opencast.fail("status", response=Response(503), path="/usertracking", times=10**6)
    set_ours(10_800)
    assert harvest("useractions", "-i", "10", "-o", str(job), env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 69
    opencast.faults.remove(fault)
    assert harvest("useractions", "-i", "0.01", "-o", str(job)).code == 0
    assert lines(job) == ALL
