"""How one Opencast node is asked."""

from __future__ import annotations

import base64
import errno
import io
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harvesters.errors import ProtocolError, Unavailable
from harvesters.opencast.client import OpencastClient
from harvesters.opencast.spool import OddAnswer
from harvesters.simulators.base import Request, Response, Simulator
from tests.clocks import FakeClock, patient


class Answering(Simulator):
    """Answers everything with an empty object."""

    def handle(self, request: Request) -> Response:
        return Response.json({})


@pytest.mark.parametrize(("user", "password"), [("sys", "pä:ss"), ("Jürgen", "\N{EURO SIGN}✓")])
def test_basic_credentials_are_utf_8_as_opencast_reads_them(user: str, password: str) -> None:
    with Answering() as simulator:
        OpencastClient(simulator.url, user, password, "basic", patient(budget=1)).get("/info/me.json")
        sent = {name.lower(): value for name, value in simulator.requests[-1].headers.items()}
    assert base64.b64decode(sent["authorization"].removeprefix("Basic ")).decode() == f"{user}:{password}"


class Actions(Simulator):
    """Answers with a page of one action, and with `headers`, of which each list is a queue of values."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, Any] = {}
        self.body = b'{"actions":{"total":1,"action":{"id":1}}}'

    def handle(self, request: Request) -> Response:
        drawn = {name: value.pop(0) if isinstance(value, list) else value for name, value in self.sent.items()}
        return Response(200, self.body, {"Content-Type": "application/json", **drawn})


@pytest.fixture
def node() -> Iterator[Actions]:
    with Actions() as simulator:
        yield simulator


def ask(node: Actions, how: str) -> int | None:
    client = OpencastClient(node.url, "u", "p", "basic", patient())
    if how == "actions":
        return client.actions(limit=1).total
    if how == "get":  # as episodes and workflows are
        return int(client.get("/search/episode.json", {"id": "mp"})["actions"]["total"])
    total, rows = client.snapshot(limit=1)
    rows.close()
    return total


@pytest.mark.parametrize("how", ["actions", "snapshot", "get"])
class TestCaches:
    def test_every_request_says_that_no_cache_may_answer(self, node: Actions, how: str) -> None:
        assert ask(node, how) == 1
        assert [request.headers["cache-control"] for request in node.requests] == ["no-cache"]

    @pytest.mark.parametrize("age", ["0", "1", "", "soon", "-5"])
    def test_a_fresh_answer_is_taken(self, node: Actions, how: str, age: str) -> None:
        node.sent = {"Age": age}
        assert ask(node, how) == 1
        assert len(node.requests) == 1

    def test_an_old_answer_is_asked_for_again(self, node: Actions, how: str) -> None:
        node.sent = {"Age": ["117", "0"]}
        assert ask(node, how) == 1
        assert len(node.requests) == 2

    def test_one_that_stays_old_is_76_and_names_the_cache(self, node: Actions, how: str) -> None:
        node.sent = {"Age": "2", "Via": "1.1 varnish (Varnish/7.1)"}
        with pytest.raises(ProtocolError, match=r"cache.*Age: 2, Via: 1.1 varnish .*MATTERHORN_ENGAGE_HOST") as caught:
            ask(node, how)
        assert caught.value.code == 76
        assert len(node.requests) == 2


class TestTime:
    def test_it_is_what_the_latest_answer_says(self, node: Actions) -> None:
        clock = FakeClock(datetime(2026, 3, 12, 15, tzinfo=UTC))
        client = OpencastClient(node.url, "u", "p", "basic", patient(clock))
        assert client.time() is None
        client.actions(limit=1)
        told = client.time()
        assert told is not None
        assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)


class FullDisk(io.BytesIO):
    """A file for which there is no room."""

    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_and_loses_nothing(node: Actions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/var/spool/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", FullDisk)
    with pytest.raises(Unavailable, match=r"/var/spool/full: No space left on device.*TMPDIR") as caught:
        ask(node, "snapshot")
    assert caught.value.code == 69


def test_no_directory_for_an_answer_is_69_too(node: Actions, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(Unavailable, match="No usable temporary directory"):
        ask(node, "snapshot")


@pytest.mark.parametrize("odd", [b"1e400", b"NaN", b"9" * 400, b'"\xff"'])
def test_an_answer_that_is_whole_and_odd_is_not_taken_for_one_that_is_cut_off(node: Actions, odd: bytes) -> None:
    node.body = b'{"actions":{"total":1,"action":{"id":1,"inpoint":%s}}}' % odd
    with pytest.raises(OddAnswer):
        ask(node, "snapshot")
    assert len(node.requests) == 1


@pytest.mark.parametrize("total", [b'"many"', b"1.5", b"{}", b"true"])
def test_a_total_that_is_none_is_76(node: Actions, total: bytes) -> None:
    node.body = b'{"actions":{"total":%s}}' % total
    with pytest.raises(ProtocolError, match="total"):
        ask(node, "actions")


def test_its_connections_are_dropped_when_it_is_closed(node: Actions) -> None:
    client = OpencastClient(node.url, "u", "p", "basic", patient())
    client.actions(limit=1)
    pools = client._http.session.get_adapter(node.url).poolmanager.pools  # type: ignore[attr-defined]
    assert len(pools) == 1
    client.close()
    assert len(pools) == 0
