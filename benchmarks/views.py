"""Page views: out of Kafka into the access log, and out of that into the listings.

    log       ``listings log``: what a million views take longer than none
    count     ``listings count`` of a million views of 200,000 listings, against their ready updates sent in bulk alone
    fresh     a hundred new views in a log that is short, and in one that is long
    memory    both, over few views and over many

A real broker and a real node run beside it. What is compared is measured in turns; of several turns the median counts.
"""

from __future__ import annotations

import http.client
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import orjson

from benchmarks.children import Run, harvest
from benchmarks.figures import Figure, Target
from benchmarks.firebase import Node
from benchmarks.groups import Group, Sizes
from harvesters.clock import SystemClock
from harvesters.elastic import bulk
from harvesters.elastic.client import SearchClient
from harvesters.kafka.topics import Topics
from harvesters.listings.accesslog import AccessLog
from harvesters.listings.logfiles import LogFiles
from harvesters.retry import RetryPolicy
from harvesters.search import templates
from harvesters.settings import Settings
from harvesters.standins.base import StandIn, child_environment
from harvesters.standins.kafka import Kafka

INDEX = "listing_index"
VIEWS, LISTINGS, NEW = 1_000_000, 200_000, 100
_AT_ONCE = 1000


@dataclass
class Place:
    """A directory for what belongs together: a log, its offsets, what was counted."""

    directory: Path
    environment: dict[str, str]

    def run(self, command: str, **more: str) -> Run:
        """``listings COMMAND``."""
        arguments = ["--env-file", os.devnull, "--log-format", "json", "listings", command]
        return harvest(arguments, {**self.environment, **more}, self.directory / "errors")

    @property
    def files(self) -> LogFiles:
        return LogFiles(self.directory / "access.log")

    def add(self, views: int, listings: int, first: int = 0) -> None:
        """Write views into the log, as ``listings log`` would."""
        with AccessLog(self.files) as log:
            done = log.offsets.topics.get("T", {}).get(0, 0)
            for begin in range(first, first + views, 50_000):
                numbers = range(begin, min(begin + 50_000, first + views))
                lines = "".join(f"user{number % 5000}\t{number % listings}\n" for number in numbers)
                done += len(numbers)
                log.append(lines.encode(), [(29_500_000 + begin // 50_000, len(numbers))], "T", {0: done})


@contextmanager
def _place(*servers: StandIn) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as name:
        yield Place(Path(name), {**child_environment(*servers), "HARVEST_STATE_DIR": name})


def log(sizes: Sizes) -> Iterator[Figure]:
    """``listings log``."""
    count = sizes.of(VIEWS)
    with Kafka() as kafka:
        topic = _sent(kafka, count)
        starts, longer = [], []
        for _ in range(sizes.runs):
            with _place(kafka) as place:
                full = place.run("log", VIEWS_TOPIC=topic, VIEWS_GROUP=uuid.uuid4().hex)
                if len(place.files.path.read_bytes().split(b"\n")) - 1 != count:
                    raise RuntimeError("not every view is in the log")
                starts.append(place.run("log", VIEWS_TOPIC=topic).seconds)
            longer.append(full.seconds - starts[-1])
    yield Figure("`listings log` with nothing to do", median(starts), "s", Target(2))
    yield Figure(f"{count:,} views into the log", count / median(longer), "/s", Target(100_000, at_least=True))


def count(sizes: Sizes) -> Iterator[Figure]:
    """``listings count``, and the same updates by hand, by turns first and second."""
    views, listings = sizes.of(VIEWS), sizes.of(LISTINGS)
    with Node(heap="2g") as node, _place(node) as place:
        _filled(node, listings)

        def ours(turn: int) -> tuple[float, float]:
            place.add(views, listings, turn * views)
            _merged(node)
            run = place.run("count")
            if run.report["updated"] != min(views, listings):
                raise RuntimeError(f"not every listing was written: {run.report}")
            return run.seconds, place.run("count").seconds

        def bare(turn: int) -> float:
            _merged(node)
            return _by_hand(node, min(views, listings), turn)

        ours(0), bare(0)  # the node warms up
        turns = []
        for turn in range(1, sizes.runs + 1):
            first = bare(turn) if turn % 2 else 0.0
            (took, idle), by_hand = ours(turn), first or bare(turn)
            turns.append((took, idle, by_hand))
    took, idle, by_hand = (median(each) for each in zip(*turns, strict=True))
    note = f"{listings / by_hand:,.0f} updates/s in bulk alone; with its start {by_hand / took:.2f} ×"
    ratio = median(hand / (own - start) for own, start, hand in turns)
    what = (
        f"{views:,} views of {listings:,} listings, what they take longer than none: against the bulk of their updates"
    )
    yield Figure("`listings count` with nothing to do", idle, "s")
    yield Figure(what, ratio, "×", Target(0.8, at_least=True), note)


def fresh(sizes: Sizes) -> Iterator[Figure]:
    """A few new views, however many there were before."""
    listings = sizes.of(LISTINGS) // 10
    with Node(heap="2g") as node, _place(node) as place:
        _filled(node, listings)
        _merged(node)
        before = 0
        for there in (sizes.of(VIEWS) // 10, 10 * sizes.of(VIEWS)):
            place.add(there - before, listings, before)
            place.run("count")
            before, taken = there, []
            for _ in range(2 * sizes.runs + 1):
                place.add(NEW, listings, before)
                before += NEW
                taken.append(place.run("count").seconds)
            yield Figure(f"{NEW} new views in a log of {there:,}", median(taken), "s", Target(1))


def memory(sizes: Sizes) -> Iterator[Figure]:
    """The most memory that either takes, over few views and over many."""
    many, few, listings = 4 * sizes.of(VIEWS), sizes.of(VIEWS), sizes.of(LISTINGS) // 10
    with Kafka() as kafka, Node(heap="2g") as node:
        _filled(node, listings)
        peaks: dict[str, list[float]] = {"log": [], "count": []}
        for views in (few, many):
            topic = _sent(kafka, views)
            with _place(kafka, node) as place:
                for command, found in peaks.items():
                    found.append(place.run(command, VIEWS_TOPIC=topic, VIEWS_GROUP=uuid.uuid4().hex).peak)
    for command, (small, large) in peaks.items():
        yield Figure(f"peak memory of `listings {command}`, {many:,} views", large, "MB")
        yield Figure(f"growth from {few:,} views", (large / small - 1) * 100, "%", Target(15))


def _sent(kafka: Kafka, count: int) -> str:
    """A topic with so many views."""
    from confluent_kafka import Producer

    topic = f"views-{uuid.uuid4().hex}"
    Topics(Settings(kafka.environment()), RetryPolicy(SystemClock(), 60)).make(topic)
    producer = Producer({"bootstrap.servers": kafka.url, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    for number in range(count):
        item = f"{number % LISTINGS}"
        value = b'{"user_id":"user%d","item_id":%b}' % (number % 5000, item.encode())
        producer.produce(topic, value, item)
        if number % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("the broker did not take every view")
    return topic


def _filled(node: Node, count: int) -> None:
    """Index so many listings."""
    client = SearchClient(node.url, RetryPolicy(SystemClock(), 60))
    templates.put(client, templates.find("listings"))
    for first in range(0, count, 5000):
        numbers = range(first, min(first + 5000, count))
        documents = [{"id": each, "title": f"Desk {each}", "description": "Oak, three drawers"} for each in numbers]
        lines = [bulk.write(INDEX, str(each["id"]), orjson.dumps(each)) for each in documents]
        if bulk.deliver(client, lines):
            raise RuntimeError("the node refused a listing")
    client.close()


def _merged(node: Node) -> None:
    """Have what comes next begin with an index at rest, but in use: one that nobody searches is not refreshed."""
    client = SearchClient(node.url, RetryPolicy(SystemClock(), 60))
    client.request("POST", f"/{INDEX}/_forcemerge", params={"max_num_segments": 1})
    client.request("POST", f"/{INDEX}/_search", {"size": 1})
    client.close()


def _by_hand(node: Node, count: int, turn: int) -> float:
    """Seconds that as many updates take, which are ready, from two threads over bare connections."""
    bodies = []
    for first in range(0, count, _AT_ONCE):
        lines = [
            bulk.merge(INDEX, str(number), b'{"visits":%d,"hot":%d.5}' % (7_000_000 + turn, turn))
            for number in range(first, min(first + _AT_ONCE, count))
        ]
        bodies.append(b"".join(lines))

    def send(part: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", node.port)
        for body in part:
            headers = {"Content-Type": "application/x-ndjson"}
            connection.request("POST", "/_bulk?filter_path=errors", body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if orjson.loads(said).get("errors") is not False:
                raise RuntimeError(f"the node refused updates: {answer.status} {said[:500]!r}")
        connection.close()

    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, (bodies[::2], bodies[1::2])))
    return time.perf_counter() - started


GROUP = Group(
    "made-up views of some 40 bytes as JSON, evenly spread over listings of two short texts",
    {"log": log, "count": count, "fresh": fresh, "memory": memory},
)
