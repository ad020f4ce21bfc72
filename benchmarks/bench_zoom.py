"""A day of 6,000 meetings and 120,000 sessions from a simulated Zoom that enforces its published limits.

    python benchmarks/bench_zoom.py [--meetings 6000] [--sessions 120000] [--processes 1] [--speed 1] [--redis URL]

The simulator runs in a process of its own, as do the harvesters. With two processes the day is split between them at
noon, and they share the budgets through Redis (the repository's own stand-in unless ``--redis`` is given). `--speed 4`
multiplies the limits per second by four, and divides what the run would take. The account's own list is the judge of
what was lost.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harvesters.simulators.zoom import ZoomSimulator  # noqa: E402
from harvesters.simulators.zoom_generate import generate  # noqa: E402
from harvesters.simulators.zoom_limits import HEAVY, INTENSIVE, PLANS  # noqa: E402
from harvesters.standins.redis import Redis  # noqa: E402
from harvesters.timespan import day_window  # noqa: E402


def serve(pipe: Connection, meetings: int, sessions: int, day: date, plan: str, speed: int, latency: float) -> None:
    """The simulator's process: says where it is, and when asked what it saw and what it holds."""
    limits = PLANS[plan]
    faster = {name: count * speed for name in (HEAVY, INTENSIVE) if (count := limits[name])}
    account = generate(meetings=meetings, sessions=sessions, day=day)
    with ZoomSimulator(account, plan=plan, limits=faster, latency=latency) as simulator:
        pipe.send({"api": simulator.api_url, "oauth": simulator.oauth_url, "limit": faster})
        pipe.recv()
        window = day_window(day, UTC)
        held = {one.uuid for one in account.expected(window.start, window.end)}
        seen = simulator.limits
        rows = len(account.expected_sessions(window.start, window.end))
        calls = {name: seen.calls[name] for name in faster}
        peaks = {name: seen.peak(name) for name in faster}
        pipe.send({"held": held, "rows": rows, "calls": calls, "peaks": peaks, "refused": seen.answers_429})


def main() -> None:
    options = _options()
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    here, there = multiprocessing.Pipe()
    arguments = (options.meetings, options.sessions, day, options.plan, options.speed, options.latency)
    server = multiprocessing.Process(target=serve, args=(there, *arguments), daemon=True)
    server.start()
    with ExitStack() as stack:
        place = here.recv()
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = options.redis or (stack.enter_context(Redis()).url if options.processes > 1 else "redis://127.0.0.1:1")
        started = time.monotonic()
        runs = [
            subprocess.Popen([sys.executable, ROOT / "harvest.py", *words], env=_environment(place, redis, state))
            for words in _commands(day, options.processes, state)
        ]
        codes = [run.wait() for run in runs]
        seconds = time.monotonic() - started
        here.send("done")
        seen = here.recv()
        documents = _documents(state, seen["held"])
    print(json.dumps(_result(options, place["limit"], seen, documents, codes, seconds), indent=2))
    server.terminate()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meetings", type=int, default=6_000)
    parser.add_argument("--sessions", type=int, default=120_000)
    parser.add_argument("--processes", type=int, choices=(1, 2), default=1)
    parser.add_argument("--plan", choices=("pro", "business"), default="business")
    parser.add_argument("--speed", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds before each answer")
    parser.add_argument("--redis", default="")
    return parser.parse_args()


def _commands(day: date, processes: int, state: Path) -> list[list[str]]:
    quiet = ["--env-file", os.devnull, "--log-level", "WARNING", "zoom"]
    if processes == 1:
        return [[*quiet, "--date", f"{day}", "-o", str(state / "0.jsonl")]]
    noon, end = f"{day}T12:00:00Z", f"{day + timedelta(days=1)}T00:00:00Z"
    spans = [(f"{day}T00:00:00Z", noon), (noon, end)]
    return [[*quiet, "-s", *span[:1], "-e", span[1], "-o", str(state / f"{n}.jsonl")] for n, span in enumerate(spans)]


def _environment(place: dict[str, str], redis: str, state: Path) -> dict[str, str]:
    zoom = {"ZOOM_ACCOUNT_ID": "account", "ZOOM_CLIENT_ID": "client", "ZOOM_CLIENT_SECRET": "secret"}
    where = {"ZOOM_API_URL": place["api"], "ZOOM_OAUTH_URL": place["oauth"]}
    return {**os.environ, **zoom, **where, "REDIS_URL": redis, "HARVEST_STATE_DIR": str(state / "state")}


def _documents(state: Path, held: set[str]) -> dict[str, Any]:
    meetings: set[str] = set()
    sessions: set[str] = set()
    for path in state.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            body = json.loads(line)
            (sessions.add(body["id"]) if "meeting" in body else meetings.add(body["uuid"]))
    return {"meetings": len(meetings), "sessions": len(sessions), "lost": len(held - meetings)}


def _result(
    options: argparse.Namespace,
    limit: dict[str, int],
    seen: dict[str, Any],
    documents: dict[str, Any],
    codes: list[int],
    seconds: float,
) -> dict[str, Any]:
    calls = seen["calls"]
    least = calls[HEAVY] / limit[HEAVY] + max(calls[INTENSIVE] - 1, 0) // limit[INTENSIVE] * 60
    answered = sum(calls.values())
    return {
        "exit_codes": codes,
        **documents,
        "lost_sessions": seen["rows"] - documents["sessions"],
        "seconds": round(seconds, 1),
        "least_seconds": round(least, 1),
        "of_the_budget": round(least / seconds, 3),
        "calls": calls,
        "peaks": {name: f"{seen['peaks'][name]} of {limit[name]}" for name in limit},
        "refused": seen["refused"],
        "share_refused": round(seen["refused"] / (answered + seen["refused"]), 4),
        "processes": options.processes,
        "latency": options.latency,
    }


if __name__ == "__main__":
    main()
