"""``harvest.py messages export`` and ``id_email``: whole commands, held against the plainest ways to do the same.

messages    200,000 messages of ten days on a real node, as one JSON array
profiles    400 profiles of a simulated platform that takes 50 ms for each answer
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from benchmarks.children import ROOT, baseline, harvest
from benchmarks.figures import Figure, Target
from benchmarks.firebase import Node
from benchmarks.groups import Group, Sizes
from harvesters.clock import SystemClock
from harvesters.elastic.client import SearchClient
from harvesters.messages.model import Message
from harvesters.messages.store import MessageStore
from harvesters.retry import RetryPolicy
from harvesters.simulators.wenet import generate

MESSAGES, PROFILES = 200_000, 400
START, DAYS = datetime(2021, 7, 1, tzinfo=UTC), 10
LATENCY = 0.05  # seconds before each answer of the platform
_BATCH = 2_000


def messages(sizes: Sizes) -> Iterator[Figure]:
    """The file of messages, beside the same pages read and written by hand."""
    count = sizes.of(MESSAGES)
    end = START + timedelta(days=DAYS)
    with tempfile.TemporaryDirectory(prefix="harvest-bench-") as name, Node(heap="1g") as node:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as filling:
            filling.submit(_fill, node.url, count, end).result()  # elsewhere: a child begins with its parent's peak
        path, by_hand = Path(name, "messages.json"), Path(name, "by-hand.json")
        environment = _environment(Path(name), ES_HOST=node.url, APP_ID=generate.APP)
        command, log = ("messages", "export", "-mf", str(path), "-s", START.isoformat()), Path(name, "log")
        few = harvest([*command, "-e", (START + timedelta(days=1)).isoformat()], environment, log)
        seconds, plain, peaks = [], [], []
        for _ in range(sizes.runs):
            measured = baseline("messages", environment, url=node.url, project=generate.APP, path=str(by_hand))
            plain.append(float(measured["seconds"]))
            run = harvest([*command, "-e", end.isoformat()], environment, log)
            seconds.append(run.seconds)
            peaks.append(run.peak)
        if measured["messages"] != count or path.stat().st_size < by_hand.stat().st_size / 2:
            raise RuntimeError(f"{count} messages were stored, and {measured['messages']} read")
    ours, theirs = statistics.median(seconds), statistics.median(plain)
    note = f"{ours:.1f} s, by hand {theirs:.1f} s"
    yield Figure(f"{count:,} messages as a file: of the time by hand", ours / theirs, "×", Target(1.5), note)
    yield Figure(f"{count:,} messages as a file: most memory", max(peaks), "MB")
    growth = (statistics.median(peaks) / few.peak - 1) * 100
    yield Figure(f"growth of it from the {count // DAYS:,} of one day", growth, "%", Target(15))


def profiles(sizes: Sizes) -> Iterator[Figure]:
    """Ids and addresses, beside the profiles asked for one by one."""
    count = sizes.of(PROFILES)
    with tempfile.TemporaryDirectory(prefix="harvest-bench-") as name, _platform(count) as settings:
        environment = _environment(Path(name), **settings)
        seconds, plain = [], []
        for _ in range(sizes.runs):
            key = settings["APIKEY"]
            measured = baseline("profiles", environment, url=settings["INSTANCE"], key=key, count=count)
            plain.append(float(measured["seconds"]))
            command = ["messages", "id_email", "-f", str(Path(name, "ids.csv"))]
            seconds.append(harvest(command, environment, Path(name, "log")).seconds)
    ours, theirs = statistics.median(seconds), statistics.median(plain)
    note = f"{ours:.1f} s, one by one {theirs:.1f} s"
    yield Figure(f"{count} profiles at {LATENCY * 1000:.0f} ms: of one by one", ours / theirs, "×", Target(0.25), note)


def _fill(url: str, count: int, end: datetime) -> None:
    client = SearchClient(url, RetryPolicy(SystemClock(), 60))
    world = generate.generate(1000, 0, START, end)
    made = generate.messages(world, count, START, end)
    store = MessageStore(client)
    while batch := [Message.parse(message) for message in islice(made, _BATCH)]:
        store.post(batch)
    client.request("POST", "/message-*/_refresh")
    client.close()


@contextmanager
def _platform(users: int) -> Iterator[dict[str, str]]:
    """Settings of a simulated platform in a process of its own."""
    options = ("--port", "0", "--users", str(users), "--tasks", "0", "--latency", str(LATENCY))
    command = [sys.executable, "harvest.py", "--env-file", os.devnull, "dev", "simulate", "wenet", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield dict(word.split("=", 1) for word in process.stdout.readline().split())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _environment(directory: Path, **settings: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    return {**kept, "HARVEST_STATE_DIR": str(directory / "state"), "REDIS_URL": "redis://127.0.0.1:1/0", **settings}


GROUP = Group(
    f"made-up messages of {DAYS} days and a made-up platform; whole commands, from the start of Python to its end, "
    "against scripts whose imports are not counted",
    {"messages": messages, "profiles": profiles},
)
