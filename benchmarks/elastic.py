"""Into Elasticsearch, against hand-written loops on the same node.

    memory    ``index`` over a short and a long queue
    sink      documents through `ElasticSink`, against orjson bodies from two threads over bare connections
    harvest   ``useractions -o es``, against the same to a file plus the hand-written loop
    index     ``harvest.py index``, against receiving and deleting alone, and against bulk requests alone
    workers   ``index --workers 2`` against one
    kill      100,000 messages with the indexer killed again and again: the count is exact

A real node and ElasticMQ run beside it. What is compared is measured in turns, and of several turns the median counts.
"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median

import orjson

from benchmarks.children import ROOT
from benchmarks.cluster import RECEIVERS, bodies, hand_loop, receive_and_delete, servers, sqs_client
from benchmarks.figures import Figure, Target
from benchmarks.groups import Group, Sizes
from benchmarks.world import world
from harvesters import useragents
from harvesters.document import Document
from harvesters.sinks.elastic import ElasticSink
from harvesters.standins.elasticsearch import Elasticsearch

WHEN = datetime(2001, 2, 13, tzinfo=UTC)
START_ALLOWED = 1.5


def sink(sizes: Sizes) -> Iterator[Figure]:
    """The sink alone."""
    count = sizes.of(50_000)
    with servers() as found:
        documents = bodies(count)
        gc.freeze()  # a harvester does not have all that in memory, so its collector need not walk through it
        by_hand, ours = [], []
        for _ in range(sizes.runs + 1):
            found.clear()
            by_hand.append(hand_loop(found.node, documents))
            found.clear()
            elastic = ElasticSink(found.client)
            started = time.perf_counter()
            for first in range(0, count, 5000):
                part = documents[first : first + 5000]
                made = [Document(str(body["action_id"]), "useractions", WHEN, body) for body in part]
                if not all(outcome.delivered for outcome in elastic.send(made)):
                    raise RuntimeError("the node refused a document")
            ours.append(time.perf_counter() - started)
            elastic.close()
        by_hand, ours = by_hand[1:], ours[1:]  # the node warms up
        ratio = median(hand / own for hand, own in zip(by_hand, ours, strict=True))
        note = f"{count / median(by_hand):,.0f} documents/s by hand"
        yield Figure("the sink's speed, against a hand-tuned orjson loop", ratio, "×", Target(0.9, at_least=True), note)
        yield Figure("documents through the sink", count / median(ours), "/s", Target(4500, at_least=True))


def useractions(sizes: Sizes) -> Iterator[Figure]:
    """``useractions -o es``."""
    yield from against_its_parts(sizes, Elasticsearch, "`useractions -o es`", 1.15, Target(4500, at_least=True))


def against_its_parts(
    sizes: Sizes, kind: type[Elasticsearch], command: str, bound: float, floor: Target | None = None
) -> Iterator[Figure]:
    """``useractions -o es`` into a node of that `kind`; `floor`: of actions in a second."""
    count = sizes.of(20_000)
    with servers(kind) as found:
        into_es, into_file, by_hand = [], [], []
        with world(count) as around:
            output = around.directory / "actions.jsonl"
            settings = around.environment
            around.environment = lambda key="": {**settings(key), "ES_HOST": found.node.url}  # type: ignore[method-assign]
            for _ in range(sizes.runs + 1):
                into_file.append(around.useractions(output=output).seconds)
                documents = [orjson.loads(line) for line in output.read_bytes().splitlines()]
                for document in documents:
                    useragents.add_to(document)  # as the sink does; a file has none of it
                found.clear()
                by_hand.append(hand_loop(found.node, documents))
                found.clear()
                into_es.append(around.useractions("-o", "es").seconds)
        into_es, into_file, by_hand = into_es[1:], into_file[1:], by_hand[1:]  # the node warms up
        if found.count() != count:
            raise RuntimeError(f"{found.count()} of {count} documents are there")
        ratio = median(es / (file + hand) for es, file, hand in zip(into_es, into_file, by_hand, strict=True))
        note = f"{median(into_es):.2f} s against {median(into_file):.2f} s + {median(by_hand):.2f} s"
        what = f"{command}, against the same to a file plus the hand-tuned loop"
        yield Figure(what, ratio, "×", Target(bound), note)
        yield Figure(f"actions by {command}", count / median(into_es), "/s", floor)


def index(sizes: Sizes) -> Iterator[Figure]:
    """``index``, whole process, against its parts."""
    count = sizes.of(20_000)
    with servers() as found:
        alone, bulk, ours = [], [], []
        for turn in range(sizes.runs):
            found.queue(f"alone-{turn}", count)
            alone.append(receive_and_delete(found, f"alone-{turn}"))
            found.clear()
            bulk.append(hand_loop(found.node, bodies(count)))
            found.clear()
            found.queue(f"index-{turn}", count)
            ours.append(found.index(f"index-{turn}", "--receivers", str(RECEIVERS)).seconds)
            if found.count() != count:
                raise RuntimeError(f"{found.count()} of {count} documents are there")
        slower = [max(pair) for pair in zip(alone, bulk, strict=True)]
        ratio = median((own - START_ALLOWED) / part for own, part in zip(ours, slower, strict=True))
        note = f"{median(ours):.2f} s; receiving and deleting {median(alone):.2f} s, bulk {median(bulk):.2f} s"
        what = f"`index`, less {START_ALLOWED} s of start, against the slower of its parts alone"
        yield Figure(what, ratio, "×", Target(1.25), note)
        yield Figure("messages by `index`", count / median(ours), "/s")


def workers(sizes: Sizes) -> Iterator[Figure]:
    """Two processes against one."""
    count = sizes.of(20_000)
    with servers() as found:
        took: dict[str, list[float]] = {"1": [], "2": []}
        for turn in range(sizes.runs):
            for number, seconds in took.items():
                found.clear()
                found.queue(f"workers-{number}-{turn}", count)
                seconds.append(found.index(f"workers-{number}-{turn}", "--workers", number).seconds)
        cores = len(os.sched_getaffinity(0))
        ratio = median(two / one for one, two in zip(took["1"], took["2"], strict=True))
        target = Target(0.9) if cores >= 4 else Target(1.0)
        note = f"{median(took['1']):.2f} s with one, {median(took['2']):.2f} s with two, on {cores} cores"
        yield Figure("`index --workers 2`, against one", ratio, "×", target, note)


def memory(sizes: Sizes) -> Iterator[Figure]:
    """Peak memory over a short queue and a long one."""
    count = sizes.of(50_000)
    with servers() as found:
        peaks = []
        for depth in (count // 10, count):
            found.clear()
            found.queue(f"memory-{depth}", depth)
            peaks.append(found.index(f"memory-{depth}").peak)
        yield Figure(f"peak memory of `index`, {count:,} messages", peaks[1], "MB")
        growth = (peaks[1] / peaks[0] - 1) * 100
        yield Figure(f"growth from {count // 10:,} to {count:,} messages", growth, "%", Target(15))


def kill(sizes: Sizes) -> Iterator[Figure]:
    """SIGKILL again and again; what is in the index in the end."""
    count = sizes.of(100_000)
    with servers() as found:
        found.clear()
        found.queue("kill", count)
        sqs, dice, kills = sqs_client(found), random.Random(1), 0
        url = sqs.get_queue_url(QueueName="kill")["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        command = [
            sys.executable,
            "harvest.py",
            "--env-file",
            os.devnull,
            "index",
            "-q",
            "kill",
            "--visibility-timeout",
            "5",
        ]
        while any(int(n) for n in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()):
            process = subprocess.Popen(command, cwd=ROOT, env=found.environment(), stderr=subprocess.DEVNULL)
            timer = threading.Timer(1.0 + 8 * dice.random(), process.kill)
            timer.start()
            kills += process.wait() != 0
            timer.cancel()
        missing = abs(found.count() - count)
        yield Figure(
            f"{count:,} messages, the indexer killed {kills} times: documents too few or too many",
            missing,
            "",
            Target(0),
        )


GROUP = Group(
    "made-up user actions of about 450 bytes; median of the turns",
    {"memory": memory, "sink": sink, "harvest": useractions, "index": index, "workers": workers, "kill": kill},
)
