"""Every option, exit code and error message of ``harvest.py firebase``."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harvesters.simulators.base import Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.cli.buddyup import CONTENT, EVENTS, SECRET, count, ids, lines
from tests.cli.conftest import Command
from tests.cli.processes import wait

ROOT = Path(__file__).parents[2]


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
            wait(
                lambda: len(harvest("firebase", "events", "-o", "-", "--no-update-checkpoint", env=env).documents) > 50
            )
            env = {"FIREBASE_ENDPOINT": env["FIREBASE_ENDPOINT"], "FIREBASE_CREDENTIALS": str(account)}
            assert len(harvest("firebase", "export", "users", env=env).documents) == 200
        finally:
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "stopped" in log
