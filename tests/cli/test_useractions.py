"""Every option, exit code and error message of ``harvest.py useractions``."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.simulators.base import Response
from harvesters.simulators.opencast.server import OpencastSimulator
from harvesters.simulators.opencast.table import Criteria
from harvesters.standins.redis import Redis
from tests.cli.conftest import PASSWORD, USER, Command, spoil

ALL = {str(number) for number in range(100, 110)}


def ids(documents: list[dict[str, Any]]) -> set[str]:
    return {str(document["action_id"]) for document in documents}


def moments(simulator: OpencastSimulator) -> list[datetime]:
    """When its ten actions happened, in order."""
    _, rows = simulator.table.select(Criteria(), datetime.now(UTC), 0, 10)
    return sorted(row.created for row in rows)


def compact(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S")


class TestOutput:
    def test_a_dash_writes_json_lines_to_stdout_and_logs_to_stderr(
        self, harvest: Command, opencast: OpencastSimulator
    ) -> None:
        result = harvest("useractions", "-i", "10", "-o", "-")
        assert result.code == 0
        assert ids(result.documents) == ALL
        assert "useractions done" in result.err

    def test_the_queue_name_dash_is_stdout_too(self, harvest: Command, opencast: OpencastSimulator) -> None:
        assert ids(harvest("useractions", "-i", "10", "-q", "-").documents) == ALL
        result = harvest("useractions", "-i", "10", "--no-update-last-ts", env={"SQS_QUEUE_NAME": "-"})
        assert result.code == 0

    def test_with_redis_stdout_gets_everything_again_when_the_checkpoint_is_gone(
        self, harvest: Command, opencast: OpencastSimulator, redis_server: Redis, state: Path
    ) -> None:
        redis_server.flush()
        env = {"REDIS_URL": redis_server.url, "HARVEST_LOOKBACK": "600"}
        assert ids(harvest("useractions", "-i", "10", "-o", "-", env=env).documents) == ALL
        assert harvest("useractions", "-i", "10", "-o", "-", env=env).documents == []
        (state / "last-action-timestamp").unlink()
        assert ids(harvest("useractions", "-i", "10", "-o", "-", env=env).documents) == ALL

    def test_a_path_is_a_file_that_is_appended_to(
        self, harvest: Command, opencast: OpencastSimulator, tmp_path: Path
    ) -> None:
        path = tmp_path / "deep" / "actions.jsonl"
        for _ in range(2):
            assert harvest("useractions", "-s", "20200101000000", "--no-update-last-ts", "-o", str(path)).code == 0
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(lines) == 20
        assert ids(lines) == ALL

    def test_gz_is_compressed(self, harvest: Command, opencast: OpencastSimulator, tmp_path: Path) -> None:
        path = tmp_path / "actions.jsonl.gz"
        assert harvest("useractions", "-i", "10", "-b", "3", "--output", str(path)).code == 0
        assert ids([json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]) == ALL

    def test_sqs_is_the_default(
        self, harvest: Command, opencast: OpencastSimulator, aws: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import boto3

        assert harvest("useractions", "-i", "10", "--queue-name", "actions").code == 0
        client = boto3.client("sqs")
        url = client.get_queue_url(QueueName="actions")["QueueUrl"]
        messages = [client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []) for _ in range(3)]
        assert ids([json.loads(message["Body"]) for some in messages for message in some]) == ALL

    def test_without_any_output_it_is_a_configuration_error(
        self, harvest: Command, opencast: OpencastSimulator
    ) -> None:
        result = harvest("useractions")
        assert result.code == 78
        assert "SQS_QUEUE_NAME" in result.err
        assert "--output" in result.err

    def test_a_file_that_cannot_be_written_is_named(
        self, harvest: Command, opencast: OpencastSimulator, tmp_path: Path, checkpoint: Path
    ) -> None:
        result = harvest("useractions", "-i", "10", "-o", str(tmp_path))
        assert result.code == 78
        assert str(tmp_path) in result.err
        assert not checkpoint.exists()

    @pytest.mark.parametrize("extra", [(), ("--no-update-last-ts",)])
    def test_a_device_is_no_file(self, harvest: Command, opencast: OpencastSimulator, extra: tuple[str, ...]) -> None:
        result = harvest("useractions", "-i", "10", "-o", "/dev/null", *extra)
        assert result.code == 78
        assert "no regular file" in result.err


class TestWindow:
    @pytest.mark.parametrize("spelling", ["%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%SZ"])
    def test_start_is_inclusive_and_end_exclusive(
        self, harvest: Command, opencast: OpencastSimulator, spelling: str
    ) -> None:
        times = moments(opencast)
        result = harvest(
            *("useractions", "--start", times[2].strftime(spelling), "--end", times[5].strftime(spelling)),
            *("--no-update-last-ts", "-o", "-"),
        )
        assert ids(result.documents) == {"102", "103", "104"}

    def test_times_without_an_offset_are_in_opencast_timezone(
        self, harvest: Command, opencast: OpencastSimulator
    ) -> None:
        # The simulator's own zone is UTC, so the window is given in another one, as ISO with and without its offset.
        times = moments(opencast)
        offset = timedelta(hours=-5)
        start = (times[0] + offset).strftime("%Y-%m-%dT%H:%M:%S-05:00")
        assert ids(harvest("useractions", "-s", start, "--no-update-last-ts", "-o", "-").documents) == ALL

    def test_a_live_run_begins_at_the_checkpoint(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_text(compact(moments(opencast)[6]) + "Z\n")
        result = harvest("useractions", "-o", "-", env={"HARVEST_LOOKBACK": "0"})
        assert ids(result.documents) == {"106", "107", "108", "109"}

    def test_the_lookback_reads_before_the_checkpoint(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_text(compact(moments(opencast)[6]) + "Z")
        result = harvest("useractions", "-o", "-", env={"HARVEST_LOOKBACK": "20"})
        assert ids(result.documents) == {"104", "105", "106", "107", "108", "109"}

    def test_a_start_at_the_checkpoint_reads_the_lookback_too(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        start = compact(moments(opencast)[6])
        for arguments, first in ((("-s", start), 104), (("-s", start, "--no-update-last-ts"), 106)):
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_text(f"{start}Z")
            checkpoint.with_suffix(".owner").write_text("-")
            result = harvest("useractions", *arguments, "-o", "-", env={"HARVEST_LOOKBACK": "20"})
            assert ids(result.documents) == {str(number) for number in range(first, 110)}

    def test_a_checkpoint_without_z_is_in_opencast_timezone(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_text(compact(moments(opencast)[6]))
        checkpoint.with_suffix(".owner").write_text("-")
        result = harvest("useractions", "-o", "-", env={"HARVEST_LOOKBACK": "0", "OPENCAST_TIMEZONE": "UTC"})
        assert ids(result.documents) == {"106", "107", "108", "109"}
        assert checkpoint.read_text().endswith("Z")

    def test_default_interval_is_two_minutes(self, harvest: Command, opencast: OpencastSimulator) -> None:
        found = ids(harvest("useractions", "-o", "-").documents)
        assert found
        assert found < ALL

    def test_interval_is_a_setting_too(self, harvest: Command, opencast: OpencastSimulator) -> None:
        assert ids(harvest("useractions", "-o", "-", env={"DEFAULT_INTERVAL": "10"}).documents) == ALL

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--start", "yesterday"),
            ("--end", "2026-13-01"),
            ("--start", "20260213"[:6]),
            ("--start", "20260214000000", "--end", "20260213000000"),
            ("--batch-size", "0"),
            ("--interval", "-1"),
            ("--wait", "-1"),
            ("--no-such-option",),
        ],
    )
    def test_what_cannot_be_read_is_usage(
        self, harvest: Command, opencast: OpencastSimulator, arguments: tuple[str, ...], checkpoint: Path
    ) -> None:
        result = harvest("useractions", "-o", "-", *arguments)
        assert result.code == 2
        assert result.out == ""
        assert not checkpoint.exists()

    def test_an_end_in_the_future_is_cut_back_to_now(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        later = datetime.now(UTC) + timedelta(days=1)
        result = harvest("useractions", "-i", "10", "-e", compact(later), "-o", "-")
        assert result.code == 0
        assert "cut back to now" in result.err
        assert checkpoint.read_text() <= compact(datetime.now(UTC)) + "Z"


class TestGuard:
    def test_a_long_window_is_refused_with_both_remedies(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        checkpoint.parent.mkdir(parents=True)
        # Two days and ten seconds: the seconds within the last day alone would pass.
        stored = compact(datetime.now(UTC) - timedelta(days=2, seconds=10)) + "Z"
        checkpoint.write_text(stored)
        result = harvest("useractions", "-o", "-", env={"MAX_START_END_SPAN": "3600"})
        assert result.code == 3
        assert "--disable-start-end-span-check" in result.err
        assert str(checkpoint) in result.err
        assert checkpoint.read_text() == stored

    def test_the_check_can_be_disabled(self, harvest: Command, opencast: OpencastSimulator) -> None:
        arguments = ("useractions", "-i", "100", "-o", "-")
        assert harvest(*arguments, env={"MAX_START_END_SPAN": "3600"}).code == 3
        result = harvest(*arguments, "--disable-start-end-span-check", env={"MAX_START_END_SPAN": "3600"})
        assert ids(result.documents) == ALL


class TestCheckpoint:
    def test_it_is_the_end_of_the_window_also_of_an_empty_one(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        end = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20)
        result = harvest("useractions", "-s", compact(end - timedelta(minutes=5)), "-e", compact(end), "-o", "-")
        assert result.code == 0
        assert result.out == ""
        assert checkpoint.read_text() == compact(end) + "Z"

    def test_a_range_that_touches_it_moves_it_forward_only(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        checkpoint.parent.mkdir(parents=True)
        times = moments(opencast)
        checkpoint.write_text(compact(times[5]) + "Z")
        checkpoint.with_suffix(".owner").write_text("-")
        assert harvest("useractions", "-s", compact(times[2]), "-e", compact(times[8]), "-o", "-").code == 0
        assert checkpoint.read_text() == compact(times[8]) + "Z"

    @pytest.mark.parametrize(("start", "end"), [(0, 3), (6, 8)])
    def test_a_range_that_does_not_touch_it_leaves_it_and_says_so(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, start: int, end: int
    ) -> None:
        checkpoint.parent.mkdir(parents=True)
        times = moments(opencast)
        stored = compact(times[4]) + "Z"
        checkpoint.write_text(stored)
        result = harvest("useractions", "-s", compact(times[start]), "-e", compact(times[end]), "-o", "-")
        assert result.code == 0
        assert len(result.documents) == end - start
        assert "does not touch" in result.err
        assert checkpoint.read_text() == stored

    def test_no_update_last_ts_touches_neither_checkpoint_nor_lease(
        self, harvest: Command, opencast: OpencastSimulator, state: Path
    ) -> None:
        assert harvest("useractions", "-s", "20200101000000", "--no-update-last-ts", "-o", "-").code == 0
        assert not state.exists()

    def test_junk_is_left_as_it_is(self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path) -> None:
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_text("last tuesday")
        result = harvest("useractions", "-o", "-")
        assert result.code == 78
        assert str(checkpoint) in result.err
        assert checkpoint.read_text() == "last tuesday"

    def test_one_in_the_future_is_a_warning(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        checkpoint.parent.mkdir(parents=True)
        stored = compact(datetime.now(UTC) + timedelta(hours=1)) + "Z"
        checkpoint.write_text(stored)
        result = harvest("useractions", "-o", "-")
        assert (result.code, result.out) == (0, "")
        assert "WARNING" in result.err
        assert "future" in result.err
        assert checkpoint.read_text() == stored

    def test_it_lives_in_s3_when_there_is_a_bucket(
        self, harvest: Command, opencast: OpencastSimulator, aws: str
    ) -> None:
        import boto3

        settings = {"S3_HARVEST_TS_BUCKET": "timestamps", "S3_LAST_ACTION_TS_KEY": "deep/last"}
        assert harvest("useractions", "-i", "10", "-o", "-", env=settings).code == 0
        stored = boto3.client("s3").get_object(Bucket="timestamps", Key="deep/last")["Body"].read().decode()
        assert datetime.strptime(stored, "%Y%m%d%H%M%SZ")

    def test_a_lease_of_somebody_else_is_75(self, harvest: Command, opencast: OpencastSimulator, state: Path) -> None:
        state.mkdir()
        expires = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
        owner = {"host": "other.example.edu", "system": "x", "pid": 4242, "started": "1"}
        lease = {"owner": owner, "expires": expires, "generation": 1, "released": False, "token": "t"}
        (state / "last-action-timestamp.lease").write_text(json.dumps(lease))
        result = harvest("useractions", "-o", "-")
        assert (result.code, result.out) == (75, "")
        assert "4242 on other.example.edu until" in result.err
        assert harvest("useractions", "-i", "10", "--no-update-last-ts", "-o", "-").code == 0


class TestSource:
    @pytest.mark.parametrize("name", ["MATTERHORN_ENGAGE_HOST", "MATTERHORN_REST_USER", "MATTERHORN_REST_PASS"])
    def test_a_missing_setting_is_named(self, harvest: Command, opencast: OpencastSimulator, name: str) -> None:
        result = harvest("useractions", "-o", "-", env={name: ""})
        assert result.code == 78
        assert name in result.err

    def test_flags_win_over_settings(self, harvest: Command, opencast: OpencastSimulator) -> None:
        wrong = dict.fromkeys(("MATTERHORN_ENGAGE_HOST", "MATTERHORN_REST_USER"), "127.0.0.1:1")
        result = harvest(
            *("useractions", "-i", "10", "-o", "-", "--engage-host", opencast.url, "--user", USER),
            *("--password", PASSWORD),
            env=wrong | {"MATTERHORN_REST_PASS": "wrong"},
        )
        assert ids(result.documents) == ALL

    def test_a_wrong_password_is_77(self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path) -> None:
        result = harvest("useractions", "-o", "-", "-p", "wrong-pass")
        assert result.code == 77
        assert "MATTERHORN_REST_PASS" in result.err
        assert not checkpoint.exists()

    def test_basic_is_an_option(self, harvest: Command, opencast: OpencastSimulator) -> None:
        assert ids(harvest("useractions", "-i", "10", "-o", "-", env={"OPENCAST_AUTH": "basic"}).documents) == ALL
        assert all("digest" not in request.headers.get("authorization", "").lower() for request in opencast.requests)

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("OPENCAST_AUTH", "kerberos"),
            ("OPENCAST_TIMEZONE", "Mars/Olympus"),
            ("MAX_START_END_SPAN", "a day"),
            ("DEFAULT_INTERVAL", "two"),
            ("HARVEST_LOOKBACK", "-1"),
            ("HARVEST_ERROR_BUDGET", "some"),
            ("HARVEST_RETRY_BUDGET", "nan"),
            ("HARVEST_DEAD_LETTERS", "ftp://x"),
            ("EPISODE_CACHE_EXPIRE", "soon"),
            ("MATTERHORN_ENGAGE_HOST", "ftp://host"),
            ("REDIS_URL", "localhost"),
        ],
    )
    def test_an_unreadable_setting_is_named(
        self, harvest: Command, opencast: OpencastSimulator, setting: str, value: str
    ) -> None:
        result = harvest("useractions", "-o", "-", env={setting: value})
        assert result.code == 78
        assert setting in result.err

    def test_a_source_that_is_down_is_69_and_the_checkpoint_stays(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        opencast.fail("status", times=100, response=Response(503))
        result = harvest("useractions", "-o", "-", env={"HARVEST_RETRY_BUDGET": "0"})
        assert result.code == 69
        assert "503" in result.err
        assert not checkpoint.exists()

    def test_an_episode_that_the_search_refuses_is_a_missing_one(
        self, harvest: Command, opencast: OpencastSimulator
    ) -> None:
        opencast.fail("status", path="/search/", response=Response(400))
        result = harvest("useractions", "-i", "10", "-o", "-")
        assert result.code == 0
        assert [document["episode"] for document in result.documents] == [{}] * 10

    def test_plugin_off_is_76_and_says_which(self, harvest: Command, opencast: OpencastSimulator) -> None:
        opencast.plugin = False
        result = harvest("useractions", "-o", "-")
        assert result.code == 76
        assert "opencast-plugin-usertracking" in result.err

    def test_batch_size_is_the_limit_of_each_request(self, harvest: Command, opencast: OpencastSimulator) -> None:
        assert ids(harvest("useractions", "-i", "10", "-b", "4", "-o", "-").documents) == ALL
        pages = [request for request in opencast.requests if request.param("start") > "2" and request.param("end")]
        limits = [request.param("limit") for request in pages]
        assert [limit for limit in limits if limit != "1"] == ["4", "4", "4"]  # 1: finding out the dialect

    def test_wait_pauses_between_requests(
        self, harvest: Command, opencast: OpencastSimulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr("harvesters.clock.SystemClock.sleep", lambda clock, seconds: pauses.append(seconds))
        assert ids(harvest("useractions", "-i", "10", "-b", "4", "-w", "7", "-o", "-").documents) == ALL
        assert pauses == [7.0, 7.0]


class TestReport:
    FIELDS = (
        *("window", "pages", "rows", "documents", "delivered", "duplicates", "dead", "cache_hits", "seconds"),
        *("rows_per_second", "checkpoint"),
    )

    def test_it_is_one_line_of_json(self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path) -> None:
        result = harvest("--log-format", "json", "useractions", "-i", "10", "-b", "4", "-o", "-")
        report = result.report
        assert set(self.FIELDS) <= set(report)
        assert report["rows"] == report["documents"] == report["delivered"] == 10
        assert report["pages"] == 3
        assert report["checkpoint"] == checkpoint.read_text()
        assert report["outcome"] == "done"

    def test_poison_is_counted_and_kept(
        self, harvest: Command, opencast: OpencastSimulator, state: Path, checkpoint: Path
    ) -> None:
        spoil(opencast, 103)
        result = harvest("--log-format", "json", "useractions", "-i", "10", "-o", "-")
        assert result.code == 0
        assert (result.report["dead"], result.report["delivered"]) == (1, 9)
        (file,) = (state / "dead-letters").iterdir()
        letter = json.loads(file.read_text())
        assert (letter["id"], letter["row"]["id"]) == ("103", 103)
        assert "far" in letter["reason"]
        assert file.stat().st_mode & 0o077 == 0

    def test_over_the_error_budget_is_65(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, state: Path
    ) -> None:
        spoil(opencast, 103)
        arguments = ("useractions", "-i", "10", "-o", "-")
        for _ in range(2):  # not forgiven the second time
            result = harvest(*arguments, env={"HARVEST_ERROR_BUDGET": "0"})
            assert result.code == 65
            assert str(state / "dead-letters") in result.err
            assert not checkpoint.exists()
        assert harvest(*arguments, env={"HARVEST_ERROR_BUDGET": "1"}).code == 0
        letters = [line for file in (state / "dead-letters").glob("*.jsonl") for line in file.read_text().splitlines()]
        assert len(letters) == 1, "written by the first run, and by no other"

    def test_log_level_warning_is_silent_when_all_is_well(
        self, harvest: Command, opencast: OpencastSimulator, redis_url: str
    ) -> None:
        result = harvest("--log-level", "warning", "useractions", "-o", "-", env={"REDIS_URL": redis_url})
        assert (result.code, result.err) == (0, "")


class TestRedelivery:
    def test_with_redis_a_row_is_delivered_once_per_output(
        self, harvest: Command, opencast: OpencastSimulator, redis_url: str, tmp_path: Path, checkpoint: Path
    ) -> None:
        settings = {"REDIS_URL": redis_url, "HARVEST_LOOKBACK": "600"}
        assert ids(harvest("useractions", "-i", "10", "-o", "-", env=settings).documents) == ALL
        again = harvest("--log-format", "json", "useractions", "-o", "-", env=settings)
        assert again.documents == []
        assert again.report["duplicates"] == 10
        other = harvest("useractions", "-o", str(tmp_path / "f.jsonl"), env=settings)
        assert other.code == 0
        assert len((tmp_path / "f.jsonl").read_text().splitlines()) == 10

    def test_a_footprint_that_grew_goes_out_again(
        self, harvest: Command, opencast: OpencastSimulator, redis_url: str
    ) -> None:
        settings = {"REDIS_URL": redis_url, "HARVEST_LOOKBACK": "600"}
        harvest("useractions", "-i", "10", "-o", "-", env=settings)
        opencast.update(104, outpoint=999)
        (document,) = harvest("useractions", "-o", "-", env=settings).documents
        assert (document["action_id"], document["action"]["outpoint"]) == (104, 999)

    def test_a_file_that_was_deleted_is_filled_again(
        self, harvest: Command, opencast: OpencastSimulator, redis_url: str, tmp_path: Path, checkpoint: Path
    ) -> None:
        path = tmp_path / "f.jsonl"
        for _ in range(2):
            harvest("useractions", "-i", "10", "-o", str(path), env={"REDIS_URL": redis_url})
            assert len(path.read_text().splitlines()) == 10
            path.unlink()
            checkpoint.unlink()

    def test_a_range_by_hand_is_always_sent_whole(
        self, harvest: Command, opencast: OpencastSimulator, redis_url: str
    ) -> None:
        arguments = ("useractions", "-s", "20200101000000", "-o", "-", "--no-update-last-ts")
        for _ in range(2):
            assert ids(harvest(*arguments, env={"REDIS_URL": redis_url}).documents) == ALL


class TestAsAProcess:
    COMMAND = (sys.executable, "-m", "harvesters", "--env-file", os.devnull)

    def test_a_reader_that_leaves_early_ends_it_quietly_and_the_checkpoint_stays(
        self, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        finished = subprocess.run(
            [*self.COMMAND, "--log-level", "ERROR", "useractions", "-i", "10", "-o", "-"],
            env={**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"},
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(writer)
        assert (finished.returncode, finished.stderr) == (0, b"")
        assert not checkpoint.exists()

    def test_a_progress_bar_shows_on_a_terminal_only(self, opencast: OpencastSimulator) -> None:
        arguments = [*self.COMMAND, "--log-level", "ERROR", "useractions", "-i", "120", "-o", "-"]
        environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0", "TERM": "xterm"}
        plain = subprocess.run([*arguments, "--no-update-last-ts"], env=environment, capture_output=True, check=True)
        assert plain.stderr == b""
        terminal, side = pty.openpty()
        process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=side)
        os.close(side)
        shown = b""
        while True:
            try:
                chunk = os.read(terminal, 4096)
            except OSError:
                break  # the other side has closed
            shown += chunk
            if not chunk:
                break
        os.close(terminal)
        assert process.wait() == 0
        assert b"harvesting" in shown
        assert b"100%" in shown
