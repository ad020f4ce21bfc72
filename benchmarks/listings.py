"""Listings from Kafka into Elasticsearch, against reading alone and bulk requests alone.

    index     what 60,000 listings take longer than 10,000
    memory    peak memory of `listings index` over a short and a long topic
    kill      200,000 listings with two processes killed again and again: the index is exact

A real Kafka and a real Elasticsearch run beside it. What is compared is measured in turns.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

import orjson

from benchmarks.children import ROOT
from benchmarks.figures import Figure, Target
from benchmarks.groups import Group, Sizes
from benchmarks.market import INDEX, Market, listing, market
from harvesters.elastic import bulk

SHORT, LONG = 10_000, 60_000
FOUR_CORES, TWO_CORES = 0.8, 0.7


def ready(count: int) -> list[bytes]:
    """The lines of bulk requests that index so many listings as `listings index` does."""
    origin = {"topic": "listings", "topic_id": "A" * 22, "partition": 1, "offset": 1, "timestamp": 1_790_000_000_000}
    return [
        bulk.write(INDEX, str(number), orjson.dumps({**listing(number), "origin": {**origin, "offset": number}}))
        for number in range(count)
    ]


def index(sizes: Sizes) -> Iterator[Figure]:
    """The rate of ``listings index`` without its start, against that of its parts."""
    short, long = sizes.of(SHORT), sizes.of(LONG)
    between = long - short
    cores = len(os.sched_getaffinity(0))
    with market() as found:
        lines = ready(between)
        for count in (short, long):
            found.fill(f"listings-{count}", ((str(number), listing(number)) for number in range(count)))
        read, sent, took = [], [], []
        for turn in range(-1, sizes.runs):
            found.clear()
            alone = found.bulk(lines)
            seconds = []
            for count in (short, long):
                found.clear()
                seconds.append(_index(found, count, f"turn-{turn}"))
            if turn >= 0:  # the node has warmed up
                sent.append(alone)
                read.append(found.consume(f"listings-{long}", between))
                took.append(seconds[1] - seconds[0])
        note = f"{median(took):.2f} s; reading {median(read):.2f} s, bulk {median(sent):.2f} s, on {cores} cores"
        turns = list(zip(took, read, sent, strict=True))
        if cores >= 4:
            what = "`listings index`, against the slower of reading alone and bulk alone"
            ratio, target = median(max(r, s) / own for own, r, s in turns), FOUR_CORES
        else:
            what = "`listings index`, against reading alone and then bulk alone"
            ratio, target = median((r + s) / own for own, r, s in turns), TWO_CORES
        yield Figure(what, ratio, "×", Target(target, at_least=True), note)
        yield Figure("listings by `listings index`", between / median(took), "/s")


def _index(found: Market, count: int, group: str) -> float:
    run = found.run("index", LISTINGS_TOPIC=f"listings-{count}", LISTINGS_GROUP=group)
    if found.count() != count:
        raise RuntimeError(f"{found.count()} of {count} listings are there")
    return run.seconds


def memory(sizes: Sizes) -> Iterator[Figure]:
    """Peak memory over a short topic and a long one."""
    count = sizes.of(200_000)
    with market() as found:
        peaks = []
        for number in (count // 10, count):
            found.clear()
            found.fill(f"listings-{number}", ((str(each), listing(each)) for each in range(number)))
            peaks.append(found.run("index", LISTINGS_TOPIC=f"listings-{number}").peak)
        yield Figure(f"peak memory of `listings index`, {count:,} listings", peaks[1], "MB")
        growth = (peaks[1] / peaks[0] - 1) * 100
        yield Figure(f"growth from {count // 10:,} to {count:,} listings", growth, "%", Target(25))


def kill(sizes: Sizes) -> Iterator[Figure]:
    """SIGKILL again and again; what is in the index in the end."""
    count = sizes.of(200_000)
    with market() as found:
        found.clear()
        draw, wanted = random.Random(1), dict.fromkeys(range(count), 0)
        messages = []
        for version in range(count * 5 // 4):
            number = version if version < count else draw.randrange(count)
            wanted[number] = version
            messages.append((str(number), {**listing(number), "version": version}))
        found.fill("listings", messages)
        environment = found.environment(LISTINGS_TOPIC="listings", KAFKA_SESSION_TIMEOUT="2")
        command = [sys.executable, "harvest.py", "--env-file", os.devnull, "listings", "index"]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)

        workers, kills = [start(), start()], 0
        while any(worker.poll() != 0 for worker in workers):
            time.sleep(0.3 + 4 * draw.random())
            for at, worker in enumerate(workers):
                if worker.poll() is None and draw.random() < 0.5:
                    worker.kill()
                    kills += 1
                    worker.wait()
                if worker.poll() not in (None, 0):
                    workers[at] = start()
        wrong = _wrong(found, wanted)
        yield Figure(f"{count:,} listings, killed {kills} times: missing, old or too many", wrong, "", Target(0))


def _wrong(found: Market, wanted: dict[int, int]) -> int:
    from harvesters.search import scan

    client = found.client
    client.request("POST", f"/{INDEX}/_refresh")
    left = dict(wanted)
    wrong = 0
    for hits in scan.pages(client, INDEX, source=["version"]):
        for hit in hits:
            wrong += left.pop(int(hit["_id"]), None) != hit["_source"]["version"]
    client.close()
    return wrong + len(left)


GROUP = Group(
    "made-up listings of about 350 bytes in three partitions; median of the turns",
    {"index": index, "memory": memory, "kill": kill},
)
