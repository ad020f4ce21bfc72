"""``harvest.py serve`` as a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.cli.conftest import (
    Command,
    harvest,  # noqa: F401  (a fixture)
)
from tests.cli.processes import run
from tests.web.conftest import ROOT, SECRETS, Running, serving, wait_for

pytestmark = pytest.mark.listens

SLOW = ["/api/v1/insights/funnel", "/api/v1/profiles"]
"""These take HARVEST_SEARCH_TIMEOUT where Elasticsearch says nothing."""


@contextmanager
def idle(server: Running) -> Iterator[socket.socket]:
    """A connection that was used once and is kept open."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = b""
        while not said.endswith(b'{"status":"ok"}'):  # it may come in pieces
            said += (piece := connection.recv(4096))
            assert piece, said
        yield connection


@pytest.mark.parametrize(("workers", "path"), [("1", SLOW[0]), ("2", SLOW[1])])
def test_sigterm_answers_what_is_under_way_and_ends_with_0(
    workers: str, path: str, silent: str, tmp_path: Path
) -> None:
    settings = {"ES_HOST": silent, "HARVEST_SEARCH_TIMEOUT": "2"}
    with serving(tmp_path / "log", "--workers", workers, **settings) as server, ThreadPoolExecutor(8) as clients:
        with idle(server) as first, idle(server):
            asked = [clients.submit(server.get, path) for _ in range(8)]
            time_to_be_accepted(server)
            assert server.end() == 0
            assert first.recv(1) == b""
        assert [one.result().status_code for one in asked] == [503] * 8
        with pytest.raises(requests.ConnectionError):
            server.get("/health")
    assert "Traceback" not in server.log.read_text()


def time_to_be_accepted(server: Running) -> None:
    """Ask for something quick often enough that what was asked before has been accepted."""
    for _ in range(10):
        assert server.get("/health").ok


STOPPED_AT_ONCE = """
import signal
from harvesters.cli.main import main
from harvesters.web import server
server.log.info = lambda *words: signal.raise_signal(signal.SIGTERM)
main()
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_ends_it_when_it_comes_with_the_word_that_it_listens(workers: str) -> None:
    command = [sys.executable, "-c", STOPPED_AT_ONCE, "--env-file", os.devnull, "serve", "--port", "0"]
    assert subprocess.run([*command, "--workers", workers], cwd=ROOT, timeout=20).returncode == 0


def test_ctrl_c_ends_it_with_0(tmp_path: Path) -> None:
    with serving(tmp_path / "log") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0


@pytest.mark.parametrize("path", SLOW)
def test_health_answers_while_two_hundred_requests_hang(path: str, silent: str, tmp_path: Path) -> None:
    settings = {"ES_HOST": silent, "HARVEST_SEARCH_TIMEOUT": "4"}
    with serving(tmp_path / "log", **settings) as server, ThreadPoolExecutor(200) as clients:
        asked = [clients.submit(server.get, path) for _ in range(200)]
        time_to_be_accepted(server)
        assert server.get("/health").status_code == 200
        assert server.get("/api/v1/insights").status_code == 200
        assert not any(one.done() for one in asked), "nothing hangs any more: the test shows nothing"
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"4"}


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--workers", "2") as server:
        wait_for(lambda: server.get("/health").ok)
        server.process.kill()
        server.process.wait()

        def nobody_listens() -> bool:
            try:
                server.get("/health")
            except requests.ConnectionError:
                return True
            return False

        wait_for(nobody_listens)


def test_keys_and_what_was_searched_are_in_no_log_line(silent: str, tmp_path: Path) -> None:
    settings = {"HARVEST_API_KEYS": SECRETS, "ES_HOST": silent, "HARVEST_SEARCH_TIMEOUT": "0.2"}
    with serving(tmp_path / "log", **settings) as server:
        for key in ("s-ana", "wrong-sesame"):
            server.get(f"{SLOW[1]}?q=sesame-name", headers={"X-API-Key": key})
            server.get("/nothing?key=sesame-query", headers={"Authorization": f"Bearer {key}"})
        server.get("/docs", auth=("bob", "s-bob"))
        assert server.end() == 0
    log = server.log.read_text()
    assert not [word for word in ("s-ana", "s-bob", "sesame", "Authorization") if word in log]


def test_other_addresses_want_keys(tmp_path: Path) -> None:
    refused = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 78
    assert "HARVEST_API_KEYS" in refused.stderr
    with serving(tmp_path / "log", "--host", "0.0.0.0", HARVEST_API_KEYS=SECRETS) as server:
        here = server.url.replace("0.0.0.0", "127.0.0.1")
        assert requests.get(f"{here}/docs", timeout=10).status_code == 401
        assert requests.get(f"{here}/docs", auth=("ana", "s-ana"), timeout=10).status_code == 200


def test_a_port_that_is_taken_is_78_and_named(harvest: Command) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = harvest("serve", "--port", port)
    assert ended.code == 78
    assert f"127.0.0.1:{port}" in ended.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HARVEST_API_KEYS", "ana"),
        ("HARVEST_API_KEYS", "@/nothing/there"),
        ("HARVEST_API_KEYS", "ana:sesame:cookies"),
        ("HARVEST_API_RATE", "often"),
        ("HARVEST_API_RATE", "0.5"),
        ("HARVEST_SEARCH_TIMEOUT", "0"),
        ("HARVEST_PROXY", "proxy.example.edu"),
        ("HARVEST_INSIGHTS_MAX_AGE", "-1"),
        ("WS_PORT", "70000"),
        ("WS_PORT", "80.5"),
        ("REDIS_URL", "localhost"),
    ],
)
def test_a_setting_that_cannot_be_read_is_78_and_named(name: str, value: str, harvest: Command) -> None:  # noqa: F811
    ended = harvest("serve", env={name: value, "WS_HOST": "127.0.0.1"})
    assert ended.code == 78
    assert name in ended.err
    assert "sesame" not in ended.err


@pytest.mark.parametrize("parts", ["nothing", "insights,nothing", "", ","])
def test_a_part_that_is_not_built_is_2(parts: str, harvest: Command) -> None:  # noqa: F811
    assert harvest("serve", "--parts", parts).code == 2


def test_without_the_extra_it_is_78_and_says_how_to_get_it(harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("harvesters.cli.serve.find_spec", lambda name: None if name == "uvicorn" else object())
    ended = harvest("serve")
    assert ended.code == 78
    assert "pip install 'harvest[web]'" in ended.err


POST = b"POST /messages HTTP/1.1\r\nHost: localhost\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def answered(server: Running, *pieces: bytes) -> bytes:
    """All that comes back until the server ends the connection."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        said = b""
        with suppress(ConnectionError):  # it need not read all that it refuses
            for piece in pieces:
                connection.sendall(piece)
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                said += piece
        return said


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for several tests."""
    with serving(tmp_path_factory.mktemp("connections") / "log") as running:
        yield running


class TestConnections:
    """What clients send that is no plain request."""

    @pytest.mark.parametrize(
        "request_",
        [
            POST + OFFER + b"Content-Length: 1\r\n\r\n5",
            POST + OFFER + b"Transfer-Encoding: chunked\r\n\r\n1\r\n5\r\n0\r\n\r\n",
        ],
    )
    @pytest.mark.parametrize("size", [1, 1000])
    def test_who_offers_another_protocol_is_heard_in_this_one(
        self, request_: bytes, size: int, server: Running
    ) -> None:
        """Clients of Java do so with each first request of a connection, posts too."""
        sent = request_ + LAST.replace(b"close", b"close, Upgrade\r\nUpgrade: websocket")
        said = answered(server, *(sent[at : at + size] for at in range(0, len(sent), size)))
        assert b"the body is no JSON array" in said, said
        assert said.endswith(b'{"status":"ok"}')

    @pytest.mark.parametrize(
        "begun",
        [b"GET /health HTTP/1.1\r\nHost: localhost\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n5\r\n0\r\n"],
    )
    @pytest.mark.parametrize("field", [b"X-A: a\r\n" * 10_000, b"X-A: " + b"a" * 100_000])
    def test_fields_without_end_are_not_kept(self, begun: bytes, field: bytes, server: Running) -> None:
        said = answered(server, begun, *[field] * 20)
        assert b"200 OK" not in said
        assert b"Invalid HTTP request" in said or not said  # refused, or reset while it was still sent

    def test_many_small_pieces_of_a_body_are_no_such_fields(self, server: Running) -> None:
        body = b"1\r\n \r\n" * 50_000 + b"1\r\n5\r\n0\r\n\r\n"
        said = answered(server, POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert b"the body is no JSON array" in said

    def test_who_leaves_before_the_end_of_a_post_is_no_bug(self, server: Running) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(POST + b"Content-Length: 9\r\n\r\n[")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
        time_to_be_accepted(server)
        assert "bug" not in server.log.read_text()
