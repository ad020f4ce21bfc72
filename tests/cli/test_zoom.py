"""Every option, exit code and error message of ``harvest.py zoom``."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest
import requests

from harvesters.cli.zoom import _window
from harvesters.simulators.base import Response
from harvesters.simulators.zoom.auth import GRANULAR
from harvesters.simulators.zoom.data import Account, Meeting
from harvesters.simulators.zoom.server import ZoomSimulator
from harvesters.timespan import Window, day_window
from tests.cli.conftest import Command
from tests.cli.processes import wait
from tests.cli.test_dev import HARVEST
from tests.zoom.harness import meeting

FAST = {"Light": 5000, "Medium": 5000, "Heavy": 5000, "Resource-intensive": 5000}


def yesterday() -> Window:
    return day_window((datetime.now(UTC) - timedelta(days=1)).date(), UTC)


def noon() -> datetime:
    """Noon of yesterday."""
    return yesterday().start + timedelta(hours=12)


def account() -> Account:
    meetings: list[Meeting] = [meeting(f"m{number}==", noon() + timedelta(minutes=number)) for number in range(4)]
    return Account(
        meetings=[*meetings, meeting("/one//==", noon(), people=1), meeting("old==", noon() - timedelta(days=1))]
    )


@pytest.fixture
def zoom(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoomSimulator]:
    """A Zoom with five meetings that ended yesterday and one of the day before; settings point at it."""
    with ZoomSimulator(account(), limits=FAST, client_secret="zoom-client-secret") as simulator:
        point_at(simulator, monkeypatch)
        yield simulator


def point_at(simulator: ZoomSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOM_API_URL", simulator.api_url)
    monkeypatch.setenv("ZOOM_OAUTH_URL", simulator.oauth_url)
    monkeypatch.setenv("ZOOM_ACCOUNT_ID", "account")
    monkeypatch.setenv("ZOOM_CLIENT_ID", "client")
    monkeypatch.setenv("ZOOM_CLIENT_SECRET", "zoom-client-secret")


ALL = {"m0==", "m1==", "m2==", "m3==", "/one//=="}


def uuids(documents: list[dict[str, Any]]) -> set[str]:
    return {document["uuid"] for document in documents if "uuid" in document}


class TestOutput:
    def test_a_dash_is_stdout(self, harvest: Command, zoom: ZoomSimulator) -> None:
        result = harvest("zoom", "-o", "-")
        assert result.code == 0
        assert uuids(result.documents) == ALL
        assert len(result.documents) == 5 + 9

    def test_destination_is_the_older_spelling(self, harvest: Command, zoom: ZoomSimulator) -> None:
        assert uuids(harvest("zoom", "--destination", "stdout").documents) == ALL
        assert harvest("zoom", "--destination", "stdout", "--output", "-").code == 0

    @pytest.mark.parametrize("words", [("index", "-"), ("stdout", "es"), ("index", "sqs"), ("stdout", "file.jsonl")])
    def test_two_different_spellings_are_usage(
        self, harvest: Command, zoom: ZoomSimulator, words: tuple[str, str]
    ) -> None:
        result = harvest("zoom", "--destination", words[0], "--output", words[1])
        assert result.code == 2
        assert "--destination" in result.err

    def test_another_destination_is_usage(self, harvest: Command, zoom: ZoomSimulator) -> None:
        assert harvest("zoom", "--destination", "queue").code == 2

    def test_a_path_is_a_file(self, harvest: Command, zoom: ZoomSimulator, tmp_path: Path) -> None:
        path = tmp_path / "zoom.jsonl.gz"
        assert harvest("zoom", "-o", str(path)).code == 0
        assert uuids([json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]) == ALL

    def test_sqs(self, harvest: Command, zoom: ZoomSimulator, aws: str) -> None:
        import boto3

        assert harvest("zoom", "-o", "sqs", "-q", "zoom").code == 0
        client = boto3.client("sqs")
        url = client.get_queue_url(QueueName="zoom")["QueueUrl"]
        bodies: list[Any] = []
        while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            bodies += [json.loads(message["Body"]) for message in messages]
        assert uuids(bodies) == ALL
        assert len(bodies) == 14

    def test_sqs_without_a_queue_is_a_configuration_error(self, harvest: Command, zoom: ZoomSimulator) -> None:
        assert harvest("zoom", "-o", "sqs").code == 78

    def test_elasticsearch_is_the_default(self, harvest: Command, zoom: ZoomSimulator, elasticsearch_url: str) -> None:
        names = [f"{kind}-{noon():%Y.%m.%d}" for kind in ("meetings", "sessions")]
        for name in names:
            requests.delete(f"{elasticsearch_url}/{name}", timeout=30)
        assert harvest("setup", "load_index_templates", "--es-host", elasticsearch_url).code == 0
        for _ in range(2):
            result = harvest("zoom", "--es_host", elasticsearch_url)
            assert result.code == 0, result.err
        requests.post(f"{elasticsearch_url}/_refresh", timeout=30)
        counts = [requests.get(f"{elasticsearch_url}/{name}/_count", timeout=30).json()["count"] for name in names]
        assert counts == [5, 9]
        found = requests.get(
            f"{elasticsearch_url}/{names[0]}/_search",
            params={"q": 'zoom.route:"dashboard" AND has_voip:true AND duration:3600'},
            timeout=30,
        ).json()
        assert found["hits"]["total"]["value"] == 5

    def test_an_elasticsearch_that_is_not_there_is_69(self, harvest: Command, zoom: ZoomSimulator) -> None:
        result = harvest("zoom", "--es_host", "127.0.0.1:1", env={"HARVEST_RETRY_BUDGET": "0"})
        assert result.code == 69

    def test_geoip(self, harvest: Command, zoom: ZoomSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("harvesters.geoip.GeoIP.__init__", lambda self, path: None)
        monkeypatch.setattr("harvesters.geoip.GeoIP.look_up", lambda self, address: {"ip": address, "city_name": "X"})
        monkeypatch.setattr("harvesters.geoip.GeoIP.close", lambda self: None)
        result = harvest("zoom", "-o", "-", env={"GEOLITE_PATH": "city.mmdb"})
        sessions = [document for document in result.documents if "meeting" in document]
        assert {document["geoip"]["city_name"] for document in sessions} == {"X"}

    def test_a_geoip_file_that_is_not_there_is_configuration(self, harvest: Command, zoom: ZoomSimulator) -> None:
        assert harvest("zoom", "-o", "-", env={"GEOLITE_PATH": "/nowhere/city.mmdb"}).code == 78


class TestRange:
    def test_a_date(self, harvest: Command, zoom: ZoomSimulator) -> None:
        day = f"{noon() - timedelta(days=1):%Y-%m-%d}"
        assert uuids(harvest("zoom", "--date", day, "-o", "-").documents) == {"old=="}

    @pytest.mark.parametrize(
        "day", ["2026-13-01", "yesterday", "20260101", "2026-1-1", "2026-02-30", "2199-01-01", "9999-12-31"]
    )
    def test_a_date_that_is_none_is_usage(self, harvest: Command, zoom: ZoomSimulator, day: str) -> None:
        result = harvest("zoom", "--date", day, "-o", "-")
        assert result.code == 2
        assert "--date" in result.err
        assert not zoom.requests

    def test_a_start_within_the_second_in_hand_is_usage_and_no_bug(self) -> None:
        now = datetime(2026, 2, 14, 9, 30, 0, 900_000, tzinfo=UTC)
        with pytest.raises(click.UsageError, match="lies after the end"):
            _window(None, "2026-02-14T09:30:00.5Z", None, ZoneInfo("UTC"), now)

    def test_a_date_that_zoom_no_longer_has_is_usage(self, harvest: Command, zoom: ZoomSimulator) -> None:
        result = harvest("zoom", "--date", f"{datetime.now(UTC) - timedelta(days=200):%Y-%m-%d}", "-o", "-")
        assert result.code == 2
        assert "six months" in result.err

    @pytest.mark.parametrize("words", [("--timezone", "Mars/Olympus"), ("--timezone", "")])
    def test_a_zone_that_is_none_is_usage(self, harvest: Command, zoom: ZoomSimulator, words: tuple[str, ...]) -> None:
        result = harvest("zoom", *words, "-o", "-")
        assert result.code == 2
        assert "--timezone" in result.err

    def test_a_setting_that_is_no_zone_is_configuration(self, harvest: Command, zoom: ZoomSimulator) -> None:
        assert harvest("zoom", "-o", "-", env={"ZOOM_TIMEZONE": "Mars"}).code == 78

    @pytest.mark.parametrize("by", ["flag", "setting"])
    def test_a_day_is_the_zones(self, harvest: Command, zoom: ZoomSimulator, by: str) -> None:
        zone = "Pacific/Kiritimati"  # fourteen hours ahead: noon is the next day's 02:00 there
        day = f"{noon().astimezone(ZoneInfo(zone)):%Y-%m-%d}"
        words, env = (["--timezone", zone], {}) if by == "flag" else ([], {"ZOOM_TIMEZONE": zone})
        assert uuids(harvest("zoom", "--date", day, *words, "-o", "-", env=env).documents) == ALL

    @pytest.mark.parametrize("form", ["%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%SZ"])
    def test_start_and_end(self, harvest: Command, zoom: ZoomSimulator, form: str) -> None:
        start, end = (f"{noon() + timedelta(minutes=number):{form}}" for number in (1, 3))
        assert uuids(harvest("zoom", "--start", start, "--end", end, "-o", "-").documents) == {"m1==", "m2=="}

    def test_start_alone_goes_up_to_now(self, harvest: Command, zoom: ZoomSimulator) -> None:
        result = harvest("zoom", "-s", f"{noon() + timedelta(minutes=2):%Y%m%d%H%M%S}", "-o", "-")
        assert uuids(result.documents) == {"m2==", "m3=="}

    @pytest.mark.parametrize(
        "words",
        [
            ("--date", "2026-01-01", "--start", "20260101000000"),
            ("--end", "20260101000000"),
            ("--start", "x"),
            ("--start", "20260101000000", "--end", "x"),
            ("--start", "20260102000000", "--end", "20260101000000"),
            ("--live", "--date", "2026-01-01"),
            ("--live", "--start", "20260101000000"),
            ("--live", "--plan"),
            ("--max-wait", "-1"),
            ("--max-wait", "long"),
        ],
    )
    def test_what_does_not_go_together_is_usage(
        self, harvest: Command, zoom: ZoomSimulator, words: tuple[str, ...]
    ) -> None:
        assert harvest("zoom", *words, "-o", "-").code == 2
        assert not zoom.requests


class TestLogin:
    def test_flags_win_over_settings(self, harvest: Command, zoom: ZoomSimulator) -> None:
        wrong = {"ZOOM_ACCOUNT_ID": "a", "ZOOM_CLIENT_ID": "b", "ZOOM_CLIENT_SECRET": "c"}
        flags = ("--account-id", "account", "--client-id", "client", "--client-secret", "zoom-client-secret")
        assert harvest("zoom", "-o", "-", env=wrong).code == 77
        assert harvest("zoom", *flags, "-o", "-", env=wrong).code == 0

    @pytest.mark.parametrize("name", ["ZOOM_ACCOUNT_ID", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET"])
    def test_what_is_not_set_is_named(self, harvest: Command, zoom: ZoomSimulator, name: str) -> None:
        result = harvest("zoom", "-o", "-", env={name: ""})
        assert result.code == 78
        assert name in result.err

    def test_half_a_jwt_pair_is_named(self, harvest: Command, zoom: ZoomSimulator) -> None:
        result = harvest("zoom", "--key", "key", "-o", "-")
        assert result.code == 78
        assert "ZOOM_SECRET" in result.err

    def test_a_jwt_pair(self, harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        with ZoomSimulator(account(), limits=FAST, jwt=True) as simulator:
            point_at(simulator, monkeypatch)
            result = harvest("zoom", "--key", "key", "--secret", "jwt-secret-of-thirty-two-characters", "-o", "-")
            assert uuids(result.documents) == ALL
            assert simulator.tokens.issued == 0
            env = {"ZOOM_CLIENT_ID": "", "ZOOM_KEY": "key", "ZOOM_SECRET": "jwt-secret-of-thirty-two-characters"}
            assert harvest("zoom", "-o", "-", env=env).code == 0

    def test_a_jwt_pair_that_zoom_ended(self, harvest: Command, zoom: ZoomSimulator) -> None:
        result = harvest("zoom", "--key", "key", "--secret", "jwt-secret-of-thirty-two-characters", "-o", "-")
        assert result.code == 77
        assert "2023" in result.err
        assert "Server-to-Server OAuth" in result.err

    def test_missing_scopes_are_77(self, harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        with ZoomSimulator(account(), client_secret="zoom-client-secret", scopes=GRANULAR[:1]) as simulator:
            point_at(simulator, monkeypatch)
            result = harvest("zoom", "-o", "-")
        assert result.code == 77
        assert "dashboard:read:list_meetings:admin" in result.err

    def test_no_secret_is_shown_anywhere(self, harvest: Command, zoom: ZoomSimulator) -> None:
        zoom.fail(
            "status", path="/v2/metrics", response=Response.json({"code": 9, "message": "zoom-client-secret"}, 400)
        )
        result = harvest("--log-level", "DEBUG", "zoom", "--client-secret", "zoom-client-secret", "-o", "-")
        assert result.code == 76
        assert "zoom-client-secret" not in result.out + result.err
        bearers = {one.headers["authorization"].split()[-1] for one in zoom.requests}
        assert not [bearer for bearer in bearers if bearer in result.out + result.err]

    @pytest.mark.parametrize("name", ["ZOOM_API_URL", "ZOOM_OAUTH_URL"])
    def test_a_url_that_is_none_is_configuration(self, harvest: Command, zoom: ZoomSimulator, name: str) -> None:
        result = harvest("zoom", "-o", "-", env={name: "ftp://example.edu"})
        assert result.code == 78
        assert name in result.err


class TestLimits:
    def test_a_wait_too_long_is_75_and_the_same_command_goes_on(
        self, harvest: Command, zoom: ZoomSimulator, tmp_path: Path
    ) -> None:
        path = tmp_path / "zoom.jsonl"
        refusal = Response.json({"code": 429, "message": "no"}, 429, Retry_After="2")
        zoom.fail("status", path="/v2/metrics/meetings/", after=2, response=refusal)
        result = harvest("zoom", "--max-wait", "1", "-o", str(path))
        assert result.code == 75
        assert "--max-wait" in result.err
        done = uuids([json.loads(line) for line in path.read_text().splitlines()])
        assert done
        assert harvest("zoom", "--max-wait", "1", "-o", str(path)).code == 0
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert uuids(lines) == ALL
        assert len(lines) == 14

    def test_plan_says_what_it_would_take_and_writes_nothing(
        self, harvest: Command, zoom: ZoomSimulator, state: Path
    ) -> None:
        result = harvest("zoom", "--plan")
        assert result.code == 0
        for text in ("meetings  5", "2 resource-intensive, 6 heavy", "5000 heavy a second", "by the dashboard route"):
            assert text in result.out
        assert not state.exists()
        assert not [one for one in zoom.requests if one.path.endswith("participants")]

    def test_plan_by_the_report_route(self, harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        with ZoomSimulator(account(), plan="pro", client_secret="zoom-client-secret") as simulator:
            point_at(simulator, monkeypatch)
            result = harvest("zoom", "--plan")
        assert result.code == 0
        assert "by the report route" in result.out
        assert "of 1 hosts" in result.out
        assert "of 30000 heavy" in result.out


class TestLive:
    def test_it_keeps_a_checkpoint_and_harvests_each_meeting_once(
        self, harvest: Command, zoom: ZoomSimulator, state: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "live.jsonl"
        env = {"ZOOM_LOOKBACK": str(3 * 86_400), "ZOOM_LAST_END_TS_KEY": "zoom-here"}
        for _ in range(2):
            assert harvest("zoom", "--live", "-o", str(path), env=env).code == 0
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert uuids(lines) == ALL | {"old=="}
        assert len(lines) == 17
        assert (state / "zoom-here").read_text().endswith("Z")

    def test_a_look_leaves_the_checkpoint_to_the_output_that_moved_it(
        self, harvest: Command, zoom: ZoomSimulator, state: Path, tmp_path: Path
    ) -> None:
        path, name = tmp_path / "live.jsonl", "zoom-last-end-timestamp"
        env = {"ZOOM_LOOKBACK": str(3 * 86_400)}
        assert harvest("zoom", "--live", "-o", str(path), env=env).code == 0
        stored = (state / name).read_text()
        look = harvest("zoom", "--live", "-o", "-", env=env)
        assert look.code == 0
        assert f"belongs to file {path}" in look.err
        assert ((state / name).read_text(), (state / f"{name}.owner").read_text()) == (stored, f"file {path}")
        assert harvest("zoom", "--live", "--update-checkpoint", "-o", "-", env=env).code == 0
        assert (state / f"{name}.owner").read_text() == "-"

    def test_two_at_once_do_not_trample_each_other(self, harvest: Command, zoom: ZoomSimulator, tmp_path: Path) -> None:
        zoom.latency = 0.3
        words = ["zoom", "--live", "-o", str(tmp_path / "live.jsonl")]
        with subprocess.Popen([*HARVEST, *words], stderr=subprocess.DEVNULL) as first:
            wait(lambda: zoom.requests)
            result = harvest(*words)
            assert first.wait(30) == 0
        assert result.code == 75
        assert "lease" in result.err


def test_sigterm_ends_it_with_75_and_the_same_command_goes_on(zoom: ZoomSimulator, tmp_path: Path) -> None:
    path = tmp_path / "zoom.jsonl"
    zoom.latency = 0.2
    words = [*HARVEST, "zoom", "-o", str(path)]
    with subprocess.Popen(words, env={**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"}) as process:
        wait(lambda: [one for one in zoom.requests if one.path.endswith("participants")])
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 75
    zoom.latency = 0.0
    assert subprocess.run(words, check=False).returncode == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert uuids(lines) == ALL
    assert len(lines) == 14


@pytest.mark.parametrize("calls", [1, 3, 4, 6, 8])
def test_a_kill_loses_nothing(zoom: ZoomSimulator, tmp_path: Path, calls: int) -> None:
    path = tmp_path / "zoom.jsonl"
    zoom.latency = 0.05
    words = [*HARVEST, "zoom", "-o", str(path)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        wait(lambda: len([one for one in zoom.requests if one.path.startswith("/v2")]) >= calls)
        process.kill()
    zoom.latency = 0.0
    assert subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert uuids(lines) == ALL
    assert len({line["id"] for line in lines if "meeting" in line}) == 9


def test_the_simulated_zoom_can_be_harvested(harvest: Command, tmp_path: Path) -> None:
    arguments = ("dev", "simulate", "zoom", "--port", "0", "--meetings", "12", "--sessions", "60", "--fault", "503")
    with subprocess.Popen(
        [*HARVEST, *arguments], env={**os.environ, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        env = dict(word.split("=", 1) for word in process.stdout.readline().split())
        result = harvest("zoom", "-o", "-", env=env)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert result.code == 0
    assert len(uuids(result.documents)) == 13  # and the one that ended a second before today began
    assert len(result.documents) == 12 + 60 + 1 + 3


@pytest.mark.parametrize("words", [("--sessions", "1"), ("--fault", "flood"), ("--plan", "free")])
def test_a_simulation_that_makes_no_sense_is_usage(harvest: Command, words: tuple[str, str]) -> None:
    assert harvest("dev", "simulate", "zoom", "--port", "0", *words).code == 2


def test_help_has_an_example(harvest: Command) -> None:
    result = harvest("zoom", "--help")
    assert result.code == 0
    assert "Examples:" in result.out
