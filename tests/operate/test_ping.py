"""Pings: what is sent when, and what a server that is in trouble makes of it."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator

import pytest

from harvesters.errors import ConfigError, CredentialsRefused, Exit, LeaseHeld
from harvesters.operate import aside, ping
from harvesters.operate.ping import MOST, Pinger, PingUrl
from harvesters.privacy import redact
from harvesters.settings import Settings
from harvesters.simulators.base import Response
from harvesters.telemetry import Report
from harvesters.watched import Watched
from tests.operate.receivers import KEY, PingServer, silent


@pytest.fixture
def server() -> Iterator[PingServer]:
    with PingServer() as simulator:
        yield simulator


def settings(url: str) -> Settings:
    return Settings({"HARVEST_PING_URL": url})


def watched(url: str, job: str = "zoom") -> Watched:
    return Watched(job, listeners=[Pinger(settings(url), job)])


def fail(run: Watched, error: Exception) -> None:
    run.begin()
    raise error


class TestWhatIsSent:
    def test_a_run_that_ends_well(self, server: PingServer) -> None:
        with watched(server.address) as run:
            run.begin()
            run.hear(Report("zoom", "done", Exit.DONE, {"rows": 3, "delivered": 2, "route": "report"}))
        start, end = server.pings
        assert (start.what, end.what) == ("/start", "")
        assert start.rid == end.rid
        uuid.UUID(end.rid)
        assert start.body == b""
        assert (end.report["job"], end.report["exit_code"], end.report["counts"]["rows"]) == ("zoom", 0, 3)
        assert end.report["report"] == {"rows": 3, "delivered": 2, "route": "report"}

    def test_one_that_fails(self, server: PingServer) -> None:
        with pytest.raises(CredentialsRefused), watched(server.address) as run:
            fail(run, CredentialsRefused("no"))
        assert server.told == ["/start", "/77"]
        assert server.pings[1].report["outcome"] == "ended with 77"

    def test_one_that_fails_before_it_begins(self, server: PingServer) -> None:
        with pytest.raises(ConfigError), watched(server.address):
            raise ConfigError("no")
        assert server.told == ["/78"]

    def test_one_that_finds_the_lease_held(self, server: PingServer) -> None:
        with pytest.raises(LeaseHeld), watched(server.address):
            raise LeaseHeld("by another")
        assert server.told == ["/log"]

    def test_a_start_that_was_told_of_is_ended(self, server: PingServer) -> None:
        with pytest.raises(LeaseHeld), watched(server.address) as run:
            fail(run, LeaseHeld("by who was quicker"))
        assert server.told == ["/start", "/75"]
        assert len({each.rid for each in server.pings}) == 1

    def test_each_round_is_a_run(self, server: PingServer) -> None:
        with watched(server.address) as run:
            for _ in range(2):
                with run.round():
                    pass
        assert server.told == ["/start", "", "/start", ""]
        rids = [each.rid for each in server.pings]
        assert rids[0] == rids[1] != rids[2] == rids[3]

    def test_the_query_stays_at_the_end_and_the_job_has_its_place(self, server: PingServer) -> None:
        with watched(f"{server.url}/{KEY}/{{job}}/?create=1&a=b%20c", "load_episodes") as run:
            run.begin()
        assert server.told == ["/load_episodes/start", "/load_episodes"]
        for each in server.pings:
            assert each.query == (("create", "1"), ("a", "b c"), ("rid", each.rid))

    def test_a_report_that_is_too_long_is_cut_where_it_stays_json(self, server: PingServer) -> None:
        with watched(server.address) as run:
            run.hear(Report("zoom", "done", Exit.DONE, {"rows": 3, "long": "ö" * 9000, "longer": ["x" * 99] * 200}))
        body = server.pings[0].body
        assert len(body) <= MOST
        assert json.loads(body)["report"] == {"rows": 3}

    def test_as_much_as_fits_is_left(self, server: PingServer) -> None:
        with watched(server.address) as run:
            run.hear(Report("zoom", "done", Exit.DONE, {"long": "x" * 9000}))
        assert len(json.loads(server.pings[0].body)["report"]["long"]) == 9000


class TestTrouble:
    """None of it ends a run otherwise, and each is one warning."""

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(aside, "WITHIN", 1.0)
        monkeypatch.setattr(ping, "_START", 0.2)
        monkeypatch.setattr(ping, "_END", 0.5)

    def run(self, url: str, caplog: pytest.LogCaptureFixture) -> str:
        """The one warning of a run."""
        with caplog.at_level(logging.DEBUG):
            began = time.monotonic()
            with watched(url) as run:
                run.begin()
            assert time.monotonic() - began < 4
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(said) == 1, said
        assert said[0].startswith("HARVEST_PING_URL is not told how this run went: ")
        for record in caplog.records:
            assert KEY not in redact(record.getMessage())
        return redact(said[0])

    def test_a_server_that_hangs(self, caplog: pytest.LogCaptureFixture) -> None:
        with silent() as url:
            assert "no answer in time" in self.run(f"{url}/{KEY}", caplog)

    def test_one_that_dribbles(self, server: PingServer, caplog: pytest.LogCaptureFixture) -> None:
        for kind in ("dribble-head", "dribble-body"):
            server.fail(kind, seconds=0.05)
        self.run(server.address, caplog)

    def test_one_that_is_away(self, caplog: pytest.LogCaptureFixture) -> None:
        assert "Connection refused" in self.run(f"http://127.0.0.1:1/{KEY}", caplog)

    @pytest.mark.parametrize("status", [301, 404, 409, 500])
    def test_one_that_refuses(self, server: PingServer, caplog: pytest.LogCaptureFixture, status: int) -> None:
        server.fail("status", times=99, response=Response(status, KEY.encode(), {"Location": f"/{KEY}"}))
        assert f"answered {status}" in self.run(server.address, caplog)

    def test_one_that_knows_no_such_check(self, server: PingServer, caplog: pytest.LogCaptureFixture) -> None:
        server.answer = b"OK (not found)"
        assert "knows no such check" in self.run(server.address, caplog)

    @pytest.mark.parametrize("url", ["hc-ping.com/x", "ftp://127.0.0.1/x", "http://", "http://[::1/x", "http://h:x/y"])
    def test_what_is_no_address(self, caplog: pytest.LogCaptureFixture, url: str) -> None:
        assert "is no address" in self.run(url, caplog)

    def test_a_short_trouble_is_none(self, server: PingServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(aside, "WITHIN", 30.0)
        monkeypatch.setattr(ping, "_END", 20.0)
        server.fail("status", path=f"/{KEY}", after=1, response=Response(500))
        server.fail("reset", path=f"/{KEY}", after=1)
        with watched(server.address) as run:
            run.begin()
        assert server.told[0] == "/start"
        assert {*server.told[1:]} == {""}

    def test_a_start_that_hangs_does_not_keep_the_end(self, server: PingServer) -> None:
        server.fail("delay", path=f"/{KEY}/start", seconds=0.5)
        with watched(server.address) as run:
            run.begin()
        assert server.told == ["/start", ""]


def test_every_part_that_may_be_a_key_is_masked() -> None:
    PingUrl.of(settings("https://hc.example/ping-key-0815xyz/{job}?token=tok-0815-secret"), "zoom")
    for shown in (
        "https://hc.example/ping-key-0815xyz/zoom/start?token=tok-0815-secret&rid=1",
        "/ping-key-0815xyz/zoom/77",
        "ping-key-0815xyz",
        "tok-0815-secret",
    ):
        assert "0815" not in redact(shown)


def test_the_name_of_the_job_is_no_key() -> None:
    for url in ("https://hc.example/ping-key-0815xyz/{job}", "https://hc.example/{job}?token={job}"):
        PingUrl.of(settings(url), "firebase-events")
        assert redact("firebase-events done, load_episodes too") == "firebase-events done, load_episodes too"
