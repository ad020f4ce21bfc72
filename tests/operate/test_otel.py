"""OpenTelemetry: the spans and metrics that arrive at a collector, and collectors in trouble."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from harvesters.errors import Exit, LeaseHeld, Unavailable
from harvesters.operate import aside, otel
from harvesters.operate.jobs import BY_NAME
from harvesters.operate.measures import GAUGES, LAST_SUCCESS
from harvesters.operate.otel import Exporter
from harvesters.settings import Settings
from harvesters.simulators.base import Response
from harvesters.telemetry import Report
from harvesters.watched import Watched
from tests.operate.receivers import Collector, Span, silent

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as simulator:
        yield simulator


def watched(patch: pytest.MonkeyPatch, **settings: str) -> Watched:
    for name, value in settings.items():
        patch.setenv(name, value)
    return Watched("useractions", listeners=[Exporter(BY_NAME["useractions"], Settings(settings))])


def work(run: Watched) -> None:
    run.begin()
    with run.step("fetch") as step:
        step.rows = 5
    with run.step("deliver"):
        pass
    with run.step("commit"):
        pass
    run.hear(Report("useractions", "done", Exit.DONE, {"rows": 5, "delivered": 4, "checkpoint": "20260213092959Z"}))


def fail(run: Watched) -> None:
    run.begin()
    with run.step("fetch"):
        raise Unavailable("away")


def one(spans: list[Span], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


class TestWhatArrives:
    def test_a_span_a_run_with_its_parts_in_it(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        before = datetime.now(UTC).timestamp() * 1e9
        with watched(monkeypatch, **{ENDPOINT: collector.url}) as run:
            work(run)
        after = datetime.now(UTC).timestamp() * 1e9
        whole = one(collector.spans, "useractions")
        assert whole.parent == b""
        assert not whole.failed
        assert before - 1e6 <= whole.start <= whole.end <= after + 1e6
        assert (whole.attributes["harvest.exit_code"], whole.attributes["harvest.rows"]) == (0, 5)
        for name in ("fetch", "deliver", "commit"):
            part = one(collector.spans, name)
            assert (part.parent, part.trace) == (whole.id, whole.trace)
            assert whole.start <= part.start <= part.end <= whole.end + 1e6
        assert one(collector.spans, "fetch").attributes == {"harvest.rows": 5}
        assert collector.services == {"harvest"}

    def test_the_metrics_are_those_of_the_file(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        with watched(monkeypatch, **{ENDPOINT: f"{collector.url}/"}) as run:
            work(run)
        assert {name for name, _ in collector.gauges} == {*GAUGES}
        assert {job for _, job in collector.gauges} == {"useractions"}
        assert collector.gauges["harvest_last_run_rows", "useractions"] == 5
        moment = datetime(2026, 2, 13, 9, 29, 59, tzinfo=UTC).timestamp()
        assert collector.gauges["harvest_checkpoint_timestamp_seconds", "useractions"] == moment

    def test_one_that_fails_in_a_part(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(Unavailable), watched(monkeypatch, **{ENDPOINT: collector.url}) as run:
            fail(run)
        whole = one(collector.spans, "useractions")
        assert whole.failed
        assert whole.attributes["harvest.exit_code"] == 69
        assert one(collector.spans, "fetch").failed
        assert collector.gauges["harvest_last_run_exit_code", "useractions"] == 69
        assert (LAST_SUCCESS, "useractions") not in collector.gauges

    def test_one_that_fails_before_it_begins(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(Unavailable), watched(monkeypatch, **{ENDPOINT: collector.url}):
            raise Unavailable("away")
        assert [span.name for span in collector.spans] == ["useractions"]

    def test_who_finds_the_lease_held_is_none(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(LeaseHeld), watched(monkeypatch, **{ENDPOINT: collector.url}):
            raise LeaseHeld("by another")
        assert not collector.requests

    def test_each_round_is_a_trace(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        with watched(monkeypatch, **{ENDPOINT: collector.url}) as run:
            for _ in range(2):
                with run.round() as one_round, one_round.step("fetch"):
                    pass
        assert len({span.trace for span in collector.spans if span.name == "useractions"}) == 2
        assert len({span.trace for span in collector.spans}) == 2

    @pytest.mark.parametrize(("signal", "path"), [("TRACES", "/v1/traces"), ("METRICS", "/v1/metrics")])
    def test_an_endpoint_of_one_signal_sends_that_one(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch, signal: str, path: str
    ) -> None:
        endpoint = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
        with watched(monkeypatch, **{endpoint: f"{collector.url}{path}"}) as run:
            work(run)
        assert {request.path for request in collector.requests} == {path}

    def test_its_own_name_for_the_service_counts(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        with watched(monkeypatch, **{ENDPOINT: collector.url, "OTEL_SERVICE_NAME": "harvest-2"}) as run:
            work(run)
        assert collector.services == {"harvest-2"}


@pytest.mark.parametrize(
    ("given", "traces", "metrics"),
    [
        ({}, False, False),
        ({ENDPOINT: "http://x"}, True, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"}, False, True),
        ({ENDPOINT: "http://x", "OTEL_SDK_DISABLED": "true"}, False, False),
        ({ENDPOINT: "http://x", "OTEL_TRACES_EXPORTER": "none"}, False, True),
    ],
)
def test_when_it_is_on(given: dict[str, str], traces: bool, metrics: bool) -> None:
    settings = Settings.read(None, {**given, "OTEL_EMPTY": ""})
    assert (settings.otlp("TRACES"), settings.otlp("METRICS")) == (traces, metrics)


def test_what_its_headers_hold_is_secret() -> None:
    given = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=otel-0815%20key,x=other-secret"}
    assert {"otel-0815%20key", "otel-0815 key", "other-secret"} <= {*Settings.read(None, {**given}).secrets()}


class TestTrouble:
    def complaint(
        self, url: str, patch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, within: float = 5.0
    ) -> str:
        began = time.monotonic()
        with watched(patch, **{ENDPOINT: url}) as run:
            work(run)
        assert time.monotonic() - began < within
        # pytest hears loggers that do not propagate, too; what a process writes is tested with the commands.
        ours = [record for record in caplog.records if record.name.startswith("harvesters")]
        (said,) = [record.getMessage() for record in ours if record.levelno >= logging.WARNING]
        assert said.startswith("OpenTelemetry's collector is not told of this run: ")
        return said

    def test_a_collector_that_hangs(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setattr(aside, "WITHIN", 1.0)
        monkeypatch.setattr(otel, "_TIMEOUT", 0.3)
        with silent() as url:
            self.complaint(url, monkeypatch, caplog)

    def test_one_that_hangs_for_longer_than_its_exporter_knows(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        never = threading.Event()
        monkeypatch.setattr(aside, "WITHIN", 0.5)
        monkeypatch.setattr(otel._Trace, "end", lambda *_: never.wait(60))
        assert "not done in 0.5 s" in self.complaint("http://127.0.0.1:1", monkeypatch, caplog)
        never.set()

    @pytest.mark.parametrize("status", [400, 503])
    def test_one_that_refuses(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
    ) -> None:
        monkeypatch.setattr(otel, "_TIMEOUT", 0.3)
        collector.fail("status", times=99, response=Response(status))
        self.complaint(collector.url, monkeypatch, caplog)

    def test_one_that_is_away(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setattr(otel, "_TIMEOUT", 0.3)
        self.complaint("http://127.0.0.1:1", monkeypatch, caplog)

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter.otlp.proto.http")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
        assert "pip install 'harvest[otel]'" in self.complaint("http://127.0.0.1:1", monkeypatch, caplog)


@pytest.mark.parametrize("words", [["--help"], ["useractions", "--help"]])
def test_nothing_of_it_is_imported_for_help(words: list[str]) -> None:
    script = (
        "import sys; from harvesters.cli import main; main.run(sys.argv[1:]); "
        "sys.exit(any(name.startswith(('opentelemetry', 'harvesters.operate')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script, *words], capture_output=True, check=False).returncode == 0
