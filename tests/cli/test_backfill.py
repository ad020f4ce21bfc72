"""``harvest.py backfill`` on this machine: windows, state, gaps, failures, and what it says."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from harvesters.process import Process
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Lease
from tests.cli.conftest import Command
from tests.cli.past import DAY, PASSWORD, USER, WINDOWS, Backfills, Past, broken, point_at
from tests.clocks import FakeClock


def parts(windows: Any) -> list[str]:
    return [f"{one['start']}/{one['end']}" for one in windows]


def objects(state: Path) -> list[str]:
    return sorted(path.name for path in state.iterdir() if not path.name.startswith("."))


class TestWindows:
    def test_a_day_in_steps(self, past: Backfills, state: Path) -> None:
        assert past.run("--dry-run").out.splitlines() == WINDOWS
        assert not past.output.exists()
        result = past.run()
        assert result.code == 0
        assert past.is_whole()
        assert sorted({*past.server.asked}) == [f"20260201{hour:02}0000" for hour in range(0, 24, 4)]

    def test_the_live_checkpoint_and_its_lease_are_left_alone(self, past: Backfills, state: Path) -> None:
        assert past.run().code == 0
        names = objects(state)
        assert [name.partition("backfill-")[0] for name in names] == ["last-action-timestamp."] * 2
        assert names[1] == f"{names[0]}.lease"

    def test_with_nothing_to_do_the_source_is_asked_nothing(self, past: Backfills) -> None:
        past.run()
        past.server.requests.clear()
        result = past.run()
        assert result.code == 0
        assert "nothing to do" in result.err
        assert not past.server.requests
        assert past.run("--dry-run").out == ""
        assert not past.server.requests

    def test_a_wider_range_does_only_its_gaps(self, past: Backfills) -> None:
        past.run(span=("-s", "2026-02-01T08:00Z", "-e", "2026-02-01T12:00Z", "--step", "4h"))
        past.server.requests.clear()
        assert past.run().code == 0
        assert past.is_whole()
        assert "20260201080000" not in past.server.asked

    def test_the_past_of_a_range_without_rows_is_done_once_too(self, past: Backfills) -> None:
        quiet = ("-s", "2026-01-01", "-e", "2026-01-02", "--step", "1d")
        assert past.run(span=quiet).code == 0
        past.server.requests.clear()
        assert past.run(span=quiet).code == 0
        assert not past.server.requests

    def test_an_end_in_the_future_is_now(self, past: Backfills) -> None:
        now = datetime.now(UTC)
        span = ("-s", (now - timedelta(hours=2)).isoformat(), "-e", (now + timedelta(days=2)).isoformat())
        assert past.run(span=span).code == 0
        found = past.status()
        assert found["missing"] == []
        assert abs(datetime.fromisoformat(found["range"]["end"]) - now) < timedelta(minutes=2)

    def test_a_long_range_meets_no_span_guard(self, past: Backfills) -> None:
        assert past.run(MAX_START_END_SPAN="60").code == 0
        assert past.is_whole()

    def test_a_stock_opencast_is_read_a_day_at_a_time(self, past: Backfills, monkeypatch: pytest.MonkeyPatch) -> None:
        zone = "America/New_York"
        with Past(user=USER, password=PASSWORD, dialect="stock", timezone=zone) as stock:
            point_at(stock, monkeypatch)
            monkeypatch.setenv("OPENCAST_TIMEZONE", zone)
            two_days = ("-s", "2026-01-31T12:00", "-e", "2026-02-01T15:00", "--step", "1h")
            assert past.run("--dry-run", span=two_days).out.splitlines() == [
                "2026-01-31T17:00:00Z/2026-02-01T05:00:00Z",
                "2026-02-01T05:00:00Z/2026-02-01T20:00:00Z",
            ]
            within = ("-s", "2026-02-01T01:00", "-e", "2026-02-01T15:00", "--step", "1h")
            assert past.run(span=within).code == 0
            assert past.delivered == Counter({100 + number: 1 for number in range(36, 120)})
            assert len([one for one in stock.requests if one.param("limit") == "1000"]) < 4, "not once an hour"

    def test_again_does_it_anew(self, past: Backfills) -> None:
        past.run()
        assert past.run("--again", span=("-s", "2026-02-01T00:00Z", "-e", "2026-02-01T04:00Z")).code == 0
        assert {count for row, count in past.delivered.items() if row < 124} == {2}
        assert {count for row, count in past.delivered.items() if row >= 124} == {1}

    def test_an_output_that_was_emptied_is_another_one(self, past: Backfills) -> None:
        past.run()
        past.output.unlink()
        assert past.status()["range"] is None
        assert past.run().code == 0
        assert past.is_whole()

    def test_outputs_have_states_of_their_own(self, past: Backfills, tmp_path: Path) -> None:
        past.run()
        other = tmp_path / "other.jsonl"
        assert past.run("-o", str(other)).code == 0
        assert other.read_text() == past.output.read_text()

    def test_forks_do_what_one_thread_does(self, past: Backfills) -> None:
        from tests.cli.processes import run

        result = run("backfill", "useractions", *DAY, "--workers", "3", "-o", str(past.output))
        assert result.returncode == 0, result.stderr
        assert past.is_whole()


class TestFailures:
    def test_one_window_that_fails_stops_no_other_and_is_named(self, past: Backfills) -> None:
        past.server.trouble = broken(8)
        result = past.run()
        assert result.code == 69
        assert f"failed: {WINDOWS[2]} with 69" in result.err
        assert "1 of 6 windows failed" in result.err
        found = past.status()
        assert parts(found["failed"]) == [WINDOWS[2]]
        assert found["failed"][0]["code"] == 69
        assert "500" in found["failed"][0]["error"]
        assert found["missing"] == []
        past.server.trouble = broken()
        assert past.run().code == 0
        assert past.is_whole()
        assert past.status()["failed"] == []

    def test_many_in_a_row_end_the_run(self, past: Backfills) -> None:
        past.server.trouble = broken(4, 8, 12, 16)
        result = past.run("--max-failures", "2")
        assert result.code == 69
        assert "in a row" in result.err
        found = past.status()
        assert parts(found["failed"]) == WINDOWS[1:3]
        assert parts(found["missing"]) == ["2026-02-01T12:00:00Z/2026-02-02T00:00:00Z"]

    @pytest.mark.parametrize(("status", "code"), [(401, 77), (404, 76)])
    def test_what_is_wrong_with_all_windows_is_tried_once(self, past: Backfills, status: int, code: int) -> None:
        past.server.trouble = broken(*range(24), status=status)
        result = past.run()
        assert result.code == code
        assert len({*past.server.asked}) == 1
        assert parts(past.status()["failed"]) == WINDOWS[:1]

    def test_a_rate_limit_ends_the_run_and_the_same_command_goes_on(self, past: Backfills) -> None:
        past.server.trouble = broken(8, status=429)
        result = past.run()
        assert result.code == 75
        found = past.status()
        assert found["failed"] == []
        assert parts(found["missing"]) == ["2026-02-01T08:00:00Z/2026-02-02T00:00:00Z"]
        past.server.trouble = broken()
        assert past.run().code == 0
        assert past.is_whole()

    def test_a_bug_is_a_failure_of_its_window(self, past: Backfills, monkeypatch: pytest.MonkeyPatch) -> None:
        from harvesters.opencast.useractions import UserActions

        pages = UserActions.pages

        def buggy(self: UserActions, window: Any) -> Any:
            if window.start.hour == 4:
                raise RuntimeError("no such thing")
            return pages(self, window)

        monkeypatch.setattr(UserActions, "pages", buggy)
        result = past.run()
        assert result.code == 69
        assert [(one["code"], one["error"]) for one in past.status()["failed"]] == [
            (1, "a bug: RuntimeError: no such thing")
        ]

    def test_dead_letters_over_the_budget_fail_their_window_alone(self, past: Backfills, state: Path) -> None:
        from tests.cli.conftest import spoil

        spoil(past.server, 130)
        result = past.run(HARVEST_ERROR_BUDGET="0")
        assert result.code == 69
        assert [one["code"] for one in past.status()["failed"]] == [65]
        assert parts(past.status()["failed"]) == [WINDOWS[1]]


class TestTwo:
    def test_a_second_process_says_who_is_at_it(self, past: Backfills, state: Path) -> None:
        past.run()
        name = objects(state)[0]
        with Lease(FileBlob(state / f"{name}.lease"), FakeClock()):
            result = past.run("--again")
            assert result.code == 75
            assert f"process {Process.current().pid} on" in result.err
            assert past.status()["missing"] == []

    def test_a_window_that_another_process_is_at_is_running(self, past: Backfills, state: Path) -> None:
        past.run()
        path = state / objects(state)[0]
        content = json.loads(path.read_text())
        here = Process.current()
        worker = {"host": here.host, "system": here.system, "pid": here.pid, "started": here.started}
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        claim = {"start": "2026-02-03T00:00:00Z", "end": "2026-02-03T01:00:00Z", "token": "x", "expires": later}
        content["running"] = [{**claim, "worker": worker}]
        content["range"]["end"] = "2026-02-03T02:00:00Z"
        path.write_text(json.dumps(content))
        found = past.status()
        assert found["running"] == [
            {"start": claim["start"], "end": claim["end"], "worker": f"{here.host}:{here.pid}"},
        ]
        assert parts(found["missing"]) == [
            "2026-02-02T00:00:00Z/2026-02-03T00:00:00Z",
            "2026-02-03T01:00:00Z/2026-02-03T02:00:00Z",
        ]
        content["running"] = [{**claim, "worker": {**worker, "started": "long ago"}}]
        path.write_text(json.dumps(content))
        assert past.status()["running"] == []
        assert parts(past.status()["missing"]) == ["2026-02-02T00:00:00Z/2026-02-03T02:00:00Z"]


class TestSaying:
    def test_the_status_of_what_was_never_asked_for(self, past: Backfills) -> None:
        found = past.status()
        assert found["range"] is None
        assert found["missing"] == []
        asked = past.status(span=("-s", "2026-02-01", "-e", "2026-02-02"))
        assert asked["missing"] == [asked["range"]]
        assert not past.server.requests

    def test_json_alone_prints_the_status_at_the_end(self, past: Backfills) -> None:
        result = past.run("--json")
        found = json.loads(result.out)
        assert {*found} == {"job", "id", "output", "range", "done", "running", "failed", "missing"}
        assert found["job"] == "useractions"
        assert found["output"] == str(past.output)
        assert found["range"] == {"start": "2026-02-01T00:00:00Z", "end": "2026-02-02T00:00:00Z"}
        assert found["done"] == [found["range"]]

    def test_status_for_people(self, past: Backfills) -> None:
        past.server.trouble = broken(20)
        past.run()
        lines = past.run("--status", span=()).out.splitlines()
        assert lines[1] == "done 2026-02-01T00:00:00Z/2026-02-01T20:00:00Z"
        assert lines[2].startswith(f"failed {WINDOWS[5]} 69 ")

    def test_the_report_of_the_whole_is_one_line(self, past: Backfills) -> None:
        lines = [line for line in past.run().err.splitlines() if " done: " in line]
        assert len(lines) == 1
        assert "windows=6 done=6 failed=0 delivered=144" in lines[0]

    def test_without_a_terminal_a_line_a_minute(self, past: Backfills, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("harvesters.cli.backfill._MINUTE", 0.0)
        lines = [line for line in past.run().err.splitlines() if "documents/s" in line]
        assert "0 of 6 windows" in lines[0]
        assert "6 of 6 windows" in lines[-1]
        assert "0 s left" in lines[-1]

    def test_far_along_in_words(self) -> None:
        from harvesters.cli.backfill import _words
        from harvesters.operate.foreman import Tally

        assert _words(Tally(10, 0, 50), 5.0) == "0 of 10 windows, 10 documents/s"
        assert _words(Tally(10, 4, 800), 400.0) == "4 of 10 windows, 2 documents/s, 10 min left"


class TestUsage:
    @pytest.mark.parametrize(
        "words",
        [
            ["useractions", "-s", "2026-02-01"],
            ["useractions", "-e", "2026-02-01"],
            ["useractions", "-s", "2026-02-02", "-e", "2026-02-01"],
            ["useractions", "-s", "yesterday", "-e", "2026-02-01"],
            ["index", "-s", "2026-02-01", "-e", "2026-02-02"],
            ["useraction", "-s", "2026-02-01", "-e", "2026-02-02"],
            *(["useractions", *DAY, "--step", step] for step in ("0", "0h", "3600", "-1h", "1 week", "0.1s")),
            ["useractions", *DAY, "--step", "0.0000001s"],
            ["useractions", *DAY, "--step", "99999999999999d"],
            ["useractions", "-s", "2006-02-01", "-e", "2026-02-01", "--step", "1s"],
            ["useractions", *DAY, "--workers", "0"],
            ["useractions", *DAY, "--max-failures", "0"],
            ["useractions", *DAY, "--status", "--dry-run"],
            ["load_episodes", "-s", "2026-02-01T01:00Z", "-e", "2026-02-02"],
            ["load_episodes", "-s", "2026-02-01", "-e", "2026-02-02", "--step", "12h"],
            ["zoom", "-s", "2020-02-01", "-e", "2020-02-02"],
        ],
        ids=" ".join,
    )
    def test_mistakes(self, past: Backfills, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MATTERHORN_ADMIN_HOST", past.server.url)
        for name in ("ZOOM_ACCOUNT_ID", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET"):
            monkeypatch.setenv(name, "zoom-thing")
        output = ["-o", "es"] if words[0] in ("load_episodes", "zoom") else ["-o", str(past.output)]
        result = past.harvest("backfill", *words, *output, env={"ES_HOST": "127.0.0.1:1"})
        assert result.code == 2, result.err
        assert not past.server.requests

    @pytest.mark.parametrize("words", [["-o", "-"], ["-q", "-", "-o", "sqs"], ["-q", "-", "-o", ""]], ids=str)
    def test_standard_output_is_refused_with_the_command_that_does_it(self, past: Backfills, words: list[str]) -> None:
        result = past.harvest("backfill", "useractions", "-s", "2026-02-01", "-e", "2026-02-02", *words)
        assert result.code == 2
        by_hand = "harvest.py useractions --start 2026-02-01 --end 2026-02-02 --no-update-last-ts --output -"
        assert by_hand in " ".join(result.err.split())

    def test_missing_settings_are_named_before_anything_is_asked(self, past: Backfills) -> None:
        result = past.harvest("backfill", "useractions", *DAY, env={"MATTERHORN_REST_PASS": ""})
        assert result.code == 78
        assert "SQS_QUEUE_NAME" in result.err
        assert "MATTERHORN_REST_PASS" in result.err

    def test_a_state_that_is_none_is_left_as_it_is(self, past: Backfills, state: Path) -> None:
        past.run()
        path = state / objects(state)[0]
        path.write_text("what?")
        result = past.run()
        assert result.code == 78
        assert "delete it" in result.err
        assert path.read_text() == "what?"


class TestALook:
    @pytest.mark.parametrize("look", ["--status", "--dry-run"])
    @pytest.mark.parametrize("queue", ["seen", "seen.fifo"])
    def test_it_makes_nothing(self, past: Backfills, aws: str, state: Path, look: str, queue: str) -> None:
        result = past.run(look, "-o", "sqs", "-q", queue)
        assert result.code == 0, result.err
        assert [line.split()[-1] for line in result.out.splitlines()][-1].endswith("/2026-02-02T00:00:00Z")
        assert "QueueUrls" not in boto3.client("sqs").list_queues()
        assert not state.exists()

    def test_a_queue_that_is_there_is_the_one_that_was_filled(self, past: Backfills, aws: str) -> None:
        sqs = ["-o", "sqs", "-q", "filled"]
        assert past.run(*sqs).code == 0
        assert past.status(*sqs)["missing"] == []
        assert past.run("--dry-run", *sqs).out == ""


class TestWorkers:
    def test_a_file_is_no_output(self, past: Backfills) -> None:
        result = past.run("--executor", "celery")
        assert result.code == 2
        assert "any machine" in result.err

    def test_without_the_extra_the_line_to_install_it(self, past: Backfills, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "celery", None)
        for words in (["backfill", "useractions", *DAY, "-o", "es", "--executor", "celery"], ["worker"]):
            result = past.harvest(*words)
            assert result.code == 78
            assert "pip install 'harvest[celery]'" in result.err

    def test_a_broker_that_is_none(self, past: Backfills, aws: str) -> None:
        pytest.importorskip("celery")
        span = ["-o", "sqs", "-q", "q", "--executor", "celery"]
        for words in (["backfill", "useractions", *DAY, *span], ["worker"]):
            result = past.harvest(*words, env={"CELERY_BROKER_URL": "nonsense://h", "HARVEST_RETRY_BUDGET": "0"})
            assert result.code == 78, result.err
            assert "CELERY_BROKER_URL" in result.err

    @pytest.mark.parametrize("words", [["--concurrency", "0"], ["--queue", "other"], ["now"]], ids=str)
    def test_mistakes_of_a_worker(self, harvest: Command, words: list[str]) -> None:
        assert harvest("worker", *words).code == 2


class TestStatusOfAllJobs:
    @pytest.mark.parametrize("bucket", [False, True], ids=["files", "s3"])
    def test_back_fills_are_counted_in_windows(
        self, past: Backfills, tmp_path: Path, aws: str, monkeypatch: pytest.MonkeyPatch, bucket: bool
    ) -> None:
        if bucket:
            monkeypatch.setenv("S3_HARVEST_TS_BUCKET", "state")
        past.server.trouble = broken(8)
        past.run("--max-failures", "1")
        past.server.trouble = broken()
        other = tmp_path / "other.jsonl"
        past.run("-o", str(other))
        past.server.requests.clear()
        found = json.loads(past.harvest("status", "useractions", "--json").out)["jobs"][0]["backfills"]
        counted = {one["output"]: (one["missing"], one["failed"]) for one in found}
        assert counted == {str(past.output): (3, 1), str(other): (0, 0)}
        assert {one["id"] for one in found} == {past.status()["id"], past.status("-o", str(other))["id"]}
        assert not past.server.requests
