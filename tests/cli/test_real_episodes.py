"""``load_episodes`` and ``export attendance`` over workflows in the form that Harvard DCE's have."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from harvesters.simulators.opencast.generate import make_workflow
from harvesters.simulators.opencast.server import Episode, MediaElement, OpencastSimulator, Operation, Segment, Workflow
from tests.cli.conftest import PASSWORD, USER, Command
from tests.indices import EPISODES, Cluster

LECTURES = 500
BEGIN = datetime(2026, 1, 5, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)


def lecture(number: int) -> Episode:
    """Every other one was streamed; of every tenth the stream has not been replaced yet."""
    under_way = number % 10 == 0
    track = MediaElement("1", "presenter/delivery", "https://cdn/1", live=under_way, duration=-1 if under_way else None)
    return Episode(
        f"mp-{number:03}",
        str(number),
        None if under_way else 3_600_000,
        BEGIN,
        "20260113001",
        extent=-1 if under_way else None,
        creators=("A", str(number)),
        tracks=(track,),
        live=number % 2 == 0,
        segments=(Segment(0, 1000, f"slide {number}"),),
    )


def republication(number: int, mpid: str, day: int) -> Workflow:
    steps = [
        Operation(place, name, started=BEGIN + day * 24 * HOUR, completed=BEGIN + (day * 24 + 1) * HOUR)
        for place, name in enumerate(("retract-engage", "publish-engage"))
    ]
    return Workflow(number, mpid, "republish", operations=tuple(steps), created=BEGIN + day * 24 * HOUR)


def failed(number: int, mpid: str) -> Workflow:
    steps = (Operation(1, "capture", "FAILED", BEGIN, BEGIN + 9 * HOUR),)
    return Workflow(number, mpid, "DCE", operations=steps, created=BEGIN + 99 * HOUR)


@pytest.fixture(params=[7, 16])
def opencast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpencastSimulator]:
    """2,000 workflows of 500 lectures."""
    with OpencastSimulator(version=request.param, user=USER, password=PASSWORD) as simulator:
        for number in range(LECTURES):
            one = lecture(number)
            of_live = Episode(one.mpid, one.title, 3_600_000, BEGIN, live=one.live)
            first = 10_000 + 4 * number
            simulator.add(one, make_workflow(first, of_live), failed(first + 1, one.mpid))
            simulator.add(*(republication(first + more, one.mpid, more) for more in (2, 3)))
        for node in ("ENGAGE", "ADMIN"):
            monkeypatch.setenv(f"MATTERHORN_{node}_HOST", f"127.0.0.1:{simulator.port}")
        monkeypatch.setenv("MATTERHORN_REST_USER", USER)
        monkeypatch.setenv("MATTERHORN_REST_PASS", PASSWORD)
        yield simulator


def test_two_thousand_workflows(harvest: Command, cluster: Cluster, opencast: OpencastSimulator) -> None:
    assert len(opencast.workflows) == 2000
    heartbeat = {"type": "HEARTBEAT", "inpoint": 0, "is_playing": True}
    cluster.fill(
        "useractions-2026.01.05",
        ({"mpid": mpid, "huid": "alice", "is_live": True, "action": heartbeat} for mpid in opencast.episodes),
    )
    cluster.create("episodes", EPISODES)
    names = ("-t", cluster.name("episodes"), "-s", cluster.name("useractions-*"))
    result = harvest("--log-format", "json", "load_episodes", *names)
    assert (result.code, result.report["indexed"], result.report["without_workflow"]) == (0, LECTURES, 0)
    stream = {
        "live_start": "2026-01-05T14:00:00Z",
        "live_end": "2026-01-05T15:00:00Z",
        "live_duration": 3_600_000,
        "available": "2026-01-05T15:07:00Z",
    }
    for mpid, body in cluster.documents("episodes").items():
        number = int(mpid.removeprefix("mp-"))
        assert body["live_stream"] is (number % 2 == 0), mpid
        assert {name: body[name] for name in stream if name in body} == (stream if number % 2 == 0 else {})
        assert body["creator"] == ["A", str(number)]
        assert ("duration" in body) is (number % 10 != 0)
    assert harvest("--log-format", "json", "load_episodes", *names).report["unchanged"] == LECTURES

    indices = ("--episodes-index", cluster.name("episodes"), "-s", cluster.name("useractions-*"))
    rows = list(csv.DictReader(io.StringIO(harvest("export", "attendance", "--live", *indices).out)))
    assert [row["mpid"] for row in rows] == sorted(mpid for mpid in opencast.episodes if int(mpid[3:]) % 2 == 0)
    assert {row["live_attendance"] for row in rows} == {"8"}

    if opencast.version < 16:
        found = cluster.ask(
            "POST", f"/{cluster.name('episodes')}/_count", {"query": {"match": {"slide_text": "Slide"}}}
        )
        assert found["count"] == LECTURES
