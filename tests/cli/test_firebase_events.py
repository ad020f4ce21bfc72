"""``firebase events``: into every output, by hand, and for ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from harvesters.simulators.base import Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.standins.redis import Redis
from tests.cli.buddyup import EVENTS, count, ids
from tests.cli.conftest import Command
from tests.cli.processes import wait

ROOT = Path(__file__).parents[2]


class TestEvents:
    def test_by_default_into_elasticsearch_and_then_only_what_is_new(
        self, harvest: Command, database: FirebaseSimulator, prefix: str, elasticsearch_url: str, state: Path
    ) -> None:
        assert harvest("firebase", "events").code == 0
        assert count(elasticsearch_url, f"{prefix}events") == 80
        checkpoint = (state / "last-firebase-event").read_text()
        assert checkpoint == max(key for key in EVENTS if not key.startswith("group"))
        database.edit("/events/-ZZZZZZZZZZZZZZZZZZZ", {"type": "heart", "created_at": 1_456_700_000_000})
        result = harvest("--log-format", "json", "firebase", "events")
        assert result.report["rows"] < 20
        assert count(elasticsearch_url, f"{prefix}events") == 81

    def test_numbers_keep_their_spelling_and_odd_texts_end_nothing(
        self, harvest: Command, database: FirebaseSimulator, tmp_path: Path
    ) -> None:
        big, huge = "123456789012345678901234567890", "1e400"
        data = f'{{"n":[{big},-{huge}],"s":"\\ud83d","f":1.5}}'
        odd = f'{{"type":"heart","created_at":{huge},"data":{data},"app":"\\ud83d"}}'
        answer = f'{{"-ZZZZZZZZZZZZZZZZZZZ":{odd},"a":{{"type":"heart"}}}}'.encode()
        dump, exported = tmp_path / "dump.json", tmp_path / "lines.jsonl"
        dump.write_bytes(answer)
        database.fail("status", path="/events.json", response=Response(200, answer))
        assert harvest("firebase", "export", "events", "-o", str(exported)).code == 0
        database.fail("status", path="/events.json", response=Response(200, answer))
        outs = [harvest("firebase", "events", "-o", "-", "--no-update-checkpoint")]
        outs += [harvest("firebase", "load", str(file), "-o", "-") for file in (dump, exported)]
        for result in outs:
            assert result.code == 0, result.err
            line = next(line for line in result.out.splitlines() if "-ZZZ" in line)
            assert f'"n":[{big},-{huge}]' in line
            assert f'"created_at_raw":{huge}' in line
            assert '"f":1.5' in line
            assert len(result.documents) == 2
        database.fail("status", path="/users.json", response=Response(200, answer.replace(b"data", b"bio")))
        result = harvest("firebase", "profiles", "-o", "-")
        assert f'"n":[{big},-{huge}]' in result.out

    def test_elements_of_a_list_keep_the_ids_that_they_have(
        self, harvest: Command, database: FirebaseSimulator
    ) -> None:
        database.edit("/numbered", [{"id": "-uid-1", "type": "heart"}, None, {"id": "2", "type": "heart"}])
        assert isinstance(database.value("/numbered"), list)
        arguments = ["--path", "numbered", "-o", "-"]
        for command in (["events", "--no-update-checkpoint"], ["profiles"], ["classes"]):
            documents = harvest("firebase", *command, *arguments).documents
            assert [(line["id"], line.get("id_raw")) for line in documents] == [("0", "-uid-1"), ("2", None)]

    def test_with_redis_stdout_gets_everything_again_when_the_checkpoint_is_gone(
        self, harvest: Command, database: FirebaseSimulator, redis_server: Redis, state: Path
    ) -> None:
        redis_server.flush()
        env = {"REDIS_URL": redis_server.url}
        assert ids(harvest("firebase", "events", "-o", "-", env=env).documents) == set(EVENTS)
        assert harvest("firebase", "events", "-o", "-", env=env).documents == []
        (state / "last-firebase-event").unlink()
        assert ids(harvest("firebase", "events", "-o", "-", env=env).documents) == set(EVENTS)

    def test_the_checkpoint_has_a_name(self, harvest: Command, database: FirebaseSimulator, state: Path) -> None:
        assert harvest("firebase", "events", "-o", "-", env={"FIREBASE_CHECKPOINT": "mine"}).code == 0
        assert (state / "mine").exists()

    def test_the_checkpoint_lives_in_s3_when_there_is_a_bucket(
        self, harvest: Command, database: FirebaseSimulator, aws: str
    ) -> None:
        assert harvest("firebase", "events", "-o", "-", env={"S3_HARVEST_TS_BUCKET": "stamps"}).code == 0
        content = boto3.client("s3").get_object(Bucket="stamps", Key="last-firebase-event")["Body"].read()
        assert content.decode() in EVENTS

    def test_no_update_checkpoint(self, harvest: Command, database: FirebaseSimulator, state: Path) -> None:
        for _ in range(2):
            result = harvest("firebase", "events", "-o", "-", "--no-update-checkpoint")
            assert len(result.documents) == 80
        assert not (state / "last-firebase-event").exists()

    def test_into_a_queue(self, harvest: Command, database: FirebaseSimulator, aws: str) -> None:
        assert harvest("firebase", "events", "-o", "sqs", "--queue-name", "firebase-events").code == 0
        assert harvest("firebase", "events", "-o", "sqs").code == 78

    def test_another_path_and_page_size(self, harvest: Command, database: FirebaseSimulator) -> None:
        database.load("/apps/one/log", {"-KaBcDeFgHiJkLmNo001": {"type": "heart"}})
        result = harvest("firebase", "events", "-o", "-", "--path", "apps/one/log", "--page-size", "3")
        assert ids(result.documents) == {"-KaBcDeFgHiJkLmNo001"}
        assert database.requests[-1].param("limitToFirst") == "3"

    def test_a_range_by_hand(self, harvest: Command, database: FirebaseSimulator, state: Path) -> None:
        result = harvest("firebase", "events", "-o", "-", "-s", "20160201000000", "--end", "2016-02-11T00:00:00Z")
        wanted = {key for key, event in EVENTS.items() if 1_454_284_800_000 <= event["created_at"] < 1_455_148_800_000}
        assert ids(result.documents) == wanted
        assert 0 < len(wanted) < 80
        assert not (state / "last-firebase-event").exists()

    @pytest.mark.parametrize("end", ["1961-01-01", "2016-01-15"])
    def test_a_range_may_begin_before_push_ids_can_tell_the_time(
        self, harvest: Command, database: FirebaseSimulator, end: str
    ) -> None:
        result = harvest("firebase", "events", "-o", "-", "-s", "1960-01-01", "-e", end)
        assert result.code == 0, result.err
        last = datetime.fromisoformat(f"{end}T00:00:00Z").timestamp() * 1000
        assert ids(result.documents) == {key for key, event in EVENTS.items() if event["created_at"] < last}

    @pytest.mark.parametrize(
        "arguments",
        [
            ["-s", "nonsense"],
            ["-e", "2016-01-01"],
            ["-s", "2016-02-01", "-e", "2016-01-01"],
            ["--follow", "-s", "2016-01-01"],
        ],
    )
    def test_what_makes_no_range_is_usage(
        self, harvest: Command, database: FirebaseSimulator, arguments: list[str]
    ) -> None:
        assert harvest("firebase", "events", "-o", "-", *arguments).code == 2

    def test_lookback_is_a_setting(self, harvest: Command, database: FirebaseSimulator, tmp_path: Path) -> None:
        assert harvest("firebase", "events", "-o", "-").code == 0
        rows = []
        for number, lookback in enumerate(("0", "2592000")):
            out = str(tmp_path / f"{number}.jsonl")
            result = harvest(
                "--log-format", "json", "firebase", "events", "-o", out, env={"HARVEST_LOOKBACK": lookback}
            )
            rows.append(result.report["rows"])
        assert rows[0] < rows[1] < 80

    def test_a_lease_of_somebody_else_is_75(self, harvest: Command, database: FirebaseSimulator, state: Path) -> None:
        holder = {
            "owner": {"host": "elsewhere", "system": "x", "pid": 1, "started": "1"},
            "expires": "2999-01-01T00:00:00Z",
            "generation": 3,
            "released": False,
            "token": "t",
        }
        state.mkdir()
        for name in ("last-firebase-event", "last-firebase-event-profiles"):
            (state / f"{name}.lease").write_text(json.dumps(holder))
        for command in ("events", "profiles"):
            result = harvest("firebase", command, "-o", "-")
            assert result.code == 75
            assert "elsewhere" in result.err

    def test_junk_in_the_checkpoint_is_78(self, harvest: Command, database: FirebaseSimulator, state: Path) -> None:
        state.mkdir()
        (state / "last-firebase-event").write_text("junk")
        assert harvest("firebase", "events", "-o", "-").code == 78

    def test_sentiment(self, harvest: Command, database: FirebaseSimulator) -> None:
        pytest.importorskip("textblob")
        assert any("sentiment" in line for line in harvest("firebase", "events", "-o", "-", "--sentiment").documents)

    def test_follow_goes_on_until_sigterm(self, database: FirebaseSimulator, state: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"
        arguments = ["firebase", "events", "--follow", "-o", str(out)]
        env = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"}
        with subprocess.Popen(
            [sys.executable, str(ROOT / "harvest.py"), "--env-file", os.devnull, *arguments],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                wait(lambda: database.open_streams == 1)
                database.edit("/events/-ZZZZZZZZZZZZZZZZZZZ", {"type": "heart"})
                wait(lambda: len(out.read_text().splitlines()) == 81)
                process.send_signal(signal.SIGTERM)
                _, log = process.communicate(timeout=20)
            finally:
                process.kill()
        assert process.returncode == 0, log
        assert (state / "last-firebase-event").read_text() in EVENTS
        assert "reconnects=0" in log

    def test_a_fifo_queue_gets_every_edit_also_one_back_to_an_earlier_text(
        self, harvest: Command, database: FirebaseSimulator, aws: str, redis_server: Redis
    ) -> None:
        redis_server.flush()
        key, queue = "-KaBcDeFgHiJkLmNo000", f"edits-{uuid.uuid4().hex[:8]}.fifo"
        database.load_anew("/events", {key: {"type": "heart"}})
        for app in ("a", "b", "a", "b", None, "b"):
            database.edit(f"/events/{key}/app", app)
            arguments = ["firebase", "events", "-o", "sqs", "-q", queue]
            assert harvest(*arguments, env={"REDIS_URL": redis_server.url}).code == 0
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        told: list[Any] = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                told.append(json.loads(message["Body"]).get("app"))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        assert told == ["a", "b", "a", "b", None, "b"]

    def test_follow_removes_what_was_deleted_while_it_was_cut_off(
        self, harvest: Command, database: FirebaseSimulator, prefix: str, elasticsearch_url: str
    ) -> None:
        def found() -> int:
            return int(requests.get(f"{elasticsearch_url}/{prefix}events/_count", timeout=30).json()["count"])

        timeless = {
            "zebra": {"type": "heart"},
            "zoo": {"type": "heart"},
            "group-reminder-a-1300000000000": {"app": "x"},
        }
        opaque = {"old": {"created_at": 1_451_606_400_000}, "young": {"created_at": 1_456_700_000_000}}
        database.load("/events", timeless | opaque)
        assert harvest("firebase", "events").code == 0
        assert count(elasticsearch_url, f"{prefix}events") == 85
        env = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0", "HARVEST_LOOKBACK": str(20 * 86_400)}
        database.load_anew("/events", EVENTS | {"zoo": timeless["zoo"]})  # gone: zebra, young; older: old, the reminder
        last = sorted(key for key in EVENTS if key.startswith("-"))[-4:]
        with subprocess.Popen(
            [sys.executable, str(ROOT / "harvest.py"), "--env-file", os.devnull, "firebase", "events", "--follow"],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                wait(lambda: database.open_streams == 1)
                wait(lambda: found() == 83)
                database.load_anew("/events", {key: value for key, value in EVENTS.items() if key not in last[:3]})
                database.drop_streams()
                wait(lambda: found() == 79)  # with zoo
                wait(lambda: database.open_streams == 1)
                database.edit(f"/events/{last[3]}")
                wait(lambda: found() == 78)
                process.send_signal(signal.SIGTERM)
                _, log = process.communicate(timeout=20)
            finally:
                process.kill()
        assert process.returncode == 0, log
        assert "firebase events done" in log
        assert "removed=6" in log
