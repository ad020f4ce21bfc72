"""``harvest.py logs generate``: requests side by side, bulk requests, and lines, each against the plain way.

latency   bulk requests against one request an event, every answer taking 40 ms more
bulk      against ready bodies from two threads over bare connections, on the same node
lines     onto ``/dev/null``, against one event after the other with `random` and `json`
memory    the same for five times as many
engine    tasks that do nothing
"""

from __future__ import annotations

import http.client
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import orjson

from benchmarks.children import Run, baseline, harvest, interpreter, stub
from benchmarks.figures import Figure, Target
from benchmarks.groups import Group, Sizes
from harvesters.elastic import bulk as bulks
from harvesters.logs.events import Events, id_of
from harvesters.logs.masks import Mask
from harvesters.logs.task_engine import TaskEngine
from harvesters.standins.elasticsearch import Elasticsearch

INDEX, LATENCY, THREADS = "pset_x", 0.04, 2


@dataclass
class Place:
    """Where commands run, and what they ask."""

    directory: Path
    node: Elasticsearch | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Settings for a child process; none of the developer's own.

        Nor is there httpx, which tests alone bring: elastic_transport imports what there is, and users have none.
        """
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
        (self.directory / "httpx.py").write_text("raise ImportError\n")
        path = os.pathsep.join(filter(None, (str(self.directory), kept.get("PYTHONPATH"))))
        host = self.node.url if self.node is not None else "127.0.0.1:1"
        return {**kept, "PYTHONPATH": path, "ES_HOST": host}

    def logs(self, *arguments: str, url: str = "") -> Run:
        """``harvest.py logs ARGUMENTS``."""
        environment = {**self.environment, **({"ES_HOST": url} if url else {})}
        return harvest(["--env-file", os.devnull, "logs", *arguments], environment, self.directory / "log")

    def empty(self) -> None:
        """An index without documents."""
        self.logs("init", "--yes")


@contextmanager
def _place(node: bool = False) -> Iterator[Place]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harvest-bench-")))
        yield Place(directory, stack.enter_context(Elasticsearch(heap="1g")) if node else None)


def latency(sizes: Sizes) -> Iterator[Figure]:
    """Through a way on which each answer takes 40 ms more."""
    few, many = sizes.of(1_000), sizes.of(40_000)
    singly, together = [], []
    with _place(node=True) as place, stub("delay", latency=LATENCY, port=place.node.port if place.node else 0) as url:
        for _ in range(sizes.runs):
            place.empty()
            singly.append(few / place.logs("generate", "--count", str(few), "--one-by-one", url=url).seconds)
            place.empty()
            together.append(many / place.logs("generate", "--count", str(many), url=url).seconds)
    ratio = median(bulk / one for one, bulk in zip(singly, together, strict=True))
    note = f"{median(together):,.0f} events/s against {median(singly):,.0f}, of whole runs of {many:,} and {few:,}"
    what = f"bulk requests against `--one-by-one`, ten at once, {LATENCY * 1000:.0f} ms more an answer"
    yield Figure(what, ratio, "×", Target(50, at_least=True), note)


def bulk(sizes: Sizes) -> Iterator[Figure]:
    """Without latency, against a loop by hand."""
    count = sizes.of(40_000)
    by_hand, ours, interpreted, idle = [], [], [], []
    with _place(node=True) as place:
        bodies = _bodies(count)
        for _ in range(sizes.runs + 1):
            place.empty()
            by_hand.append(_hand_loop(place, bodies))
            place.empty()
            ours.append(place.logs("generate", "--count", str(count)))
            interpreted.append(interpreter(place.environment))
            idle.append(place.logs("generate", "--count", "0").seconds)
    for measured in (by_hand, ours, interpreted, idle):
        del measured[0]  # the node warms up
    seconds, cpu = median(run.seconds for run in ours), median(run.cpu for run in ours)
    note = f"{median(by_hand):.2f} s by hand, {seconds:.2f} s ({cpu:.2f} s of processor time) of the whole run"
    what = f"{count:,} events by bulk requests against ready bodies from two threads, less"
    for start, starts, target in (
        ("the interpreter's start", interpreted, Target(0.8, at_least=True)),
        ("a run of none (interpreter, imports, a look at the index)", idle, None),
    ):
        ratio = median(hand / (run.seconds - each) for hand, run, each in zip(by_hand, ours, starts, strict=True))
        yield Figure(f"{what} {start}", ratio, "×", target, f"{note}; less {median(starts):.2f} s")
    yield Figure("the same, of the whole run", count / seconds, "/s")


def lines(sizes: Sizes) -> Iterator[Figure]:
    """Onto ``/dev/null``."""
    count = sizes.of(1_000_000)
    plain, ours = [], []
    with _place() as place:
        for _ in range(sizes.runs):
            before = time.perf_counter()
            baseline("log_events", place.environment, count=count)
            plain.append(time.perf_counter() - before)
            ours.append(place.logs("generate", "--output", "-", "--count", str(count)).seconds)
    ratio = median(one / run for one, run in zip(plain, ours, strict=True))
    note = f"{count / median(ours):,.0f} events/s against {count / median(plain):,.0f}, of whole runs"
    what = f"{count:,} events as lines: against one after the other with `random` and `json`"
    yield Figure(what, ratio, "×", Target(3, at_least=True), note)


def memory(sizes: Sizes) -> Iterator[Figure]:
    """Onto ``/dev/null``, many."""
    count = sizes.of(5_000_000)
    with _place() as place:
        peak = place.logs("generate", "--output", "-", "--count", str(count)).peak
    yield Figure(f"peak memory, {count:,} events as lines", peak, "MB", Target(100))


def engine(sizes: Sizes) -> Iterator[Figure]:
    """Tasks that do nothing."""
    count = sizes.of(10_000)

    async def nothing() -> None:
        """Nothing."""

    async def driver(engine: TaskEngine) -> None:
        for _ in range(count):
            await engine.start_task(nothing)

    times = []
    for _ in range(sizes.runs):
        before = time.perf_counter()
        TaskEngine().run(driver)
        times.append(time.perf_counter() - before)
    yield Figure(f"{count:,} empty tasks through the engine", median(times), "s", Target(1))


def _bodies(count: int) -> list[bytes]:
    """Bulk requests of a thousand events each, ready to be sent."""
    blocks = Events(Mask.parse("todayT?:?:?").at(datetime.now(UTC)), 1).blocks(count)
    return [b"".join([bulks.write(INDEX, id_of(line), line) for line in block]) for block in blocks]


def _hand_loop(place: Place, bodies: list[bytes]) -> float:
    """Seconds of the plainest fast way: two threads, a bare connection each."""
    port = place.node.port if place.node is not None else 0

    def send(part: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for body in part:
            connection.request("POST", "/_bulk?filter_path=errors", body, {"Content-Type": "application/x-ndjson"})
            if orjson.loads(connection.getresponse().read())["errors"]:
                raise RuntimeError("the node refused an event")
        connection.close()

    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send, (bodies[number::THREADS] for number in range(THREADS))))
    return time.perf_counter() - started


GROUP = Group(
    "log events of about 270 bytes as lines, into an index that was just made",
    {"latency": latency, "bulk": bulk, "lines": lines, "memory": memory, "engine": engine},
)
