"""Every option, exit code and error message of ``harvest.py firebase``."""

from __future__ import annotations

import base64
import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from harvesters.simulators.base import Response
from harvesters.simulators.firebase import buddyup
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.standins.redis import Redis
from tests.cli.conftest import Command

ROOT = Path(__file__).parents[2]
SECRET = "legacy-s3cret-of-the-database"
CONTENT = buddyup.database(80, datetime(2016, 1, 1, tzinfo=UTC), datetime(2016, 3, 1, tzinfo=UTC), people=12, courses=5)
EVENTS = CONTENT["events"]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[FirebaseSimulator]:
    """A small BuddyUp; settings point at it."""
    with FirebaseSimulator(secret=SECRET) as simulator:
        for path, children in CONTENT.items():
            simulator.load(path, children)
        monkeypatch.setenv("FIREBASE_ENDPOINT", simulator.url)
        monkeypatch.setenv("FIREBASE_KEY", SECRET)
        yield simulator


@pytest.fixture
def prefix(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The prefix of this test's indices in a real Elasticsearch."""
    name = f"t{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("ES_HOST", elasticsearch_url)
    monkeypatch.setenv("FIREBASE_INDEX_PREFIX", name)
    yield name
    requests.delete(f"{elasticsearch_url}/{name}*", timeout=30)
    requests.delete(f"{elasticsearch_url}/_index_template/{name}*", timeout=30)


def count(url: str, index: str) -> int:
    requests.post(f"{url}/{index}/_refresh", timeout=30)
    return int(requests.get(f"{url}/{index}/_count", timeout=30).json()["count"])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ids(documents: list[dict[str, Any]]) -> set[str]:
    return {document["id"] for document in documents}


class TestSource:
    @pytest.mark.parametrize("setting", ["FIREBASE_ENDPOINT", "FIREBASE_KEY"])
    @pytest.mark.parametrize("command", [["export"], ["events"], ["profiles"], ["classes"]])
    def test_a_missing_setting_is_named(
        self, harvest: Command, database: FirebaseSimulator, setting: str, command: list[str]
    ) -> None:
        result = harvest("firebase", *command, env={setting: ""})
        assert result.code == 78
        assert setting in result.err

    def test_flags_win_over_settings(self, harvest: Command, database: FirebaseSimulator) -> None:
        env = {"FIREBASE_ENDPOINT": "http://127.0.0.1:1", "FIREBASE_KEY": "wrong-secret"}
        result = harvest("firebase", "export", "users", "--endpoint", database.url, "--key", SECRET, env=env)
        assert result.code == 0
        assert len(result.documents) == 12

    def test_a_wrong_secret_is_77_and_not_shown(self, harvest: Command, database: FirebaseSimulator) -> None:
        result = harvest("--log-level", "DEBUG", "firebase", "export", env={"FIREBASE_KEY": "wrong-secret"})
        assert result.code == 77
        assert "wrong-secret" not in result.err

    @pytest.mark.parametrize("host", ["secret" * 20, "http://a..b/", "http://.com"])
    def test_a_host_that_can_be_none_is_78_and_not_shown(
        self, harvest: Command, database: FirebaseSimulator, host: str
    ) -> None:
        result = harvest("firebase", "export", env={"FIREBASE_ENDPOINT": host})
        assert result.code == 78, result.err
        assert "FIREBASE_ENDPOINT: this is no host" in result.err
        assert host not in result.err

    def test_the_secret_is_in_no_message_of_a_broken_connection(self, harvest: Command, monkeypatch: Any) -> None:
        env = {"FIREBASE_ENDPOINT": "http://127.0.0.1:1", "FIREBASE_KEY": SECRET, "HARVEST_RETRY_BUDGET": "1"}
        result = harvest("--log-level", "DEBUG", "firebase", "export", env=env)
        assert result.code == 69
        assert SECRET not in result.err

    def test_a_service_account_is_used(self, harvest: Command, database: FirebaseSimulator, tmp_path: Path) -> None:
        account = tmp_path / "account.json"
        account.write_text(json.dumps(database.service_account()))
        for arguments, env in (([], {"FIREBASE_CREDENTIALS": str(account)}), (["--credentials", str(account)], {})):
            database.requests.clear()
            assert harvest("firebase", "export", "classes", *arguments, env=env).code == 0
            assert any(request.path == "/token" for request in database.requests)
            assert not any(request.param("auth") for request in database.requests)

    @pytest.mark.parametrize("encode", [str, lambda text: base64.b64encode(text.encode()).decode()])
    def test_a_service_account_itself_is_used_and_shown_by_nothing(
        self, harvest: Command, database: FirebaseSimulator, encode: Any
    ) -> None:
        account = database.service_account()
        text = json.dumps(account, indent=2)
        secrets = [
            account["private_key"][60:100],
            account["private_key_id"],
            account["client_email"],
            encode(text)[:40],
        ]
        good = harvest(
            "--log-level", "DEBUG", "firebase", "export", "classes", env={"FIREBASE_CREDENTIALS": encode(text)}
        )
        assert good.code == 0
        broken = harvest("--log-level", "DEBUG", "firebase", "export", env={"FIREBASE_CREDENTIALS": encode(text)[:-90]})
        assert broken.code == 78
        database.revoke()
        database.fail("status", times=9, response=Response.json({"error": "invalid_grant"}, 400), path="/token")
        refused = harvest("--log-level", "DEBUG", "firebase", "export", env={"FIREBASE_CREDENTIALS": encode(text)})
        assert refused.code == 77
        for result in (good, broken, refused):
            assert not [secret for secret in secrets if secret in result.err]

    @pytest.mark.parametrize(
        "setting",
        [
            "FIREBASE_ENDPOINT",
            "FIREBASE_KEY",
            "FIREBASE_CHECKPOINT",
            "FIREBASE_TIMEZONE",
            "HARVEST_LOOKBACK",
            "HARVEST_STATE_DIR",
            "REDIS_URL",
            "LOGGLY_TOKEN",
            "ES_HOST",
        ],
    )
    @pytest.mark.parametrize(
        "encode",
        [
            str,
            lambda text: base64.b64encode(text.encode()).decode(),
            lambda text: base64.b64encode(text.encode()).decode().rstrip("=")[:1601],
        ],
    )
    def test_no_setting_that_holds_a_private_key_is_shown(
        self, harvest: Command, database: FirebaseSimulator, setting: str, encode: Any
    ) -> None:
        account = database.service_account()
        for text in (json.dumps(account), account["private_key"]):
            output = "es" if setting == "ES_HOST" else "-"
            result = harvest("--log-level", "DEBUG", "firebase", "events", "-o", output, env={setting: encode(text)})
            assert result.code == 78
            assert f"{setting} holds a private key" in result.err
            assert account["private_key"][60:100] not in result.err
            assert encode(text)[:60] not in result.err

    @pytest.mark.parametrize("setting", ["AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"])
    @pytest.mark.parametrize("encode", [str, lambda text: base64.b64encode(text.encode()).decode()])
    def test_nor_one_of_boto3_s(self, harvest: Command, database: FirebaseSimulator, setting: str, encode: Any) -> None:
        account = database.service_account()
        env = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
        env[setting] = encode(json.dumps(account))
        result = harvest("--log-level", "DEBUG", "firebase", "events", "-o", "sqs", "-q", "events", env=env)
        assert result.code == 78, result.err
        assert account["private_key"][60:100] not in result.err
        assert env[setting][100:160] not in result.err

    @pytest.mark.parametrize("proxy", ["http://a b", "x://127.0.0.1:1", "http://:x", "-----BEGIN PRIVATE KEY-----"])
    def test_a_proxy_that_is_none_is_78(self, harvest: Command, database: FirebaseSimulator, proxy: str) -> None:
        result = harvest("firebase", "events", "-o", "-", env={"HTTP_PROXY": proxy, "NO_PROXY": ""})
        assert result.code == 78, result.err
        assert "HTTP_PROXY" in result.err
        assert "Traceback" not in result.err

    def test_a_key_on_the_command_line_wins_over_credentials(
        self, harvest: Command, database: FirebaseSimulator
    ) -> None:
        env = {"FIREBASE_CREDENTIALS": "/nowhere.json"}
        assert harvest("firebase", "export", "users", "--key", SECRET, env=env).code == 0
        assert harvest("firebase", "export", "users", env=env).code == 78

    def test_a_source_that_is_no_firebase_is_76(self, harvest: Command, database: FirebaseSimulator) -> None:
        database.fail("status", times=100, response=Response.json({str(number): number for number in range(5000)}))
        assert harvest("firebase", "export", "users").code == 76

    def test_a_source_that_is_down_is_69(self, harvest: Command, database: FirebaseSimulator) -> None:
        database.fail("status", times=1000, response=Response(503))
        result = harvest("firebase", "events", "-o", "-", env={"HARVEST_RETRY_BUDGET": "0"})
        assert result.code == 69
        assert "run again" in result.err

    def test_no_such_database_is_78(self, harvest: Command, database: FirebaseSimulator) -> None:
        assert harvest("firebase", "export", "--endpoint", f"{database.url}/?ns=other").code == 78


class TestExport:
    def test_lines_on_standard_output(self, harvest: Command, database: FirebaseSimulator) -> None:
        result = harvest("firebase", "export", "events")
        assert result.code == 0
        assert {line["key"]: line["value"] for line in result.documents} == EVENTS
        assert "firebase export done" in result.err

    def test_one_object_of_the_whole_database(
        self, harvest: Command, database: FirebaseSimulator, tmp_path: Path
    ) -> None:
        database.max_response = 20_000
        path = tmp_path / "new" / "all.json"
        assert harvest("firebase", "export", "--format", "json", "-o", str(path)).code == 0
        assert json.loads(path.read_text()) == database.value()

    def test_page_size(self, harvest: Command, database: FirebaseSimulator) -> None:
        assert harvest("firebase", "export", "events", "--page-size", "7").code == 0
        assert {request.param("limitToFirst") for request in database.requests} == {"7"}
        assert harvest("firebase", "export", "--page-size", "0").code == 2

    def test_restart(self, harvest: Command, database: FirebaseSimulator, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text("something else\n")
        assert harvest("firebase", "export", "users", "-o", str(path)).code == 65
        assert harvest("firebase", "export", "users", "-o", str(path), "--restart").code == 0
        assert len(lines(path)) == 12
        assert harvest("firebase", "export", "users", "--restart").code == 2

    def test_what_cannot_be_gone_on_with_is_usage(self, harvest: Command, database: FirebaseSimulator) -> None:
        assert harvest("firebase", "export", "-o", "x.jsonl.gz").code == 2
        assert harvest("firebase", "export", "a.b").code == 2
        assert harvest("firebase", "export", "--format", "xml").code == 2

    def test_a_terminal_gets_a_progress_bar(self, database: FirebaseSimulator, tmp_path: Path) -> None:
        leader, follower = pty.openpty()
        with subprocess.Popen(
            [sys.executable, str(ROOT / "harvest.py"), "firebase", "export", "events", "--page-size", "10"],
            env=dict(os.environ),
            stdout=subprocess.DEVNULL,
            stderr=follower,
        ) as process:
            os.close(follower)
            shown = b""
            try:
                while chunk := os.read(leader, 65536):
                    shown += chunk
            except OSError:
                pass  # the other end is closed
            os.close(leader)
        assert process.returncode == 0
        assert b"exporting" in shown
        assert b"80 children" in shown

    def test_a_reader_that_leaves_is_no_error(self, database: FirebaseSimulator) -> None:
        database.load("/big", {f"k{number:05}": "x" * 200 for number in range(5000)})
        command = f"{sys.executable} {ROOT / 'harvest.py'} firebase export big | head -1; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", command], env=dict(os.environ), capture_output=True, timeout=60)
        assert done.returncode == 0
        assert b"Traceback" not in done.stderr


class TestLoad:
    @pytest.fixture
    def dump(self, tmp_path: Path) -> Path:
        path = tmp_path / "events.json"
        path.write_text(json.dumps(EVENTS))
        return path

    def test_into_elasticsearch_twice(self, harvest: Command, dump: Path, prefix: str, elasticsearch_url: str) -> None:
        for _ in range(2):
            result = harvest("--log-format", "json", "firebase", "load", str(dump))
            assert result.code == 0
            assert result.report["delivered"] == 80
        assert count(elasticsearch_url, f"{prefix}events") == 80
        assert count(elasticsearch_url, f"{prefix}events-2016-01") > 0

    def test_the_period_is_a_setting(self, harvest: Command, dump: Path, prefix: str, elasticsearch_url: str) -> None:
        assert harvest("firebase", "load", str(dump), env={"FIREBASE_INDEX_PERIOD": "year"}).code == 0
        assert count(elasticsearch_url, f"{prefix}events-2016") == 80
        assert harvest("firebase", "load", str(dump), env={"FIREBASE_INDEX_PERIOD": "week"}).code == 78

    def test_into_a_file_and_standard_output(self, harvest: Command, dump: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"
        assert harvest("firebase", "load", str(dump), "-o", str(out), "--batch-size", "9").code == 0
        assert ids(lines(out)) == set(EVENTS)
        assert ids(harvest("firebase", "load", str(dump), "-o", "-").documents) == set(EVENTS)

    def test_into_a_queue(self, harvest: Command, dump: Path, aws: str) -> None:
        assert harvest("firebase", "load", str(dump), "-o", "sqs", "-q", "firebase-load").code == 0
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName="firebase-load")["QueueUrl"]
        got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        assert got["Attributes"]["ApproximateNumberOfMessages"] == "80"
        assert harvest("firebase", "load", str(dump), "-o", "sqs").code == 78

    def test_a_part_of_a_gzipped_database(self, harvest: Command, tmp_path: Path) -> None:
        path = tmp_path / "all.gz"
        path.write_bytes(gzip.compress(json.dumps(CONTENT).encode()))
        result = harvest("firebase", "load", str(path), "--path", "events", "-o", "-")
        assert ids(result.documents) == set(EVENTS)
        assert harvest("firebase", "load", str(path), "--path", "nothing", "-o", "-").code == 65

    @pytest.mark.parametrize("content", ["null", "5", "", json.dumps(EVENTS)[:5000]])
    def test_what_is_no_dump_is_65_before_elasticsearch_is_asked(
        self, harvest: Command, tmp_path: Path, content: str
    ) -> None:
        path = tmp_path / "bad.json"
        path.write_text(content)
        result = harvest("firebase", "load", str(path), env={"ES_HOST": "http://127.0.0.1:1"})
        assert result.code == 65
        assert str(path) in result.err

    def test_no_such_file_is_78(self, harvest: Command) -> None:
        assert harvest("firebase", "load", "/nowhere.json", "-o", "-").code == 78

    def test_elasticsearch_down_is_69(self, harvest: Command, dump: Path) -> None:
        env = {"ES_HOST": "http://127.0.0.1:1", "HARVEST_RETRY_BUDGET": "1"}
        assert harvest("firebase", "load", str(dump), env=env).code == 69

    def test_sentiment(self, harvest: Command, dump: Path) -> None:
        pytest.importorskip("textblob")
        result = harvest("firebase", "load", str(dump), "-o", "-", "--sentiment")
        scored = [document for document in result.documents if "sentiment" in document]
        assert {document["type"] for document in scored} == {"chat_message"}

    def test_too_many_that_are_no_events_is_65(self, harvest: Command, tmp_path: Path, state: Path) -> None:
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(dict.fromkeys("abcdefghijklmn", 5)))
        result = harvest("firebase", "load", str(path), "-o", "-")
        assert result.code == 65
        assert "HARVEST_ERROR_BUDGET" in result.err
        letters = lines(next((state / "dead-letters").glob("*.jsonl")))
        assert {letter["id"] for letter in letters} == set("abcdefghijklmn")

    def test_scrubbing_and_the_time_zone_are_settings(self, harvest: Command, dump: Path) -> None:
        env = {"FIREBASE_SCRUB": "bodies,emails", "FIREBASE_TIMEZONE": "Australia/Sydney"}
        text = harvest("firebase", "load", str(dump), "-o", "-", env=env).out
        plain = harvest("firebase", "load", str(dump), "-o", "-").out
        assert "library tonight" in plain
        assert "library tonight" not in text
        assert "@" not in text
        for written in (plain, text):
            assert "not-a-real-password" not in written
            assert "eyJhbGciOi" not in written
        hours = [
            {document["id"]: document["hour"] for document in map(json.loads, out.splitlines())}
            for out in (plain, text)
        ]
        assert hours[0] != hours[1]
        assert harvest("firebase", "load", str(dump), "-o", "-", env={"FIREBASE_TIMEZONE": "Mars"}).code == 78


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
                self.wait(lambda: database.open_streams == 1)
                database.edit("/events/-ZZZZZZZZZZZZZZZZZZZ", {"type": "heart"})
                self.wait(lambda: len(out.read_text().splitlines()) == 81)
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
                self.wait(lambda: database.open_streams == 1)
                self.wait(lambda: found() == 83)
                database.load_anew("/events", {key: value for key, value in EVENTS.items() if key not in last[:3]})
                database.drop_streams()
                self.wait(lambda: found() == 79)  # with zoo
                self.wait(lambda: database.open_streams == 1)
                database.edit(f"/events/{last[3]}")
                self.wait(lambda: found() == 78)
                process.send_signal(signal.SIGTERM)
                _, log = process.communicate(timeout=20)
            finally:
                process.kill()
        assert process.returncode == 0, log
        assert "firebase events done" in log
        assert "removed=6" in log

    @staticmethod
    def wait(condition: Any) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.02)


class TestMirror:
    @pytest.mark.parametrize(("command", "number"), [("profiles", 12), ("classes", 5)])
    def test_sync(
        self,
        harvest: Command,
        database: FirebaseSimulator,
        prefix: str,
        elasticsearch_url: str,
        command: str,
        number: int,
    ) -> None:
        node = "users" if command == "profiles" else command
        assert harvest("firebase", command, "--sync").code == 0
        assert count(elasticsearch_url, f"{prefix}{command}") == number
        database.edit(f"/{node}/{next(iter(CONTENT[node]))}")
        assert harvest("firebase", command).code == 0
        assert count(elasticsearch_url, f"{prefix}{command}") == number, "without --sync nothing is deleted"
        result = harvest("--log-format", "json", "firebase", command, "--sync")
        assert result.report["removed"] == 1
        assert count(elasticsearch_url, f"{prefix}{command}") == number - 1
        database.edit(f"/{node}")
        assert harvest("firebase", command, "--sync").code == 65
        assert count(elasticsearch_url, f"{prefix}{command}") == number - 1
        assert harvest("firebase", command, "--sync", "--allow-empty").code == 0
        assert count(elasticsearch_url, f"{prefix}{command}") == 0

    def test_other_outputs_and_paths(self, harvest: Command, database: FirebaseSimulator, aws: str) -> None:
        documents = harvest("firebase", "profiles", "-o", "-").documents
        assert ids(documents) == set(CONTENT["users"])
        assert not any("folded" in document for document in documents), "the words to search by are Elasticsearch's"
        assert ids(harvest("firebase", "profiles", "-o", "-", "--path", "classes").documents) == set(CONTENT["classes"])
        assert harvest("firebase", "classes", "-o", "sqs", "-q", "rooms").code == 0

    def test_options_that_do_not_fit_are_usage(self, harvest: Command, database: FirebaseSimulator) -> None:
        assert harvest("firebase", "profiles", "-o", "-", "--sync").code == 2
        assert harvest("firebase", "profiles", "--allow-empty").code == 2

    def test_a_source_that_fails_is_69(self, harvest: Command, database: FirebaseSimulator) -> None:
        database.fail("status", times=1000, response=Response(500))
        env = {"HARVEST_RETRY_BUDGET": "0", "ES_HOST": "http://127.0.0.1:1"}
        assert harvest("firebase", "profiles", "--sync", env=env).code == 69


def test_the_simulated_firebase_answers_until_it_is_told_to_stop(tmp_path: Path, harvest: Command) -> None:
    account = tmp_path / "account.json"
    arguments = ["dev", "simulate", "firebase", "--port", "0", "--secret", "abc-def", "--credentials", str(account)]
    arguments += ["--events", "50", "--per-minute", "6000", "--max-response", "9000", "--latency", "0", "--seed", "3"]
    with subprocess.Popen(
        [sys.executable, str(ROOT / "harvest.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == f"FIREBASE_CREDENTIALS={account}"
            env = dict(part.split("=", 1) for part in process.stdout.readline().split())
            assert env["FIREBASE_KEY"] == "abc-def"
            TestEvents.wait(
                lambda: len(harvest("firebase", "events", "-o", "-", "--no-update-checkpoint", env=env).documents) > 50
            )
            env = {"FIREBASE_ENDPOINT": env["FIREBASE_ENDPOINT"], "FIREBASE_CREDENTIALS": str(account)}
            assert len(harvest("firebase", "export", "users", env=env).documents) == 200
        finally:
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "stopped" in log
