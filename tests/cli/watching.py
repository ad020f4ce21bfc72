"""What was watched, for the tests of ``harvest.py export``; `conftest.py` has its fixtures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.indices import EPISODES, USERACTIONS, Cluster, cluster_for_a_test

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Result

CAPTIONS = "paella:caption:enabled"
SPEED = "paella:button:action;es.upv.paella.playbackRatePlugin"
BUTTON_7 = "paella:buttonPress-"
MODE = "paella:button:action;edu.harvard.dce.paella.viewModeTogglePlugin"


def action(mpid: str, huid: str | None, type: str = "HEARTBEAT", at: int = 0, **fields: Any) -> dict[str, Any]:
    about = {"type": type, "inpoint": at, "is_playing": fields.pop("playing", True)}
    return {"mpid": mpid, "huid": huid, "is_live": False, "action": about, **fields}


def episode(mpid: str, series: str = "", **fields: Any) -> dict[str, Any]:
    parts = {"series": series, "year": series[:4], "term": series[4:6], "crn": series[6:]} if series else {}
    return {"mpid": mpid, **parts, **fields}


HOUR = 3_600_000
WATCHED = [
    # One hour is twelve chunks of five minutes; one of them twice, and what is no playing heartbeat of a recording.
    *(action("hour", "alice", at=at) for at in (0, 10, 299, 300, 3599)),
    action("hour", "alice", at=1000, playing=False),
    action("hour", "alice", at=1000, type="PLAY"),
    action("hour", "alice", at=1000, is_live=True),
    action("hour", "anonymous", at=600),
    action("hour", None, at=600),
    *(action("hour", "bob", at=at) for at in range(0, 5000, 30)),
    # One second more than ten minutes is three chunks.
    *(action("odd", "alice", at=at) for at in (0, 300)),
    action("no-duration", "alice"),
    action("zero", "alice"),
    action("unlisted", "alice"),
    *(action("live", "alice", at=at, is_live=True) for at in range(0, 900, 30)),
    action("hour", "carol", type=CAPTIONS),
    action("hour", "carol", type=f"{CAPTIONS}:en"),
    action("hour", "carol", type="paella:caption:disabled"),
    action("hour", "alice", type=SPEED),
    action("hour", "alice", type=MODE),
    action("hour", "alice", type=MODE),
    action("odd", "anonymous", type=MODE),
]
LISTED = [
    episode("hour", "20260113001", duration=HOUR),
    episode("odd", "20260213002", duration=601_000),
    episode("live", "20250113003", duration=HOUR, live_duration=1_800_000),
    episode("no-duration", "20260113001"),
    episode("zero", "20260113001", duration=0),
    episode("unwatched", "strange-series", duration=HOUR),
    episode("alone", duration=HOUR),
]


@pytest.fixture(scope="module")
def watched(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Everything above, the actions over two days."""
    with cluster_for_a_test(request) as cluster:
        cluster.fill("episodes", LISTED, EPISODES)
        cluster.fill("useractions-2026.02.12", WATCHED[::2])
        cluster.fill("useractions-2026.02.13", WATCHED[1::2])
        yield cluster


Export = Callable[..., "Result"]


@pytest.fixture
def export(harvest: Command, watched: Cluster, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Run ``export NAME`` on this module's indices."""
    monkeypatch.setenv("ES_HOST", watched.url)

    def run(name: str, *arguments: str, **named: Any) -> Result:
        indices = ["--episodes-index", watched.name("episodes")]
        if name.replace("-", "_") != "rollcall":
            indices += ["-s", watched.name("useractions-*")]
        return harvest("export", name, *indices, *arguments, **named)

    return run


def rows(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out)))


def shares(result: Result, column: str = "vod_attendance") -> dict[tuple[str, str], int]:
    return {(row["mpid"], row["huid"]): int(row[column]) for row in rows(result)}


def footprint(mpid: str, huid: str | None, at: int, until: int, **fields: Any) -> dict[str, Any]:
    """As a stock player leaves it: without a word of whether it plays, so Opencast says that it does not."""
    about = {"type": "FOOTPRINT", "inpoint": at, "outpoint": until, "length": until - at, "is_playing": False}
    return {"mpid": mpid, "huid": huid, "is_live": False, "action": about, **fields}


@pytest.fixture
def among(export: Export, watched: Cluster, request: pytest.FixtureRequest) -> Callable[..., Export]:
    """Given actions (and episodes), an export over them alone."""

    def given(
        actions: list[dict[str, Any]], *episodes: dict[str, Any], mapping: Any = USERACTIONS, listed: Any = EPISODES
    ) -> Export:
        name = f"{abs(hash(request.node.name))}"
        watched.fill(f"{name}-actions", actions, mapping)
        watched.fill(f"{name}-episodes", episodes or LISTED, listed)
        indices = ("--episodes-index", watched.name(f"{name}-episodes"), "-s", watched.name(f"{name}-actions"))

        def run(name: str, *arguments: str, **named: Any) -> Result:
            return export(name, *indices, *arguments, **named)

        return run

    return given
