"""Pings, metrics and spans of commands: whose runs they are about, and what trouble with them costs a run."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harvesters.simulators.opencast.server import OpencastSimulator
from tests.certificates import self_signed, with_tls
from tests.cli.conftest import Command
from tests.cli.processes import HARVEST
from tests.cli.test_run_records import USERACTIONS
from tests.indexing.queues import Queue
from tests.operate.collecting import collected
from tests.operate.receivers import KEY, Collector, PingServer, collecting, silent

OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def pings(monkeypatch: pytest.MonkeyPatch) -> Iterator[PingServer]:
    with PingServer() as server:
        monkeypatch.setenv("HARVEST_PING_URL", f"{server.url}/{KEY}/{{job}}")
        yield server


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting(monkeypatch) as server:
        yield server


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARVEST_METRICS_FILE", str(tmp_path / "harvest.prom"))
    return tmp_path / "harvest.prom"


def test_a_run_that_moves_the_checkpoint(
    harvest: Command,
    opencast: OpencastSimulator,
    checkpoint: Path,
    pings: PingServer,
    collector: Collector,
    metrics: Path,
    tmp_path: Path,
) -> None:
    assert harvest("useractions", "-i", "10", "-o", str(tmp_path / "out.jsonl")).code == 0
    assert pings.told == ["/useractions/start", "/useractions"]
    report = pings.pings[1].report["report"]
    assert (report["delivered"], report["checkpoint"]) == (10, checkpoint.read_text())
    values = collected(metrics)["useractions"]
    assert values["harvest_last_run_delivered"] == 10
    assert values["harvest_last_success_timestamp_seconds"] > values["harvest_checkpoint_timestamp_seconds"] > 0
    assert {name: collector.gauges[name, "useractions"] for name in values} == values
    assert collector.parts == {"fetch", "deliver", "commit"}


@pytest.mark.parametrize(
    ("words", "env", "code"),
    [
        (("useractions", "-o", "-"), {"MATTERHORN_REST_PASS": "wrong-password"}, 77),
        (("load_episodes",), {}, 78),
        (("index",), {}, 78),
    ],
)
def test_one_that_fails(
    harvest: Command,
    request: pytest.FixtureRequest,
    pings: PingServer,
    metrics: Path,
    words: tuple[str, ...],
    env: dict[str, str],
    code: int,
) -> None:
    if words[0] == "useractions":
        request.getfixturevalue("opencast")
    assert harvest(*words, env=env).code == code
    assert pings.told[-1] == f"/{words[0]}/{code}"
    assert collected(metrics)[words[0]]["harvest_last_run_exit_code"] == code


@pytest.mark.parametrize(
    "words", [("-o", "-"), ("--no-update-last-ts",), ("-s", "20260101000000", "-e", "20260101010000")]
)
def test_looks_and_what_moves_nothing_are_nobodys_business(
    harvest: Command,
    opencast: OpencastSimulator,
    pings: PingServer,
    collector: Collector,
    metrics: Path,
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    out = str(tmp_path / "out.jsonl")
    assert harvest("useractions", "-i", "10", "-o", out).code == 0
    before = len(pings.requests), metrics.stat(), len(collector.requests)
    arguments = words if "-o" in words else (*words, "-o", out)
    assert harvest("useractions", *arguments).code == 0
    assert (len(pings.requests), metrics.stat(), len(collector.requests)) == before


def test_neither_is_a_backfill(
    harvest: Command,
    opencast: OpencastSimulator,
    pings: PingServer,
    collector: Collector,
    metrics: Path,
    tmp_path: Path,
) -> None:
    end = datetime.now(UTC).replace(microsecond=0)
    span = ("--start", (end - timedelta(hours=1)).isoformat(), "--end", end.isoformat())
    out = tmp_path / "out.jsonl"
    assert harvest("backfill", "useractions", *span, "-o", str(out)).code == 0
    assert len(out.read_text().splitlines()) == 10
    assert not pings.requests
    assert not collector.requests
    assert not metrics.exists()


def test_who_finds_the_lease_held_says_so_and_nothing_else(
    harvest: Command,
    opencast: OpencastSimulator,
    state: Path,
    pings: PingServer,
    collector: Collector,
    metrics: Path,
    tmp_path: Path,
) -> None:
    state.mkdir()
    owner = {"host": "elsewhere", "system": "", "pid": 1, "started": ""}
    lease = {"owner": owner, "expires": "2999-01-01T00:00:00Z", "generation": 1, "released": False, "token": "x"}
    (state / f"{USERACTIONS}.lease").write_text(json.dumps(lease))
    assert harvest("useractions", "-o", str(tmp_path / "out.jsonl")).code == 75
    assert pings.told == ["/useractions/log"]
    assert not metrics.exists()
    assert not collector.requests


@pytest.mark.parametrize("workers", ["1", "2"])
def test_several_processes_are_one_run(
    elasticmq_url: str, pings: PingServer, collector: Collector, metrics: Path, workers: str
) -> None:
    queue = Queue()
    try:
        queue.fill(["poison"] * 3)
        environment = {"SQS_QUEUE_NAME": queue.name, "ES_HOST": "127.0.0.1:1"}
        code, _ = told_in(60, environment, "index", "--drain", "--workers", workers)
    finally:
        queue.remove()
    assert code == 0
    assert pings.told == ["/index/start", "/index"]
    assert len({each.rid for each in pings.pings}) == 1
    assert collected(metrics)["index"]["harvest_last_run_dead"] == 3
    assert [span.name for span in collector.spans if not span.parent] == ["index"]


def told_in(seconds: float, environment: dict[str, str], *words: str) -> tuple[int, list[str]]:
    """The exit code of a process that takes no longer than that, and what its warnings and errors begin with."""
    began = time.monotonic()
    done = subprocess.run(
        [*HARVEST, "--log-level", "DEBUG", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert time.monotonic() - began < seconds, done.stderr
    assert KEY not in done.stderr
    said = [line.split(maxsplit=2) for line in done.stderr.splitlines()]
    return done.returncode, [words[2].partition(": ")[0] for words in said if words[1] not in ("DEBUG", "INFO")]


@pytest.mark.parametrize("right", [True, False])
def test_all_of_them_hang_and_the_run_is_worth_the_same(
    opencast: OpencastSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    import fcntl

    metrics = tmp_path / "harvest.prom"
    words = ("useractions", "-i", "10", "-o", str(tmp_path / "out.jsonl"))
    environment = {"REDIS_URL": "redis://127.0.0.1:1/0"} | ({} if right else {"MATTERHORN_REST_PASS": "wrong-password"})
    began = time.monotonic()
    code, without = told_in(30, environment, *words)
    alone = time.monotonic() - began
    assert code == (0 if right else 77)
    with silent() as url, metrics.with_name(".harvest.prom.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment |= {"HARVEST_PING_URL": f"{url}/{KEY}", "HARVEST_METRICS_FILE": str(metrics), OTLP: url}
        again, warned = told_in(alone + 5.0 + 2.0, environment, *words)  # two seconds for a machine that is busy
    assert again == code
    assert sorted({*warned} - {*without}) == [
        "HARVEST_METRICS_FILE does not show this run",
        "HARVEST_PING_URL is not told how this run went",
        "OpenTelemetry's collector is not told of this run",
    ]
    assert len(warned) == len(without) + 3


def test_the_address_of_pings_is_a_secret(harvest: Command, pings: PingServer) -> None:
    (line,) = [one for one in json.loads(harvest("config", "--json").out) if one["setting"] == "HARVEST_PING_URL"]
    assert line["value"] == "***"
    assert KEY not in harvest("--log-level", "DEBUG", "index").err


class TestDoctor:
    @pytest.fixture(autouse=True)
    def _no_redis_is_named(self, harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("REDIS_URL")

    def checks(self, harvest: Command, code: int) -> dict[str, dict[str, str]]:
        result = harvest("doctor", "--json")
        assert result.code == code, result.out
        assert KEY not in result.out + result.err
        return {one["check"]: one for one in json.loads(result.out)}

    def test_all_is_well_and_nothing_is_sent(
        self, harvest: Command, state: Path, pings: PingServer, metrics: Path
    ) -> None:
        state.mkdir()
        checks = self.checks(harvest, 0)
        assert (checks["ping"]["status"], checks["metrics"]["status"]) == ("ok", "ok")
        assert not pings.requests
        assert not metrics.exists()

    @pytest.mark.parametrize("url", [f"http://127.0.0.1:1/{KEY}", "127.0.0.1:1/x", "http://[::1/x"])
    def test_a_server_of_pings_that_is_away(
        self, harvest: Command, state: Path, monkeypatch: pytest.MonkeyPatch, url: str
    ) -> None:
        monkeypatch.setenv("HARVEST_PING_URL", url)
        assert self.checks(harvest, 69)["ping"]["status"] == "fail"

    def test_one_without_the_tls_that_its_address_says(
        self, harvest: Command, state: Path, pings: PingServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HARVEST_PING_URL", f"https://127.0.0.1:{pings.port}/{KEY}")
        assert self.checks(harvest, 69)["ping"]["status"] == "fail"

    @pytest.mark.parametrize("trusted", [True, False])
    def test_its_certificate(
        self, harvest: Command, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
    ) -> None:
        certificate = self_signed(tmp_path)
        server = PingServer()
        url = with_tls(server, certificate)
        monkeypatch.setenv("HARVEST_PING_URL", f"{url}/{KEY}")
        if trusted:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        with server:
            ping = self.checks(harvest, 0 if trusted else 69)["ping"]
        assert ping["status"] == ("ok" if trusted else "fail")
        assert trusted or "certificate verify failed" in ping["detail"]
        assert not server.requests

    def test_a_proxy_between_is_what_it_looks_at(
        self, harvest: Command, state: Path, pings: PingServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HARVEST_PING_URL", f"https://hc.example.invalid/{KEY}")
        monkeypatch.setenv("HTTPS_PROXY", pings.url)
        ping = self.checks(harvest, 0)["ping"]
        assert (ping["status"], ping["detail"]) == ("ok", "127.0.0.1 takes connections (a proxy); nothing was sent")

    @pytest.mark.parametrize("name", ["gone/harvest.prom", "harvest.txt", "others.prom", "directory.prom"])
    def test_a_file_of_metrics_that_no_run_could_write(
        self, harvest: Command, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        (tmp_path / "others.prom").write_text("node_load1 0.5\n")
        (tmp_path / "directory.prom").mkdir()
        monkeypatch.setenv("HARVEST_METRICS_FILE", str(tmp_path / name))
        assert self.checks(harvest, 69)["metrics"]["status"] == "fail"
