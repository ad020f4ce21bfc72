"""``harvest.py zoom`` against an odd account: values at their edges, meetings that move, lists that are long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import requests

from harvesters.simulators.base import Response
from harvesters.simulators.zoom.auth import GRANULAR
from harvesters.simulators.zoom.data import Account
from harvesters.simulators.zoom.errors import ZoomError
from harvesters.simulators.zoom.server import ZoomSimulator
from tests.cli.conftest import Command
from tests.cli.test_zoom import FAST, noon, point_at, uuids, yesterday
from tests.zoom.harness import meeting

REPORTS = tuple(scope for scope in GRANULAR if not scope.startswith("dashboard"))
INFINITE = float("inf")


@pytest.fixture(params=[GRANULAR, REPORTS], ids=["dashboard", "report"])
def zoom(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoomSimulator]:
    """An empty account; a test adds its meetings."""
    with ZoomSimulator(Account(), limits=FAST, client_secret="zoom-client-secret", scopes=request.param) as simulator:
        point_at(simulator, monkeypatch)
        yield simulator


def dead(state: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in state.rglob("*.jsonl") for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "odd",
    [
        {"start_time": "0001-01-01T00:00:00+14:00"},
        {"end_time": "9999-12-31T23:59:59-14:00"},
        {"start_time": "0001-01-01T00:00:00Z", "end_time": "0001-01-01T00:00:00Z"},
        {"end_time": "9999-12-31T23:59:59Z"},
        {"end_time": "later"},
        {"duration": INFINITE},
        {"custom_keys": [{"key": "k", "value": -INFINITE}]},
        {"id": 10**30},
    ],
    ids=str,
)
def test_an_odd_meeting_is_a_dead_letter_and_the_others_are_harvested(
    harvest: Command, zoom: ZoomSimulator, state: Path, odd: dict[str, Any]
) -> None:
    zoom.account.add(meeting("odd==", noon(), odd=odd), *(meeting(f"m{number}==", noon()) for number in range(3)))
    result = harvest("zoom", "-o", "-")
    assert result.code == 0, result.err
    assert uuids(result.documents) == {"m0==", "m1==", "m2=="}
    letters = dead(state)
    assert [letter["id"] for letter in letters] == ["odd=="]
    assert letters[0]["reason"]


@pytest.mark.parametrize("field", ["type", "source", "topic", "has_voip", "participants", "host"])
def test_odd_values_cost_no_other_meeting(harvest: Command, zoom: ZoomSimulator, state: Path, field: str) -> None:
    values: list[Any] = ["", True, -1, 1.5, "NaN", "\0", [], {}, [None, {"a": []}], "x" * 5000]
    odd = {f"odd{number}==": value for number, value in enumerate(values)}
    zoom.account.add(
        *(meeting(uuid, noon(), odd={field: value}) for uuid, value in odd.items()), meeting("m==", noon())
    )
    result = harvest("zoom", "-o", "-")
    assert result.code == 0, result.err
    assert "m==" in uuids(result.documents)
    assert sorted([*uuids(result.documents), *(letter["id"] for letter in dead(state))]) == sorted([*odd, "m=="])


@pytest.mark.parametrize(
    "odd",
    [
        {"join_time": "0001-01-01T00:00:00+14:00"},
        {"leave_time": "9999-12-31T23:59:59-14:00"},
        {"duration": INFINITE},
        {"duration": 10**30},
        {"join_time": "before noon"},
    ],
    ids=str,
)
def test_an_odd_session_is_a_dead_letter_and_the_others_are_harvested(
    harvest: Command, zoom: ZoomSimulator, state: Path, odd: dict[str, Any]
) -> None:
    one = meeting("m==", noon(), people=4)
    one.participants[1].odd = odd
    zoom.account.add(one)
    result = harvest("zoom", "-o", "-")
    assert result.code == 0, result.err
    assert len(result.documents) == 1 + 3
    assert len(dead(state)) == 1


@pytest.mark.parametrize(("type", "webinar"), [("5", True), ("2", False), ([5], False), ({"a": 1}, False)], ids=str)
@pytest.mark.parametrize("zoom", [REPORTS], ids=["report"], indirect=True)
def test_reports_may_spell_the_type_of_a_meeting_in_any_way(
    harvest: Command, zoom: ZoomSimulator, type: Any, webinar: bool
) -> None:
    zoom.account.add(meeting("odd==", noon(), odd={"type": type}), meeting("m==", noon()))
    result = harvest("--log-format", "json", "zoom", "-o", "-")
    assert result.code == 0, result.err
    assert uuids(result.documents) == ({"m=="} if webinar else {"m==", "odd=="})
    assert result.report["webinars"] == webinar


def test_numbers_and_flags_that_are_texts(harvest: Command, zoom: ZoomSimulator) -> None:
    one = meeting("m==", noon(), odd={"avg_jointime_cost": "2.25", "location": "x"})
    one.participants[0].odd = {"recording": "1", "location": "New York"}
    one.participants[1].odd = {"recording": "false", "location": "United States"}
    zoom.account.add(one)
    zoom.texts = True
    result = harvest("zoom", "-o", "-")
    assert result.code == 0, result.err
    (body,) = [document for document in result.documents if "uuid" in document]
    count = "participants" if body["zoom"]["route"] == "dashboard" else "participants_count"
    assert (body[count], body["avg_jointime_cost"], body["zoom"][count]) == (2, 2.25, "2")
    assert body["has_voip"] is (True if count == "participants" else None)
    sessions = [document for document in result.documents if "meeting" in document]
    sessions.sort(key=lambda one: one["city"] or "")
    assert [(one["recording"], one["city"], one["country"]) for one in sessions] == [
        (False, None, "United States"),
        (True, "New York", None),
    ]


def test_one_refused_meeting_is_reported_and_exit_0(harvest: Command, zoom: ZoomSimulator) -> None:
    zoom.account.add(*(meeting(f"m{number}==", noon()) for number in range(3)))
    zoom.account.refused["m1=="] = ZoomError(400, 300, "Invalid meeting id.")
    result = harvest("zoom", "-o", "-")
    assert result.code == 0
    assert uuids(result.documents) == {"m0==", "m1==", "m2=="}
    assert "code 300: Invalid meeting id" in result.err
    assert '"meetings_refused": 1' in result.err or "meetings_refused=1" in result.err


def test_429_for_ever_is_75(harvest: Command, zoom: ZoomSimulator) -> None:
    zoom.account.add(meeting("m==", noon()))
    refusal = Response.json({"code": 429, "message": "Try again later."}, 429, Retry_After="1")
    zoom.fail("status", path="/v2", times=10**9, response=refusal)
    result = harvest("zoom", "-o", "-", "--max-wait", "2")
    assert result.code == 75
    assert "for this call in all" in result.err or "in 2 s" in result.err


def test_45_days_take_few_listing_calls_and_the_plan_says_how_many(harvest: Command, zoom: ZoomSimulator) -> None:
    meetings = [meeting(f"d{day}==", noon() - timedelta(days=day)) for day in range(45)]
    zoom.account.add(*meetings)
    start = f"{yesterday().end - timedelta(days=45):%Y%m%d%H%M%S}"
    words = ("zoom", "--start", start, "--end", f"{yesterday().end:%Y%m%d%H%M%S}")
    planned = harvest(*words, "--plan")
    assert planned.code == 0
    assert "meetings  45 " in planned.out or "report route" in planned.out
    zoom.requests.clear()
    result = harvest(*words, "-o", "-")
    assert uuids(result.documents) == {one.uuid for one in meetings}
    lists = [one for one in zoom.requests if one.param("from")]
    assert len(lists) <= 8
    intensive = sum(one.path == "/v2/metrics/meetings" for one in lists)
    heavy = sum(one.path.startswith("/v2") for one in zoom.requests) - intensive
    assert f"{intensive} resource-intensive, {heavy} heavy" in planned.out


class Cluster:
    """Meetings and sessions of an Elasticsearch, of the last days."""

    def __init__(self, url: str) -> None:
        self.url = url

    def forget(self) -> None:
        for day in range(-1, 6):
            for kind in ("meetings", "sessions"):
                requests.delete(f"{self.url}/{kind}-{noon() - timedelta(days=day):%Y.%m.%d}", timeout=30)

    def there(self, kind: str) -> dict[str, list[str]]:
        """Ids by index."""
        requests.post(f"{self.url}/{kind}-*/_refresh", timeout=30)
        hits = requests.get(f"{self.url}/{kind}-*/_search", params={"size": "100"}, timeout=30).json()["hits"]["hits"]
        found: dict[str, list[str]] = {}
        for hit in hits:
            found.setdefault(hit["_index"], []).append(hit["_id"])
        return {index: sorted(ids) for index, ids in found.items()}


@pytest.fixture
def cluster(elasticsearch_url: str) -> Iterator[Cluster]:
    made = Cluster(elasticsearch_url)
    made.forget()
    yield made
    made.forget()


@pytest.mark.parametrize("mode", ["by-hand", "live", "without-templates"])
def test_a_meeting_whose_end_becomes_known_later_moves_to_that_day(
    harvest: Command, zoom: ZoomSimulator, cluster: Cluster, mode: str
) -> None:
    if mode == "without-templates":  # then a new index guesses that ids are texts
        for kind in ("meetings", "sessions"):
            requests.delete(f"{cluster.url}/_index_template/{kind}", timeout=30)
    else:
        assert harvest("setup", "load_index_templates", "--es-host", cluster.url).code == 0
    late = meeting("late/==", yesterday().start + timedelta(hours=1), minutes=180, people=3)
    late.end_known_at = datetime.now(UTC) + timedelta(days=9)
    zoom.account.add(late, meeting("other==", noon()), meeting("old==", noon() - timedelta(days=1)))
    zoom.answers.honours_end_time = False  # it is listed by its start, on the day before
    words = ["--live"] if mode == "live" else ["--start", f"{yesterday().start - timedelta(days=1):%Y%m%d%H%M%S}"]
    env = {"ZOOM_LOOKBACK": str(4 * 86_400)}

    def run() -> None:
        result = harvest("zoom", *words, "--es_host", cluster.url, env=env)
        assert result.code == 0, result.err

    run()
    before, day = f"{noon() - timedelta(days=1):%Y.%m.%d}", f"{noon():%Y.%m.%d}"
    assert cluster.there("meetings") == {f"meetings-{before}": ["late/==", "old=="], f"meetings-{day}": ["other=="]}
    sessions = cluster.there("sessions")
    assert {index: len(ids) for index, ids in sessions.items()} == {f"sessions-{before}": 5, f"sessions-{day}": 2}
    late.end_known_at = None
    for _ in range(2):
        run()
        assert cluster.there("meetings") == {f"meetings-{before}": ["old=="], f"meetings-{day}": ["late/==", "other=="]}
        moved = cluster.there("sessions")
        assert {index: len(ids) for index, ids in moved.items()} == {f"sessions-{before}": 2, f"sessions-{day}": 5}
        assert sorted(chain(*moved.values())) == sorted(chain(*sessions.values()))


_MEASURED = """
import sys
from harvesters.cli.main import main
try:
    main()
finally:
    peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(peak[0].split()[1], file=sys.stderr)
"""


def test_memory_does_not_grow_with_the_participants_of_one_meeting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # 50,000 take 114 MB; of these, all at once took 350.
    big = meeting("big==", noon(), minutes=900, people=20_000)
    with ZoomSimulator(Account(meetings=[big]), limits=FAST, client_secret="zoom-client-secret") as simulator:
        point_at(simulator, monkeypatch)
        path = tmp_path / "big.jsonl"
        run = subprocess.run(
            [sys.executable, "-c", _MEASURED, "zoom", "-o", str(path)],
            env={**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    with path.open() as lines:
        assert sum(1 for _ in lines) == 20_001
    peak = int(run.stderr.strip().splitlines()[-1]) / 1024
    assert peak < 150
