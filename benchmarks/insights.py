"""``harvest.py insights``: an answer against reading its file, each answer by itself, the report, and memory."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

import orjson

from benchmarks.children import Run, baseline, harvest
from benchmarks.figures import Figure, Target
from benchmarks.groups import Group, Sizes
from harvesters.insights.answers import INSIGHTS
from harvesters.insights.calendar import Calendar
from harvesters.insights.events import Reading
from harvesters.insights.history import History
from harvesters.insights.question import Question
from harvesters.insights.source import File
from harvesters.insights.store import Store
from harvesters.simulators.firebase import buddyup

SEED_EVENTS = 168_000
START, END = datetime(2015, 1, 1, tzinfo=UTC), datetime(2016, 3, 1, tzinfo=UTC)
MEMORY = 512


def funnel(sizes: Sizes) -> Iterator[Figure]:
    """An answer from a file against reading that file."""
    events = sizes.of(SEED_EVENTS)
    with _export(events) as path:
        runs, parts = [], []
        for _ in range(sizes.runs):
            parts.append(float(baseline("lines", _environment(), path=str(path))["seconds"]))
            runs.append(_insights(path, "funnel").seconds)
    ratios = [(run - 1) / part for run, part in zip(runs, parts, strict=True)]
    yield Figure(
        f"`insights funnel --from` {events:,} events, less a second: against reading the lines with orjson",
        median(ratios),
        "×",
        Target(2.5),
        f"{median(runs):.2f} s of the whole process, {median(parts):.2f} s",
    )


def answers(sizes: Sizes) -> Iterator[Figure]:
    """Each answer from events that are at hand."""
    events = sizes.of(SEED_EVENTS)
    with _export(events) as path, Store(Calendar(ZoneInfo("UTC")), f"{MEMORY}MB") as store:
        store.add(File(path).rows(Reading()))
        store.settle(int(END.timestamp() * 1000))
        history = History(store, None, ("buddyup_org", "testcloud_io"))
        taken: dict[str, float] = {}
        for name, insight in INSIGHTS.items():
            own = {option: value for option, value in insight.options.items() if option != "score"}
            times = []
            for _ in range(9):
                started = time.perf_counter()
                insight.answer(history, Question(**own))
                times.append(time.perf_counter() - started)
            taken[name] = median(times)
    slowest = max(taken, key=lambda name: taken[name])
    yield Figure(
        f"the slowest answer over {events:,} events at hand", taken[slowest], "s", Target(0.05), f"`{slowest}`"
    )


def report(sizes: Sizes) -> Iterator[Figure]:
    """All answers with their charts."""
    events = sizes.of(SEED_EVENTS)
    with _export(events) as path:
        runs = [_insights(path, "report", "--output", str(path.with_suffix(".html"))) for _ in range(sizes.runs)]
    seconds, peak = median(run.seconds for run in runs), median(run.peak for run in runs)
    yield Figure(f"`insights report` over {events:,} events", seconds, "s", Target(8), f"{peak:.0f} MB at most")


def memory(sizes: Sizes) -> Iterator[Figure]:
    """Ten times the seed's events."""
    events = sizes.of(10 * SEED_EVENTS)
    with _export(events) as path:
        peak = _insights(path, "funnel").peak
    yield Figure(
        f"memory of `insights funnel` over {events:,} events beyond HARVEST_INSIGHTS_MEMORY",
        peak - MEMORY,
        "MB",
        Target(300),
        f"{peak:.0f} MB",
    )


def _insights(path: Path, *arguments: str) -> Run:
    log = path.with_suffix(".log")
    return harvest(["insights", *arguments, "--from", str(path)], _environment(), log)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    return {**kept, "HARVEST_INSIGHTS_MEMORY": f"{MEMORY}MB"}


@contextmanager
def _export(events: int) -> Iterator[Path]:
    """JSON lines, as `firebase export` writes them."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        path = directory / "events.jsonl"
        with path.open("wb") as file:
            for key, event in buddyup.events(events, START, END):
                file.write(orjson.dumps({"key": key, "value": event}) + b"\n")
        yield path
    finally:
        shutil.rmtree(directory)


GROUP = Group(
    "made-up BuddyUp events of fourteen months, 168,000 of them 78 MB as lines of an export",
    {"funnel": funnel, "answers": answers, "report": report, "memory": memory},
)
