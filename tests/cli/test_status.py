"""``harvest.py status``: lag, leases, last runs, and places that do not answer."""

from __future__ import annotations

import json
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from harvesters.errors import Exit
from harvesters.firebase.pushid import push_floor
from harvesters.operate.jobs import BY_NAME, JOBS
from harvesters.operate.records import Kept, RunRecords
from harvesters.settings import Settings
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.opencast.server import OpencastSimulator
from harvesters.sinks.deadletters import open_dead_letters
from harvesters.stores.file import FileBlob
from harvesters.watched import RunRecord
from tests.cli.conftest import Command, Result
from tests.cli.test_useractions import compact
from tests.clocks import patient
from tests.conformance.letterplaces import letter


def told(result: Result, job: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(result.out)["jobs"]
    return next(one for one in found if one["job"] == job)


def keep(state: Path, checkpoint: str, ago: timedelta, code: int | None = 0, seconds: float = 0.0) -> None:
    started = datetime.now(UTC) - ago
    ended = started if code is not None else None
    record = RunRecord(started, ended, seconds, code, "done", "host", {"rows": 1})
    RunRecords(FileBlob(state / f"{checkpoint}.last-runs")).keep(record)


def test_it_has_every_job_in_the_shape_that_was_promised(harvest: Command, state: Path) -> None:
    result = harvest("status", "--json")
    assert result.code == 0
    found = json.loads(result.out)
    assert [*found] == ["time", "jobs", "dead_letters"]
    assert [job["job"] for job in found["jobs"]] == [job.name for job in JOBS]
    keys = ["job", "checkpoint", "lag", "late", "lease", "last_run", "last_success", "backfills"]
    assert all([*job] == keys for job in found["jobs"])
    assert found["dead_letters"] == {"where": str(state / "dead-letters"), "count": 0}
    assert not state.exists(), "it changes nothing"


def test_lag_is_the_time_since_the_checkpoint(
    harvest: Command, opencast: OpencastSimulator, state: Path, tmp_path: Path
) -> None:
    assert harvest("useractions", "-i", "10", "-o", str(tmp_path / "out.jsonl")).code == 0
    (state / "last-action-timestamp").write_text(compact(datetime.now(UTC) - timedelta(minutes=20)) + "Z")
    (state / "last-firebase-event").write_text(
        push_floor(int((datetime.now(UTC) - timedelta(hours=3)).timestamp() * 1000))
    )
    result = harvest("status", "--json", "--max-lag", "15m", "--max-lag", "firebase-events=7d")
    assert result.code == 69
    actions, events = told(result, "useractions"), told(result, "firebase-events")
    assert actions["lag"] == pytest.approx(20 * 60, abs=30)
    assert actions["last_run"]["counts"]["delivered"] == 10
    assert (actions["late"], events["late"]) == (True, False)
    assert events["lag"] == pytest.approx(3 * 3600, abs=30)
    assert harvest("status", "--max-lag", "1h", "--max-lag", "firebase-events=4h").code == 0


def test_of_a_job_without_a_checkpoint_since_its_success_or_since_it_was_seen_to_run(
    harvest: Command, state: Path
) -> None:
    state.mkdir()
    keep(state, "load_episodes", timedelta(hours=30))
    keep(state, "load_episodes", timedelta(hours=6), code=69)
    keep(state, "index", timedelta(hours=9), code=None, seconds=9 * 3600 - 50)
    result = harvest("status", "--json", "load_episodes", "index", "--max-lag", "24h")
    episodes, index = told(result, "load_episodes"), told(result, "index")
    assert (episodes["lag"], episodes["late"]) == (pytest.approx(30 * 3600, abs=30), True)
    assert (episodes["last_run"]["exit_code"], episodes["last_success"]["exit_code"]) == (69, 0)
    assert (index["lag"], index["late"]) == (pytest.approx(50, abs=30), False)
    assert index["last_run"]["ended"] is None


def test_what_never_ran_is_late_when_it_is_asked_for_by_name(harvest: Command, state: Path) -> None:
    assert harvest("status", "--max-lag", "15m").code == 0
    assert harvest("status", "zoom", "--max-lag", "15m").code == 69
    assert harvest("status", "--max-lag", "zoom=15m").code == 69
    state.mkdir()
    keep(state, "zoom-last-end-timestamp", timedelta(hours=1), code=77)
    assert harvest("status", "--max-lag", "15m").code == 69


@pytest.mark.parametrize(
    ("expires", "released", "held"),
    [(timedelta(minutes=1), False, True), (timedelta(minutes=1), True, False), (-timedelta(minutes=1), False, False)],
)
def test_who_is_at_it(harvest: Command, state: Path, expires: timedelta, released: bool, held: bool) -> None:
    state.mkdir()
    owner = {"host": "elsewhere", "system": "", "pid": 7, "started": ""}
    until = (datetime.now(UTC) + expires).isoformat()
    lease = {"owner": owner, "expires": until, "generation": 1, "released": released, "token": "x"}
    (state / "last-action-timestamp.lease").write_text(json.dumps(lease))
    found = told(harvest("status", "--json"), "useractions")["lease"]
    assert (found is not None) == held
    if held:
        assert (found["host"], found["pid"], found["expires"][-1]) == ("elsewhere", 7, "Z")


def test_dead_letters_are_counted(harvest: Command, state: Path) -> None:
    open_dead_letters("", state, patient()).write([letter("1"), letter("2")])
    assert json.loads(harvest("status", "--json").out)["dead_letters"]["count"] == 2
    assert "2 in " in harvest("status").out


def test_in_s3(harvest: Command, aws: str, state: Path) -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket="kept")
    client.put_object(Bucket="kept", Key="last-action-timestamp", Body=b"20260213093000Z")
    env = {"S3_HARVEST_TS_BUCKET": "kept", "HARVEST_DEAD_LETTERS": "s3://not-there/prefix"}
    result = harvest("status", "--json", env=env)
    assert result.code == 0, result.err
    assert told(result, "useractions")["checkpoint"] == "20260213093000Z"
    assert json.loads(result.out)["dead_letters"] == {"where": "s3://not-there/prefix", "count": 0}
    assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["kept"]


def test_a_place_that_hangs_is_named_within_five_seconds(harvest: Command, aws: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "S3_HARVEST_TS_BUCKET": "hangs",
            "HARVEST_DEAD_LETTERS": "sqs://hangs-too",
        }
        began = time.monotonic()
        result = harvest("status", "--json", "--max-lag", "1h", env=env)
    assert time.monotonic() - began < 5.5
    assert result.code == 69
    assert [name for name in ("s3://hangs", "sqs://hangs-too") if result.err.count(f"ERROR {name}") != 1] == []
    found = json.loads(result.out)
    assert (found["dead_letters"]["count"], {job["late"] for job in found["jobs"]}) == (None, {True})


def test_a_place_that_redirects_without_an_end_is_named(harvest: Command, aws: str) -> None:
    class Circle(Simulator):
        def handle(self, request: Request) -> Response:
            return Response(302, b"", {"Location": f"{self.url}/again"})

    with Circle() as server:
        result = harvest("status", env={"AWS_ENDPOINT_URL": server.url, "S3_HARVEST_TS_BUCKET": "b"})
    assert result.code == 69
    assert "s3://b" in result.err
    assert "Traceback" not in result.err


def test_what_ran_and_never_well_is_not_said_never_to_have_run(harvest: Command, state: Path) -> None:
    keep(state, "index", timedelta(minutes=1), code=78)
    (line,) = [line for line in harvest("status", "index").out.splitlines() if line.startswith("index")]
    assert "never ran" not in line


def test_a_checkpoint_that_cannot_be_read_is_said(harvest: Command, state: Path) -> None:
    state.mkdir()
    (state / "last-action-timestamp").write_text("yesterday")
    result = harvest("status")
    assert result.code == 69
    assert "cannot be read" in result.err


@pytest.mark.parametrize("lag", ["15", "soon", "zoom=", "nobody=15m", "=15m", "-5m"])
def test_what_is_no_lag_is_usage(harvest: Command, lag: str) -> None:
    assert harvest("status", f"--max-lag={lag}").code == Exit.USAGE


def test_an_unknown_job_is_usage_with_a_hint(harvest: Command) -> None:
    result = harvest("status", "useraction")
    assert result.code == Exit.USAGE
    assert "useractions" in result.err


def test_every_job_knows_its_checkpoint() -> None:
    settings = Settings({"S3_LAST_ACTION_TS_KEY": "mine"})
    assert BY_NAME["useractions"].checkpoint(settings) == "mine"
    assert BY_NAME["index"].checkpoint(settings) == "index"
    assert Kept().alive is None
