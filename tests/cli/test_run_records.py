"""Which runs are kept beside the checkpoint, and what is kept of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from harvesters.errors import Unavailable
from harvesters.operate import records
from harvesters.operate.records import Kept, RunRecords
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.opencast.server import OpencastSimulator
from harvesters.simulators.zoom.server import ZoomSimulator
from harvesters.stores.file import FileBlob
from harvesters.watched import RunRecord
from tests.cli.conftest import Command
from tests.cli.processes import HARVEST, wait
from tests.cli.test_useractions import compact, moments
from tests.cli.test_zoom import zoom  # noqa: F401 - a fixture
from tests.indexing.queues import Queue
from tests.zoom.harness import meeting

USERACTIONS = "last-action-timestamp"


def kept(state: Path, checkpoint: str) -> dict[str, Any] | None:
    path = state / f"{checkpoint}.last-runs"
    return json.loads(path.read_bytes()) if path.exists() else None


def last(state: Path, checkpoint: str) -> dict[str, Any]:
    found = kept(state, checkpoint)
    assert found is not None
    run: dict[str, Any] = found["last_run"]
    return run


class TestKept:
    def test_a_run_that_moves_the_checkpoint(
        self, harvest: Command, opencast: OpencastSimulator, state: Path, tmp_path: Path
    ) -> None:
        assert harvest("useractions", "-i", "10", "-o", str(tmp_path / "out.jsonl")).code == 0
        found = kept(state, USERACTIONS)
        assert found is not None
        run = found["last_run"]
        assert [*run] == ["started", "ended", "seconds", "exit_code", "outcome", "host", "counts"]
        assert run == found["last_success"]
        assert (run["exit_code"], run["outcome"], run["host"]) == (0, "done", socket.gethostname())
        assert (run["counts"]["rows"], run["counts"]["delivered"], run["counts"]["dead"]) == (10, 10, 0)
        assert run["started"].endswith("Z")

    @pytest.mark.parametrize(
        ("env", "code"),
        [
            ({"MATTERHORN_REST_PASS": "wrong-password"}, 77),
            ({"MATTERHORN_REST_PASS": ""}, 78),
            ({"MATTERHORN_ENGAGE_HOST": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0"}, 69),
            ({"MAX_START_END_SPAN": "10"}, 3),
        ],
    )
    def test_one_that_fails_and_the_last_success_stays(
        self, harvest: Command, opencast: OpencastSimulator, state: Path, tmp_path: Path, env: dict[str, str], code: int
    ) -> None:
        out = str(tmp_path / "out.jsonl")
        assert harvest("useractions", "-i", "10", "-o", out).code == 0
        (state / USERACTIONS).write_text(compact(datetime.now(UTC) - timedelta(minutes=10)) + "Z")
        assert harvest("useractions", "-o", out, env=env).code == code
        found = kept(state, USERACTIONS)
        assert found is not None
        assert (found["last_run"]["exit_code"], found["last_success"]["exit_code"]) == (code, 0)

    def test_a_bug(
        self, harvest: Command, opencast: OpencastSimulator, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("harvesters.opencast.useractions.UserActions.time", lambda self: dict[str, str]()["a bug"])
        with pytest.raises(KeyError):
            harvest("useractions", "-o", "-")
        assert (last(state, USERACTIONS)["exit_code"], last(state, USERACTIONS)["outcome"]) == (1, "failed")

    def test_a_range_by_hand_that_moves_it(
        self, harvest: Command, opencast: OpencastSimulator, state: Path, tmp_path: Path
    ) -> None:
        start = compact(moments(opencast)[0])
        assert harvest("useractions", "-s", start, "-o", str(tmp_path / "out.jsonl")).code == 0
        assert last(state, USERACTIONS)["exit_code"] == 0

    def test_zoom_live_beside_its_own_states(
        self,
        harvest: Command,
        zoom: ZoomSimulator,  # noqa: F811
        state: Path,
        tmp_path: Path,
    ) -> None:
        zoom.account.add(meeting("today==", datetime.now(UTC) - timedelta(hours=2)))
        assert harvest("zoom", "--live", "-o", str(tmp_path / "out.jsonl")).code == 0
        assert last(state, "zoom-last-end-timestamp")["counts"]["delivered"] > 0

    def test_each_of_a_job_without_a_checkpoint(self, harvest: Command, state: Path) -> None:
        assert harvest("load_episodes").code == 78
        assert last(state, "load_episodes")["exit_code"] == 78
        assert harvest("index").code == 78
        assert last(state, "index")["exit_code"] == 78

    def test_in_s3_where_the_checkpoint_is(
        self, harvest: Command, opencast: OpencastSimulator, aws: str, state: Path, tmp_path: Path
    ) -> None:
        env = {"S3_HARVEST_TS_BUCKET": "kept-runs", "S3_LAST_ACTION_TS_KEY": "a/checkpoint"}
        assert harvest("useractions", "-i", "10", "-o", str(tmp_path / "out.jsonl"), env=env).code == 0
        body = boto3.client("s3").get_object(Bucket="kept-runs", Key="a/checkpoint.last-runs")["Body"].read()
        assert json.loads(body)["last_run"]["exit_code"] == 0
        assert not list(state.glob("*.last-runs"))


class TestNotKept:
    def test_a_look(self, harvest: Command, opencast: OpencastSimulator, state: Path, tmp_path: Path) -> None:
        assert harvest("useractions", "-i", "10", "-o", str(tmp_path / "out.jsonl")).code == 0
        before = kept(state, USERACTIONS)
        assert harvest("useractions", "-o", "-").code == 0
        assert harvest("useractions", "-o", "-", env={"MATTERHORN_REST_PASS": "wrong-password"}).code == 77
        assert kept(state, USERACTIONS) == before

    @pytest.mark.parametrize("words", [("--no-update-last-ts",), ("-s", "20260101000000", "-e", "20260101010000")])
    def test_what_moves_nothing(
        self, harvest: Command, opencast: OpencastSimulator, state: Path, tmp_path: Path, words: tuple[str, ...]
    ) -> None:
        out = str(tmp_path / "out.jsonl")
        assert harvest("useractions", "-i", "10", "-o", out).code == 0
        before = kept(state, USERACTIONS)
        assert harvest("useractions", *words, "-o", out).code == 0
        assert kept(state, USERACTIONS) == before

    def test_who_finds_the_lease_held(
        self, harvest: Command, opencast: OpencastSimulator, state: Path, tmp_path: Path
    ) -> None:
        state.mkdir()
        owner = {"host": "elsewhere", "system": "", "pid": 1, "started": ""}
        lease = {"owner": owner, "expires": "2999-01-01T00:00:00Z", "generation": 1, "released": False, "token": "x"}
        (state / f"{USERACTIONS}.lease").write_text(json.dumps(lease))
        assert harvest("useractions", "-o", str(tmp_path / "out.jsonl")).code == 75
        assert kept(state, USERACTIONS) is None

    def test_a_dump_a_day_by_hand_and_a_wrong_command_line(
        self,
        harvest: Command,
        opencast: OpencastSimulator,
        zoom: ZoomSimulator,  # noqa: F811
        state: Path,
        tmp_path: Path,
    ) -> None:
        dump = tmp_path / "dump.json"
        dump.write_text('{"a": {"type": "heart"}}')
        assert harvest("firebase", "load", str(dump), "-o", "-").code == 0
        assert harvest("zoom", "-o", str(tmp_path / "out.jsonl")).code == 0
        assert harvest("useractions", "-s", "20260102000000", "-e", "20260101000000", "-o", "-").code == 2
        assert not list(state.glob("*.last-runs"))


def test_a_run_whose_record_cannot_be_kept_is_worth_the_same(
    harvest: Command, opencast: OpencastSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: RunRecords, record: RunRecord) -> None:
        raise Unavailable("the store is away")

    monkeypatch.setattr(RunRecords, "keep", away)
    result = harvest("useractions", "-i", "10", "-o", str(tmp_path / "out.jsonl"))
    assert result.code == 0
    assert result.err.count("is not kept for `harvest.py status`: the store is away") == 1


def test_one_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import threading

    never = threading.Event()
    monkeypatch.setattr(records, "WITHIN", 0.05)
    monkeypatch.setattr(RunRecords, "keep", lambda self, record: never.wait())
    keeper = records.RecordKeeper(RunRecords(FileBlob(tmp_path / "runs")))
    keeper.ended(None, None, None)  # type: ignore[arg-type]
    never.set()


def test_of_two_that_end_at_once_none_is_lost(tmp_path: Path) -> None:
    now = datetime(2026, 2, 13, tzinfo=UTC)
    good = RunRecord(now, now, 0.0, 0, "done", "a", {})
    late = RunRecord(now, now + timedelta(seconds=9), 9.0, 69, "ended with 69", "b", {})
    for order in ([good, late], [late, good]):
        store = RunRecords(FileBlob(tmp_path / f"{order[0].host}"))
        for record in order:
            store.keep(record)
        assert store.load() == Kept(late, good)


def test_what_is_no_record_is_written_anew(tmp_path: Path) -> None:
    now = datetime(2026, 2, 13, tzinfo=UTC)
    for junk in ("", "[]", "no JSON", '{"last_run": {"started": 1}, "last_success": null}'):
        (tmp_path / "runs").write_text(junk)
        store = RunRecords(FileBlob(tmp_path / "runs"))
        assert store.load() == Kept()
        store.keep(RunRecord(now, now, 0.0, 0, "done", "a", {}))
        assert store.load().last_success is not None


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_run_that_stays_is_running_until_it_ends(
    elasticmq_url: str, state: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    queue = Queue()
    try:
        queue.fill(["poison"] * 3)
        environment = {**os.environ, "SQS_QUEUE_NAME": queue.name, "ES_HOST": "127.0.0.1:1"}
        words = ["index", "--follow", "--workers", workers]
        with subprocess.Popen([*HARVEST, *words], env=environment, stderr=subprocess.PIPE) as process:
            try:
                wait(lambda: kept(state, "index") is not None and queue.empty)
                running = last(state, "index")
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=30)
            finally:
                process.kill()
        assert (running["ended"], running["exit_code"], running["outcome"]) == (None, None, "running")
        ended = last(state, "index")
        assert (ended["exit_code"], ended["outcome"], ended["counts"]["dead"]) == (0, "done", 3)
    finally:
        queue.remove()


def test_events_that_are_followed(database: FirebaseSimulator, state: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harvesters", "--env-file", os.devnull, "firebase", "events", "--follow"]
    environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"}
    out = tmp_path / "out.jsonl"
    with subprocess.Popen([*command, "-o", str(out)], env=environment) as process:
        try:
            wait(lambda: out.exists() and len(out.read_text().splitlines()) == 80)
            wait(lambda: kept(state, "last-firebase-event") is not None)
            assert last(state, "last-firebase-event")["outcome"] == "running"
        finally:
            process.terminate()
    assert process.returncode == 0
    assert last(state, "last-firebase-event")["counts"]["delivered"] == 80
