"""``harvest.py backfill`` of Zoom, Firebase, episodes: what cannot be asked for by time is not read once a window."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.zoom.data import Account, Meeting
from harvesters.simulators.zoom.server import ZoomSimulator
from harvesters.timespan import day_window
from tests.cli.buddyup import EVENTS, lines
from tests.cli.conftest import Command, Result
from tests.cli.past import Backfills
from tests.cli.test_zoom import FAST, point_at
from tests.indices import Cluster
from tests.zoom.harness import meeting

TODAY = day_window(datetime.now(UTC).date(), UTC)
DAYS = 4
FIRST = TODAY.start - timedelta(days=DAYS)


def meetings() -> list[Meeting]:
    return [
        meeting(f"day-{day}-{number}", FIRST + timedelta(days=day, hours=9 + number), people=1)
        for day in range(DAYS)
        for number in range(2)
    ]


@pytest.fixture
def zoom(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoomSimulator]:
    """A Zoom with two meetings on each of four days; settings point at it."""
    with ZoomSimulator(Account(meetings=meetings()), limits=FAST, client_secret="zoom-client-secret") as simulator:
        point_at(simulator, monkeypatch)
        yield simulator


def zoomed(path: Path) -> Counter[str]:
    return Counter(document["uuid"] for document in lines(path) if "uuid" in document)


def asked_for_details(zoom: ZoomSimulator) -> list[str]:
    return [one.path for one in zoom.requests if one.path.endswith("/participants")]


class TestZoom:
    def span(self, *more: str) -> list[str]:
        return ["-s", FIRST.isoformat(), "-e", TODAY.start.isoformat(), *more]

    def test_day_by_day_by_threads_that_share_the_budget(
        self, harvest: Command, zoom: ZoomSimulator, tmp_path: Path, state: Path
    ) -> None:
        output = tmp_path / "zoom.jsonl"
        result = harvest("backfill", "zoom", *self.span("-o", str(output), "--json"))
        assert result.code == 0, result.err
        assert zoomed(output) == Counter({one.uuid: 1 for one in meetings()})
        assert json.loads(result.out)["done"] == [json.loads(result.out)["range"]]
        assert len(asked_for_details(zoom)) == len(meetings())
        assert not (state / "zoom-last-end-timestamp").exists()
        assert len([*state.glob("zoom-last-end-timestamp.backfill-*.lease")]) == 1

    def test_a_step_of_hours_is_whole_days_for_zoom_lists_nothing_finer(
        self, harvest: Command, zoom: ZoomSimulator, tmp_path: Path
    ) -> None:
        left = harvest("backfill", "zoom", *self.span("-o", str(tmp_path / "x"), "--step", "1h", "--dry-run"))
        assert len(left.out.splitlines()) == DAYS

    def test_a_wrong_password_is_tried_once(self, harvest: Command, zoom: ZoomSimulator, tmp_path: Path) -> None:
        span = self.span("-o", str(tmp_path / "x"), "--workers", "1")
        result = harvest("backfill", "zoom", *span, env={"ZOOM_CLIENT_SECRET": "another"})
        assert result.code == 77
        assert len([one for one in zoom.requests if one.path.endswith("/token")]) == 1
        assert "another" not in result.err


JANUARY = ("-s", "2016-01-01", "-e", "2016-02-01")


def elsewhere(server: FirebaseSimulator) -> int:
    """How often what sorts before all push ids was read."""
    return len([one for one in server.requests if one.param("endBefore") and not one.param("startAt")])


class TestFirebase:
    def run(self, harvest: Command, output: Path, *more: str) -> Result:
        span = ["-s", "2016-01-01", "-e", "2016-03-02", "--step", "7d"]
        result: Result = harvest("backfill", "firebase-events", *span, "-o", str(output), "--workers", "1", *more)
        return result

    def test_each_event_once_and_what_has_no_time_in_its_key_too(
        self, harvest: Command, database: FirebaseSimulator, tmp_path: Path
    ) -> None:
        handmade = {
            "17": {"type": "login", "created_at": 1_452_000_000_000},
            "group-reminder-x-1453000000000": {"type": "group_reminder"},
            "zz-reminder-1456000000000": {"type": "group_reminder"},
            "zz-out-of-range-1476000000000": {"type": "group_reminder"},
        }
        database.load("/events", {**EVENTS, **handmade})
        by_hand, filled = tmp_path / "by-hand.jsonl", tmp_path / "filled.jsonl"
        span = ["-s", "2016-01-01", "-e", "2016-03-02"]
        assert harvest("firebase", "events", *span, "-o", str(by_hand)).code == 0
        database.requests.clear()
        result = self.run(harvest, filled)
        assert result.code == 0, result.err
        one, other = (sorted(map(repr, lines(path))) for path in (by_hand, filled))
        assert one == other
        found = {document["id"] for document in lines(filled)}
        assert {*handmade} - found == {"zz-out-of-range-1476000000000"}
        assert elsewhere(database) == 1, "and not once a window"

    def test_nothing_is_read_when_nothing_is_missing(
        self, harvest: Command, database: FirebaseSimulator, tmp_path: Path
    ) -> None:
        output = tmp_path / "out.jsonl"
        assert self.run(harvest, output).code == 0
        database.requests.clear()
        assert self.run(harvest, output).code == 0
        assert not database.requests


class TestEpisodes:
    def test_the_episodes_of_whole_days(
        self, harvest: Command, past: Backfills, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MATTERHORN_ADMIN_HOST", past.server.url)
        asked: list[Any] = []
        from harvesters.opencast import run

        loaded = run.load_episodes

        def spied(assembly: Any, target: str, patterns: Any, **named: Any) -> Any:
            asked.append([*patterns])
            return loaded(assembly, cluster.name("episodes"), patterns, **named)

        monkeypatch.setattr(run, "load_episodes", spied)
        monkeypatch.setattr("harvesters.operate.ranges._EPISODES", cluster.name("episodes"))
        monkeypatch.setattr(run, "of_day", lambda day: f"{cluster.name('useractions')}*-{day:%Y.%m.%d}")
        for day in ("2026.02.01", "2026.02.03"):
            document = {"mpid": "episode-1", "timestamp": "2026-02-01T00:00:00Z"}
            index = f"{cluster.name('useractions')}-{day}"
            mapping = {"mappings": {"properties": {"mpid": {"type": "keyword"}}}}
            requests.put(f"{cluster.url}/{index}", json=mapping, timeout=30).raise_for_status()
            url = f"{cluster.url}/{index}/_doc?refresh=true"
            requests.post(url, json=document, timeout=30).raise_for_status()
        span = ["-s", "2026-02-01", "-e", "2026-02-04", "--step", "2d", "--workers", "1"]
        result = harvest("backfill", "load_episodes", *span, "--json")
        assert result.code == 0, result.err
        prefix = f"{cluster.name('useractions')}*-2026.02."
        assert asked == [[f"{prefix}01", f"{prefix}02"], [f"{prefix}03"]]
        assert json.loads(result.out)["missing"] == []

    def test_today_is_not_over(self, harvest: Command, past: Backfills, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MATTERHORN_ADMIN_HOST", past.server.url)
        from harvesters.operate.ranges import EpisodeRanges

        now = TODAY.start + timedelta(hours=5)
        ranges = EpisodeRanges(None, None)  # type: ignore[arg-type]
        fitted = ranges.fitted(FIRST, TODAY.start + timedelta(days=3), now)
        assert (fitted.start, fitted.end) == (FIRST, TODAY.start)
