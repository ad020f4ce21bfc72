"""``harvest.py backfill``: what several workers make of a day, and what a back-fill costs that has nothing to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median

from benchmarks.children import ROOT, Run, harvest
from benchmarks.figures import Figure, Target
from benchmarks.groups import Group, Sizes
from benchmarks.stubs.opencast import DAY
from benchmarks.world import World, world

ACTIONS = 200_000
LATENCY = 0.05
HOURS = 24
WINDOWS = 1000
STARTS = 4  # for each run
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_SPAN = ["--start", DAY.isoformat(), "--end", f"{DAY + timedelta(days=1):%Y-%m-%d}"]
_WORDS = ["--log-format", "json", "backfill", "useractions", *_SPAN]


def local(sizes: Sizes) -> Iterator[Figure]:
    """A day into a file: four workers against one."""
    actions = sizes.of(ACTIONS)
    with world(actions, LATENCY) as servers:
        alone, four = [], []
        for number in range(sizes.runs):
            alone.append(_into_a_file(servers, actions, 1, number))
            four.append(_into_a_file(servers, actions, 4, number))
    faster = [one.seconds / other.seconds for one, other in zip(alone, four, strict=True)]
    yield Figure(
        f"{actions:,} actions of {HOURS} hours to a file, {LATENCY * 1000:g} ms a request: 4 workers against 1",
        median(faster),
        "×",
        Target(3 if _CORES >= 4 else 2, at_least=True),
        f"{_seconds(alone):.1f} s and {_seconds(four):.1f} s on {_CORES} cores",
    )


def celery(sizes: Sizes) -> Iterator[Figure]:
    """A day into a queue: two Celery workers against two of this machine."""
    actions = sizes.of(ACTIONS)
    with world(actions, LATENCY) as servers:
        here, away = [], []
        for _ in range(sizes.runs):
            servers.redis.flush()
            here.append(_into_a_queue(servers, "--workers", "2"))
            servers.redis.flush()
            with _workers(servers, 2):
                away.append(_into_a_queue(servers, "--executor", "celery"))
    as_fast = [one.seconds / other.seconds for one, other in zip(here, away, strict=True)]
    yield Figure(
        f"{actions:,} actions of {HOURS} hours to SQS: 2 Celery workers against 2 of this machine",
        median(as_fast),
        "×",
        Target(0.8, at_least=True),
        f"{_seconds(away):.1f} s and {_seconds(here):.1f} s; the workers are there already",
    )


def idle(sizes: Sizes) -> Iterator[Figure]:
    """Nothing to do, of a thousand windows that are done."""
    with world(sizes.of(1000)) as servers:
        env = _environment(servers, "idle")
        words = [*_WORDS, "--step", "86s", "--output", str(servers.directory / "idle.jsonl")]
        harvest(words, env, servers.directory / "harvest.log")
        starts = sizes.runs * STARTS
        helped = [servers.harvest("--help") for _ in range(starts)]
        nothing = [harvest(words, env, servers.directory / "harvest.log") for _ in range(starts)]
    least = min(run.seconds for run in helped)
    yield Figure(
        f"nothing to do, {WINDOWS + 4:,} windows done",
        min(run.seconds for run in nothing),
        "s",
        Target(1.5 * least + 0.5),
        f"`--help` takes {least:.2f} s; of starts the fastest counts",
    )


GROUP = Group(
    f"made-up actions of about 450 bytes, evenly spread over {HOURS} hours, 1,000 a request; windows of an hour",
    {"local": local, "celery": celery, "idle": idle},
)


def _into_a_file(servers: World, actions: int, workers: int, number: int) -> Run:
    output = servers.directory / f"{workers}-{number}.jsonl"
    words = [*_WORDS, "--output", str(output), "--workers", str(workers)]
    servers.redis.flush()
    run = harvest(words, _environment(servers, f"{workers}-{number}"), servers.directory / "harvest.log")
    if run.report["delivered"] != actions:
        raise RuntimeError(f"{run.report['delivered']} of {actions} actions were delivered")
    output.unlink()
    return run


def _into_a_queue(servers: World, *more: str) -> Run:
    return harvest([*_WORDS, "--again", *more], _environment(servers, "queue"), servers.directory / "log")


def _environment(servers: World, key: str) -> dict[str, str]:
    """Settings with the state in files: what is measured is the workers, and not S3."""
    env = servers.environment()
    del env["S3_HARVEST_TS_BUCKET"]
    return {**env, "S3_LAST_ACTION_TS_KEY": key}


@contextmanager
def _workers(servers: World, count: int) -> Iterator[None]:
    """Celery workers that are ready."""
    command = [sys.executable, "harvest.py", "worker"]
    logs = [servers.directory / f"worker-{number}.log" for number in range(count)]
    processes = []
    try:
        for log in logs:
            with log.open("wb") as errors:
                processes.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=_environment(servers, "queue"), stderr=errors, stdout=errors
                    )
                )
        while not all(_ready(log) for log in logs):
            time.sleep(0.1)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


def _ready(log: Path) -> bool:
    return " ready" in log.read_text(errors="replace")


def _seconds(runs: Sequence[Run]) -> float:
    return median(run.seconds for run in runs)
