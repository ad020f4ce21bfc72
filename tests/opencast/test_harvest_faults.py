"""Harvests of an Opencast that is not well, that refuses, or that has rows which are none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.cursor import TimeCursor
from harvesters.errors import CredentialsRefused, RateLimited, TooManyDead, Unavailable
from harvesters.simulators.base import Response
from tests.clocks import FakeClock
from tests.opencast.harvesting import Harvesting, Opencast, row

START = datetime(2026, 3, 11, 9, tzinfo=UTC)
END = START + timedelta(hours=1)
WANTED = Counter(range(100, 123))


def fill(opencast: Opencast) -> Opencast:
    opencast.add_rows(row(number, START + timedelta(seconds=(number - 100) * 60)) for number in WANTED)
    return opencast


@pytest.fixture(params=["dce", "stock"])
def harvesting(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[Harvesting]:
    with Opencast(clock, dialect=request.param, anonymous=False) as opencast:
        yield Harvesting(fill(opencast), tmp_path)


@pytest.mark.parametrize("after", [0, 1, 4, 6, 8])
@pytest.mark.parametrize("kind", ["reset", "truncate", "cut", "500", "429", "503"])
def test_a_fault_that_passes_costs_a_retry_and_nothing_else(kind: str, after: int, harvesting: Harvesting) -> None:
    fields: dict[str, Any] = {"kind": kind}
    if kind.isdigit():
        answer = Response.html(int(kind), "no", Retry_After="7") if kind != "500" else Response(500)
        fields = {"kind": "status", "response": answer}
    fault = harvesting.opencast.fail(**fields, path="/usertracking", after=after, times=3)
    harvesting.run(START, END)
    assert fault.times == 0
    assert harvesting.delivered == WANTED
    assert harvesting.reached == END
    if kind in ("429", "503"):
        assert sum(pause >= 7 for pause in harvesting.clock.slept) == 3


@pytest.mark.parametrize("kind", ["reset", "truncate", "cut"])
def test_a_search_that_fails_is_asked_again(kind: str, harvesting: Harvesting) -> None:
    fault = harvesting.opencast.fail(kind, path="/search", times=2)
    harvesting.run(START, END)
    assert fault.times == 0
    assert harvesting.delivered == WANTED


@pytest.mark.parametrize("after", [0, 7])
def test_a_server_that_stays_down_ends_the_run_and_the_next_one_has_it_all(after: int, harvesting: Harvesting) -> None:
    harvesting.checkpoint.commit(TimeCursor(START), None)
    fault = harvesting.opencast.fail("status", response=Response(503), path="/usertracking", after=after, times=10**6)
    with pytest.raises(Unavailable, match="HARVEST_RETRY_BUDGET") as caught:
        harvesting.run(end=END)
    assert caught.value.code == 69
    reached = harvesting.reached
    assert reached is not None
    assert START <= reached < END
    assert sum(harvesting.clock.slept) <= 120
    fault.times = 0
    harvesting.run(end=END)
    assert harvesting.delivered == WANTED
    assert harvesting.reached == END


def test_a_server_that_asks_for_more_patience_than_there_is_is_not_waited_for(harvesting: Harvesting) -> None:
    busy = Response(429, headers={"Retry-After": "86400"})
    harvesting.opencast.fail("status", response=busy, path="/usertracking", times=10**6)
    with pytest.raises(RateLimited, match="86400 s") as caught:
        harvesting.run(START, END)
    assert caught.value.code == 75
    assert harvesting.clock.slept == []


@pytest.mark.parametrize("dialect", ["dce", "stock"])
@pytest.mark.parametrize("version", [1, 4, 8, 9, 16])
def test_digest_goes_on_through_stale_nonces_and_lost_sessions(
    version: int,
    dialect: Any,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    with Opencast(
        clock, pace=0.8, dialect=dialect, version=version, anonymous=False, auth="digest", nonce_validity=1
    ) as opencast:
        opencast.gate.accept_sessions = False
        harvesting = Harvesting(fill(opencast), tmp_path)
        harvesting.run(START, END)
    assert harvesting.delivered == WANTED


def test_a_session_is_kept_and_made_once(clock: FakeClock, tmp_path: Path) -> None:
    with Opencast(clock, anonymous=False, auth="digest") as opencast:
        Harvesting(fill(opencast), tmp_path).run(START, END)
        assert opencast.gate.sessions_created == 1


def test_a_session_that_the_server_forgot_is_made_again(harvesting: Harvesting) -> None:
    requests = iter(range(10**6))
    gate = harvesting.opencast.gate
    harvesting.opencast.before = lambda request: gate.expire_sessions() if next(requests) % 3 == 2 else None
    harvesting.run(START, END)
    assert harvesting.delivered == WANTED


def test_nobody_is_harvested_as_the_anonymous_user(clock: FakeClock, tmp_path: Path) -> None:
    for version in (4, 8, 9, 16):
        with Opencast(clock, version=version, anonymous=True) as opencast:
            harvesting = Harvesting(fill(opencast), tmp_path / str(version), password="wrong")
            with pytest.raises(CredentialsRefused):
                harvesting.run(START, END)


def test_basic_is_understood(clock: FakeClock, tmp_path: Path) -> None:
    with Opencast(clock, anonymous=False, auth="basic") as opencast:
        harvesting = Harvesting(fill(opencast), tmp_path, auth="basic")
        harvesting.run(START, END)
    assert harvesting.delivered == WANTED


@pytest.mark.parametrize("auth", ["digest", "basic"])
@pytest.mark.parametrize("version", [1, 4, 12, 16])
def test_a_wrong_password_is_refused(auth: str, version: int, clock: FakeClock, tmp_path: Path) -> None:
    with Opencast(clock, anonymous=False, version=version) as opencast:
        harvesting = Harvesting(fill(opencast), tmp_path, auth=auth, password="not-the-one")
        with pytest.raises(CredentialsRefused, match="MATTERHORN_REST_PASS") as caught:
            harvesting.run(START, END)
        assert caught.value.code == 77
        assert "not-the-one" not in str(caught.value)
        assert len(opencast.requests) <= 2, "a refusal is no reason to try again"


@pytest.mark.parametrize(
    "answer",
    [
        Response(302, headers={"Location": "http://127.0.0.1:1/login.html;jsessionid=1?error"}),
        Response(302, headers={"Location": "/admin-ng/login.html"}),
        Response.html(401, "HTTP ERROR 401"),
        Response.html(403, "Access denied"),
        Response(419),
        Response.html(200, "<form action='/j_spring_security_check'>"),
        Response(200, b"\n <!DOCTYPE html><title>Login</title>", {"Content-Type": "application/json"}),
    ],
    ids=["302", "302-admin-ng", "401", "403", "419", "html", "html-as-json"],
)
@pytest.mark.parametrize("after", [0, 7])
def test_every_way_of_saying_no_is_a_refusal(answer: Response, after: int, harvesting: Harvesting) -> None:
    harvesting.opencast.fail("status", response=answer, path="/usertracking", after=after, times=10**6)
    with pytest.raises(CredentialsRefused, match="MATTERHORN_REST_USER") as caught:
        harvesting.run(START, END)
    assert caught.value.code == 77
    reached = harvesting.reached
    assert reached is None or reached < END


POISON = b'"inpoint":5,"outpoint":5,"length":0,"type":"PAUSE"'


@pytest.mark.parametrize("bad", [b'"inpoint":"x","type":"PAUSE"', b'"created":"yesterday","type":"PAUSE"'])
def test_a_row_that_is_none_goes_to_the_dead_letters_and_stops_nothing(bad: bytes, harvesting: Harvesting) -> None:
    harvesting.opencast.update(110, type="PAUSE")
    harvesting.opencast.spoil[POISON] = bad
    if b"created" in bad:
        harvesting.opencast.spoil[b'"created":"2026-03-11T09:10:00Z"'] = b'"note":1'
    counts = harvesting.run(START, END)
    assert harvesting.delivered == WANTED - Counter([110])
    assert (counts.rows, counts.dead) == (23, 1)
    assert harvesting.reached == END
    letters = _letters(harvesting)
    assert [(letter["kind"], letter["id"]) for letter in letters] == [("useractions", "110")]
    assert letters[0]["row"]["type"] == "PAUSE"
    assert letters[0]["reason"]


def test_more_dead_rows_than_the_budget_fail_the_run(harvesting: Harvesting) -> None:
    harvesting.opencast.spoil[b'"inpoint":5'] = b'"inpoint":"x"'
    with pytest.raises(TooManyDead, match="HARVEST_ERROR_BUDGET") as caught:
        harvesting.run(START, END)
    assert caught.value.code == 65
    reached = harvesting.reached
    assert reached is None or reached < END
    assert len(_letters(harvesting)) > 10
    assert not harvesting.delivered


def _letters(harvesting: Harvesting) -> list[dict[str, Any]]:
    files = sorted(harvesting.dead.directory.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.mark.parametrize("kind", ["truncate", "cut", "reset"])
@pytest.mark.parametrize("version", [7, 16])
def test_a_snapshot_that_is_cut_off_is_taken_again(
    kind: str,
    version: int,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    with Opencast(clock, version=version) as opencast:
        client = Harvesting(fill(opencast), tmp_path).client()
        client.actions(limit=1)  # the handshake is not what is to fail
        opencast.fail(kind, path="/usertracking", times=2)
        total, rows = client.snapshot(limit=1000, offset=0)
        assert total == 23
        assert Counter(found["id"] for found in rows) == WANTED
        assert len(clock.slept) == 2


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_snapshot_of_few_rows_is_read_whatever_their_shape(
    count: int,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    with Opencast(clock) as opencast:
        opencast.add_rows(row(number, START) for number in range(count))
        total, rows = Harvesting(opencast, tmp_path).client().snapshot(limit=1000, offset=0)
        assert (total, [found["id"] for found in rows]) == (count, list(range(count)))
