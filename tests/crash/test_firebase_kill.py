"""Exports and harvests of Firebase killed at every one of their steps, and started again."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from harvesters.simulators.firebase import buddyup
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.crash.crashing import KILLED, Attempt, Driver, environment, read_lines

CONTENT = buddyup.database(43, datetime(2016, 1, 1, tzinfo=UTC), datetime(2016, 3, 1, tzinfo=UTC), people=6, courses=3)
EVENTS: dict[str, Any] = CONTENT["events"]
LAST = max(key for key in EVENTS if not key.startswith("group"))
PAGE = 10
STATE = "last-firebase-event"


@pytest.fixture
def firebase() -> Iterator[FirebaseSimulator]:
    with FirebaseSimulator(max_response=9_000) as server:
        for path, children in CONTENT.items():
            server.load(path, children)
        yield server


def settings(server: FirebaseSimulator, redis_url: str, state: Path, **more: str) -> dict[str, str]:
    return environment("", redis_url, state, FIREBASE_ENDPOINT=server.url, FIREBASE_KEY=server.secret, **more)


def arguments(*more: str) -> list[str]:
    return ["--env-file", "/dev/null", "firebase", *more, "--page-size", str(PAGE)]


def kills(points: list[str], step: int) -> list[int | str]:
    """Where to kill runs that pass `points`: every `step` of them, and at each kind of step by its name."""
    return [*range(1, len(points) + 1, step), *dict.fromkeys(points)]


def ended_well(attempt: Attempt, what: str) -> None:
    assert attempt.code == 0, f"after {what} the run ended with {attempt.code}:\n{attempt.log}"


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_an_export_killed_at_any_step_goes_on_and_ends_the_same(
    form: str, driver: Driver, firebase: FirebaseSimulator, redis_url: str, tmp_path: Path
) -> None:
    env = settings(firebase, redis_url, tmp_path / "state")
    args = [*arguments("export", "--format", form), "-o"]
    ended_well(driver.run([*args, str(tmp_path / "whole")], env), "nothing")
    whole = (tmp_path / "whole").read_bytes()
    undisturbed = len(firebase.requests)
    assert undisturbed > 15
    killed_at: Counter[str] = Counter()
    for number in itertools.count(1):
        out = tmp_path / f"out-{number}"
        first = driver.run([*args, str(out)], env, kill_at=number)
        if first.code != KILLED:
            break
        what = f"a kill at point {number}, {first.points[-1]}"
        killed_at[re.sub(r"-\d+", "", first.points[-1])] += 1
        before = out.read_bytes() if out.exists() else b""
        assert before == whole[: len(before)], what
        firebase.requests.clear()
        ended_well(driver.run([*args, str(out)], env), what)
        assert out.read_bytes() == whole, what
        written = before.count(b"\n") / whole.count(b"\n")
        # What is written is not fetched again, but for the page in hand and the look at where the file ends.
        assert len(firebase.requests) <= undisturbed * (1 - written) + 12, what
    assert {"fetch /.json", "fetch /events.json", "write out", "half of write out", "fsync out"} <= set(killed_at)


def test_a_harvest_into_a_file_killed_at_any_step_loses_nothing(
    driver: Driver, firebase: FirebaseSimulator, redis_url: str, redis_server: Any, tmp_path: Path
) -> None:
    def world(name: str) -> tuple[list[str], dict[str, str], Path]:
        redis_server.flush()
        directory = tmp_path / name
        out = directory / "out.jsonl"
        return arguments("events", "-o", str(out)), settings(firebase, redis_url, directory / "state"), out

    args, env, out = world("undisturbed")
    whole = driver.run(args, env)
    ended_well(whole, "nothing")
    assert {line["id"] for line in read_lines(out)} == set(EVENTS)
    killed = 0
    for number, kill in enumerate(kills(whole.points, 3)):
        args, env, out = world(str(number))
        first = driver.run(args, env, kill_at=kill)
        killed += first.code == KILLED
        what = f"a kill at point {kill}, {first.points[-1]}"
        ended_well(driver.run(args, env), what)
        counts = Counter(line["id"] for line in read_lines(out))
        assert set(counts) == set(EVENTS), what
        assert sum(counts.values()) - len(counts) <= PAGE, what
        assert (out.parent / "state" / STATE).read_text() == LAST, what
        ended_well(driver.run(args, env), what)
        assert len(read_lines(out)) == sum(counts.values()), f"a third run sent something again, after {what}"
    assert killed > 30
    assert {"fetch /events.json", "redis HMGET", "redis HSET", "write out.jsonl", f"replace {STATE}"} <= set(
        whole.points
    )


def test_a_harvest_into_elasticsearch_killed_at_any_step_has_every_event_once(
    driver: Driver,
    firebase: FirebaseSimulator,
    redis_url: str,
    redis_server: Any,
    elasticsearch_url: str,
    tmp_path: Path,
) -> None:
    env = settings(
        firebase,
        redis_url,
        tmp_path / "state",
        ES_HOST=elasticsearch_url,
        FIREBASE_INDEX_PREFIX="killx",
        FIREBASE_INDEX_PERIOD="year",
    )

    def forget() -> None:
        redis_server.flush()
        (tmp_path / "state" / STATE).unlink(missing_ok=True)
        requests.delete(f"{elasticsearch_url}/killx*", timeout=30)
        requests.delete(f"{elasticsearch_url}/_index_template/killx*", timeout=30)

    args = arguments("events")
    try:
        forget()
        whole = driver.run(args, env)
        ended_well(whole, "nothing")
        for kill in kills(whole.points, 7):
            forget()
            first = driver.run(args, env, kill_at=kill)
            what = f"a kill at point {kill}, {first.points[-1]}"
            ended_well(driver.run(args, env), what)
            assert indexed(elasticsearch_url, "killxevents") == set(EVENTS), what
    finally:
        forget()
    assert {"elastic POST /_bulk", "elastic PUT /_index_template/killxevents", f"replace {STATE}"} <= set(whole.points)


def test_a_load_killed_in_the_middle_is_harmless_to_repeat(
    driver: Driver, firebase: FirebaseSimulator, redis_url: str, elasticsearch_url: str, tmp_path: Path
) -> None:
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps(EVENTS))
    env = settings(firebase, redis_url, tmp_path / "state", ES_HOST=elasticsearch_url, FIREBASE_INDEX_PREFIX="loadx")
    args = ["--env-file", "/dev/null", "firebase", "load", str(dump), "--batch-size", "10"]
    try:
        codes = [
            driver.run(args, env, kill_at=number).code
            for number in itertools.takewhile(lambda n: n < 20, itertools.count(2, 3))
        ]
        assert KILLED in codes
        ended_well(driver.run(args, env), "kills")
        assert indexed(elasticsearch_url, "loadxevents") == set(EVENTS)
    finally:
        requests.delete(f"{elasticsearch_url}/loadx*", timeout=30)
        requests.delete(f"{elasticsearch_url}/_index_template/loadx*", timeout=30)


def test_a_sync_killed_at_any_step_deletes_only_what_is_gone(
    driver: Driver, firebase: FirebaseSimulator, redis_url: str, elasticsearch_url: str, tmp_path: Path
) -> None:
    people = CONTENT["users"]
    gone = next(iter(people))
    env = settings(firebase, redis_url, tmp_path / "state", ES_HOST=elasticsearch_url, FIREBASE_INDEX_PREFIX="syncx")
    args = ["--env-file", "/dev/null", "firebase", "profiles", "--sync"]

    def world() -> None:
        firebase.edit(f"/users/{gone}", people[gone])
        ended_well(driver.run(args, env), "nothing")
        firebase.edit(f"/users/{gone}")

    try:
        world()
        whole = driver.run(args, env)
        for kill in kills(whole.points, 3):
            world()
            first = driver.run(args, env, kill_at=kill)
            what = f"a kill at point {kill}, {first.points[-1]}"
            assert indexed(elasticsearch_url, "syncxprofiles") >= set(people) - {gone}, what
            ended_well(driver.run(args, env), what)
            assert indexed(elasticsearch_url, "syncxprofiles") == set(people) - {gone}, what
    finally:
        requests.delete(f"{elasticsearch_url}/syncx*", timeout=30)
        requests.delete(f"{elasticsearch_url}/_index_template/syncx*", timeout=30)


def indexed(url: str, name: str) -> set[str]:
    requests.post(f"{url}/{name}/_refresh", timeout=30)
    found = requests.get(f"{url}/{name}/_search?size=1000&_source=false", timeout=30).json()
    return {hit["_id"] for hit in found["hits"]["hits"]}
