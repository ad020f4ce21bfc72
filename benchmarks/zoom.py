"""``harvest.py zoom``: a day of 6,000 meetings and 120,000 sessions from a simulated Zoom that enforces its limits.

The simulator runs in a process of its own, in real time, as do the harvesters. What the budget allows is the time that
the calls made would take if each had gone out the moment the limits let it; a run's own time counts from the start of
Python to its end. The account's own list is the judge of what was lost.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson

from benchmarks.children import ROOT
from benchmarks.figures import Figure, Target
from benchmarks.groups import Case, Group, Sizes
from harvesters.simulators.zoom.generate import generate
from harvesters.simulators.zoom.limits import HEAVY, INTENSIVE, PLANS
from harvesters.simulators.zoom.server import ZoomSimulator
from harvesters.standins.redis import Redis
from harvesters.timespan import day_window

MEETINGS, SESSIONS = 6_000, 120_000
PLAN = "business"
LATENCY = 0.02  # seconds before each answer


@dataclass(frozen=True)
class Seen:
    """What the simulator saw, and what it holds.

    Attributes:
        least: seconds that the calls made take when each goes out the moment the limits let it.
        calls: answered; without those that got 429, which are `refused`.
        meetings, sessions: ids of what ended on the day; and how many rows.
    """

    least: float
    calls: int
    refused: int
    meetings: set[str]
    sessions: int


def zoom(processes: int, refused: float) -> Case:
    """The case of so many processes, which share the day and the budgets; at most `refused` percent of answers 429."""

    def measured(sizes: Sizes) -> Iterator[Figure]:
        day = (datetime.now(UTC) - timedelta(days=1)).date()
        with tempfile.TemporaryDirectory(prefix="harvest-bench-") as name, Redis() as redis:
            seconds, seen = _harvest(sizes, day, processes, Path(name), redis.url)
            lost = _lost(Path(name), seen)
        what = f"{sizes.of(MEETINGS):,} meetings, {sizes.of(SESSIONS):,} sessions, "
        what += "one process" if processes == 1 else f"{processes} processes"
        note = f"{seconds:.1f} s; the limits alone take {seen.least:.1f} s"
        yield Figure(f"{what}: of what the budget allows", seen.least / seconds, "×", Target(0.9, at_least=True), note)
        share = seen.refused / (seen.calls + seen.refused) * 100
        yield Figure(f"{what}: answers 429", share, "%", Target(refused), f"{seen.refused} of {seen.calls} calls")
        yield Figure(f"{what}: documents lost", lost, "", Target(0))

    return measured


GROUP = Group(
    "a day of a Business account (40 heavy calls a second, 20 resource-intensive a minute), one run each; two "
    "processes take half of the day each, list all of it both, and share the budgets through Redis",
    {"one": zoom(1, refused=2), "two": zoom(2, refused=5)},
)


def _harvest(sizes: Sizes, day: date, processes: int, directory: Path, redis: str) -> tuple[float, Seen]:
    here, there = multiprocessing.Pipe()
    arguments = (there, sizes.of(MEETINGS), sizes.of(SESSIONS), day)
    server = multiprocessing.Process(target=_serve, args=arguments, daemon=True)
    server.start()
    try:
        environment = {**_kept(), **here.recv(), "REDIS_URL": redis, "HARVEST_STATE_DIR": str(directory / "state")}
        started = time.monotonic()
        runs = [
            subprocess.Popen([sys.executable, ROOT / "harvest.py", *words], env=environment)
            for words in _commands(day, processes, directory)
        ]
        codes = [run.wait() for run in runs]
        seconds = time.monotonic() - started
        here.send("done")
        seen: Seen = here.recv()
    finally:
        server.terminate()
    if any(codes):
        raise RuntimeError(f"the harvesters ended with {codes}")
    return seconds, seen


def _serve(pipe: Connection, meetings: int, sessions: int, day: date) -> None:
    account = generate(meetings=meetings, sessions=sessions, day=day)
    with ZoomSimulator(account, plan=PLAN, latency=LATENCY) as simulator:
        pipe.send({"ZOOM_API_URL": simulator.api_url, "ZOOM_OAUTH_URL": simulator.oauth_url})
        pipe.recv()
        window, limits, seen = day_window(day, UTC), PLANS[PLAN], simulator.limits
        heavy, intensive = seen.calls[HEAVY], seen.calls[INTENSIVE]
        least = heavy / (limits[HEAVY] or 1) + max(intensive - 1, 0) // (limits[INTENSIVE] or 1) * 60
        held = {one.uuid for one in account.expected(window.start, window.end)}
        rows = len(account.expected_sessions(window.start, window.end))
        pipe.send(Seen(least, heavy + intensive, seen.answers_429, held, rows))


def _commands(day: date, processes: int, directory: Path) -> list[list[str]]:
    part = timedelta(days=1) / processes
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    quiet = ["--env-file", os.devnull, "--log-level", "WARNING", "zoom"]
    spans = [(midnight + number * part, midnight + (number + 1) * part) for number in range(processes)]
    return [
        [*quiet, "-s", start.isoformat(), "-e", end.isoformat(), "-o", str(directory / f"{start:%H}.jsonl")]
        for start, end in spans
    ]


def _kept() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "ZOOM_ACCOUNT_ID": "account", "ZOOM_CLIENT_ID": "client", "ZOOM_CLIENT_SECRET": "secret"}


def _lost(directory: Path, seen: Seen) -> int:
    """Meetings and sessions that the account holds and no document tells of."""
    meetings: set[str] = set()
    sessions: set[str] = set()
    for path in directory.glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            body: dict[str, Any] = orjson.loads(line)
            (sessions.add(body["id"]) if "meeting" in body else meetings.add(body["uuid"]))
    return len(seen.meetings - meetings) + abs(seen.sessions - len(sessions))
