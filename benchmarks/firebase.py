"""``harvest.py firebase``: loading a dump, its memory, and an export against its parts."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import orjson
import requests

from benchmarks.children import Run, baseline, harvest, stub
from benchmarks.figures import Figure, Target
from benchmarks.groups import Group, Sizes
from harvesters.simulators.firebase import buddyup
from harvesters.standins.elasticsearch import Elasticsearch

SEED_EVENTS, SEED_RATE = 168_000, 4_500
START, END = datetime(2015, 1, 1, tzinfo=UTC), datetime(2016, 3, 1, tzinfo=UTC)


class Node(Elasticsearch):
    """The stand-in with Java's second compiler, which it leaves out to be up sooner; every real server has it."""

    def command(self) -> list[str]:
        return [part for part in super().command() if part != "-XX:TieredStopAtLevel=1"]


def load(sizes: Sizes) -> Iterator[Figure]:
    """The seed's case: 168,000 events of 73 MB into an empty Elasticsearch."""
    events = sizes.of(SEED_EVENTS)
    with scratch() as directory, Node(heap="1g") as cluster:
        dump = directory / "events.json"
        write_dump(dump, events)
        environment = settings(directory, ES_HOST=cluster.url)
        rates, megabytes_taken = [], []
        for number in range(sizes.runs + 1):
            run = load_dump(dump, environment, directory)
            if number:  # the first one warms the cluster's compiler up, as the seed's had been
                rates.append(events / run.seconds)
            requests.post(f"{cluster.url}/buddyupevents/_flush", params={"force": "true"}, timeout=120)
            settled(cluster.url)
            if _count(cluster.url) != events:
                raise RuntimeError("not all events are in the index")
            megabytes_taken.append(_size(cluster.url))
            _delete(cluster.url)
        megabytes = dump.stat().st_size / 1e6
    yield Figure(
        f"{events:,} events loaded ({megabytes:.0f} MB of JSON): against the seed's {SEED_RATE:,} events a second",
        median(rates) / SEED_RATE,
        "×",
        Target(3, at_least=True),
        f"{median(rates):,.0f} a second, of the whole process",
    )
    yield Figure(
        "the index against the JSON it was loaded from",
        median(megabytes_taken) / megabytes,
        "×",
        Target(1),
        f"{median(megabytes_taken):.0f} MB",
    )


def memory(sizes: Sizes) -> Iterator[Figure]:
    """Loading much against loading little; into a file, so that no cluster is in the way."""
    with scratch() as directory:
        environment = settings(directory)
        peaks = []
        for megabytes in (100, 2000):
            dump = directory / f"{megabytes}.json"
            write_dump(dump, sizes.of(megabytes * SEED_EVENTS // 75))
            log = directory / "log"
            peaks.append(
                harvest(["--log-format", "json", "firebase", "load", str(dump), "-o", "-"], environment, log).peak
            )
            dump.unlink()
    yield Figure(
        f"memory of a load of {2000 * sizes.scale:,.0f} MB against one of {100 * sizes.scale:,.0f} MB",
        peaks[1] / peaks[0],
        "×",
        Target(1.15),
        f"{peaks[0]:.0f} MB and {peaks[1]:.0f} MB at most",
    )


def export(sizes: Sizes) -> Iterator[Figure]:
    """An export to a file against fetching and parsing the same pages alone."""
    nodes = sizes.of(500_000)
    with scratch() as directory, stub("firebase", nodes=nodes) as url:
        environment = settings(directory, FIREBASE_ENDPOINT=url, FIREBASE_KEY="none")
        runs, parts = [], []
        for number in range(sizes.runs + 1):
            out = directory / f"out-{number}.jsonl"
            arguments = ["--log-format", "json", "firebase", "export", "events", "--page-size", "1000", "-o", str(out)]
            run = harvest(arguments, environment, directory / "log")
            part = baseline("firebase", environment, url=url)["seconds"]
            if number:  # the stub makes its pages in the first one
                runs.append(run)
                parts.append(part)
            if run.report["children"] != nodes:
                raise RuntimeError(f"{run.report['children']} of {nodes} nodes were exported")
            out.unlink()
    ratios = [run.seconds / part for run, part in zip(runs, parts, strict=True)]
    yield Figure(
        f"an export of {nodes:,} nodes against fetching and parsing the same pages alone",
        median(ratios),
        "×",
        Target(1.3),
        f"{median(run.seconds for run in runs):.2f} s of the whole process, {median(parts):.2f} s",
    )
    yield Figure("the same, memory", median(run.peak for run in runs), "MB")


def pages(sizes: Sizes) -> Iterator[Figure]:
    """An export over a line of 20 ms: pages that find their size against pages of 6,000."""
    nodes = sizes.of(200_000)
    with scratch() as directory, stub("firebase", nodes=nodes, latency=0.02) as url:
        environment = settings(directory, FIREBASE_ENDPOINT=url, FIREBASE_KEY="none")
        taken: dict[str, list[Run]] = {"": [], "6000": []}
        for number in range(sizes.runs + 1):
            for size, runs in taken.items():
                out = directory / "out.jsonl"
                arguments = ["--log-format", "json", "firebase", "export", "events", "-o", str(out)]
                run = harvest([*arguments, *(["--page-size", size] if size else [])], environment, directory / "log")
                if run.report["children"] != nodes:
                    raise RuntimeError(f"{run.report['children']} of {nodes} nodes were exported")
                if number:  # the stub makes its pages in the first one
                    runs.append(run)
                out.unlink()
    own, fixed = (median(run.seconds for run in runs) for runs in taken.values())
    requests_made = [runs[-1].report["pages"] for runs in taken.values()]
    yield Figure(
        f"an export of {nodes:,} nodes at 20 ms a request against the same with pages of 6,000",
        own / fixed,
        "×",
        Target(1.3),
        f"{own:.2f} s in {requests_made[0]} requests, {fixed:.2f} s in {requests_made[1]}",
    )


def load_dump(dump: Path, environment: Mapping[str, str], directory: Path) -> Run:
    return harvest(["--log-format", "json", "firebase", "load", str(dump)], environment, directory / "log")


def write_dump(path: Path, events: int) -> None:
    """A dump as the seed's: one object, compact."""
    with path.open("wb") as file:
        file.write(b"{")
        for number, (key, event) in enumerate(buddyup.events(events, START, END)):
            if number:
                file.write(b",")
            file.write(orjson.dumps(key) + b":" + orjson.dumps(event))
        file.write(b"}")


def settings(directory: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "HARVEST_STATE_DIR": str(directory / "state"), "REDIS_URL": "redis://127.0.0.1:1/0", **more}


@contextmanager
def scratch() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _count(url: str) -> int:
    requests.post(f"{url}/buddyupevents/_refresh", timeout=60)
    return int(requests.get(f"{url}/buddyupevents/_count", timeout=60).json()["count"])


def _size(url: str) -> float:
    """MB that the index takes on the disk."""
    stats = requests.get(f"{url}/buddyupevents/_stats/store", timeout=60).json()
    return float(stats["_all"]["total"]["store"]["size_in_bytes"]) / 1e6


def _delete(url: str) -> None:
    """Remove the events, so that the next load is one into an empty cluster; by name, as patterns are refused."""
    for index in requests.get(f"{url}/_resolve/index/buddyupevents-*", timeout=60).json()["indices"]:
        requests.delete(f"{url}/{index['name']}", timeout=60).raise_for_status()


def settled(url: str) -> None:
    """Wait until no segments are being merged."""
    while True:
        stats = requests.get(f"{url}/buddyupevents/_stats/merge", timeout=60).json()
        tasks = requests.get(f"{url}/_tasks", params={"actions": "*forcemerge*"}, timeout=60).json()
        if not stats["_all"]["total"]["merges"]["current"] and not any(
            node["tasks"] for node in tasks["nodes"].values()
        ):
            return
        time.sleep(0.5)


GROUP = Group(
    "made-up BuddyUp events, 168,000 of them 75 MB as the seed's",
    {"load": load, "memory": memory, "export": export, "pages": pages},
)
