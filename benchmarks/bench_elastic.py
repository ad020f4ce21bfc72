"""Into Elasticsearch, against hand-written loops on the same node: ``python -m benchmarks.bench_elastic [CASE …]``.

    sink      documents through `ElasticSink`, against orjson bodies from two threads over bare connections
    harvest   ``useractions -o es``, against the same to a file plus the hand-written loop
    index     ``harvest.py index``, against receiving and deleting alone, and against bulk requests alone
    workers   ``index --workers 2`` against one
    memory    ``index`` over a short and a long queue
    kill      100,000 messages with the indexer killed again and again: the count is exact

A real node and ElasticMQ run beside it. What is compared is measured in turns, and of several turns the median counts.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import boto3
import orjson

from benchmarks.children import ROOT, Run, harvest
from benchmarks.figures import Figure, Target, table
from benchmarks.run import machine
from benchmarks.world import world
from harvesters.clock import SystemClock
from harvesters.document import Document
from harvesters.retry import RetryPolicy
from harvesters.search import templates
from harvesters.search.client import SearchClient
from harvesters.sinks.elastic import ElasticSink
from harvesters.standins.base import child_environment
from harvesters.standins.elasticmq import ElasticMQ
from harvesters.standins.elasticsearch import Elasticsearch

WHEN = datetime(2001, 2, 13, tzinfo=UTC)
RECEIVERS = 4
START_ALLOWED = 1.5


def body(number: int) -> dict[str, Any]:
    """A user action of about 450 bytes."""
    return {
        "action_id": number,
        "timestamp": f"2001-02-13T09:{number % 60:02d}:00+00:00",
        "mpid": f"74b6c02f-afbb-42bc-8145-{number % 100:012d}",
        "session_id": f"1q2w3e4r{number % 500}",
        "huid": str(10_000_000 + number % 500),
        "useragent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        "ip": "140.247.1.2",
        "is_live": False,
        "action": {"type": "HEARTBEAT", "inpoint": number % 3600, "outpoint": 0, "length": 0, "is_playing": True},
        "episode": {"title": "Lecture 10", "duration": 3_600_000, "series": "20160213001", "crn": "13001"},
    }


def bodies(count: int) -> list[dict[str, Any]]:
    """That many of them."""
    return [body(number) for number in range(count)]


@dataclass
class Servers:
    """The node, the queue, and a directory for files."""

    node: Elasticsearch
    sqs: ElasticMQ
    directory: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Settings for a child process."""
        state = str(self.directory / "state")
        kept = child_environment(self.node, self.sqs)
        return {**kept, "HARVEST_STATE_DIR": state, "REDIS_URL": "redis://127.0.0.1:1/0", **more}

    @property
    def client(self) -> SearchClient:
        """A client of the node."""
        return SearchClient(self.node.url, RetryPolicy(SystemClock(), 60))

    def clear(self) -> None:
        """Remove all user actions."""
        client = self.client
        for index in client.request("GET", "/_resolve/index/useractions-*").body["indices"]:
            client.request("DELETE", f"/{index['name']}")
        client.close()

    def count(self) -> int:
        """How many user actions there are."""
        client = self.client
        client.request("POST", "/useractions-*/_refresh")
        found = client.request("GET", "/useractions-*/_count").body["count"]
        client.close()
        return int(found)

    def queue(self, name: str, count: int) -> None:
        """A queue with so many messages."""
        sqs = _sqs(self)
        url = sqs.create_queue(QueueName=name)["QueueUrl"]

        def send(first: int) -> None:
            entries = [{"Id": str(at), "MessageBody": orjson.dumps(body(first + at)).decode()} for at in range(10)]
            sqs.send_message_batch(QueueUrl=url, Entries=entries)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(0, count, 10)))

    def index(self, name: str, *options: str) -> Run:
        """``harvest.py index`` of that queue."""
        arguments = ["--env-file", os.devnull, "--log-format", "json", "index", "-q", name, *options]
        return harvest(arguments, self.environment(), self.directory / "index.log")


def _sqs(servers: Servers) -> Any:
    settings = servers.sqs.environment()
    return boto3.client(
        "sqs",
        endpoint_url=servers.sqs.url,
        region_name=settings["AWS_DEFAULT_REGION"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
    )


@contextmanager
def servers() -> Iterator[Servers]:
    """Both servers, with our templates loaded."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harvest-bench-")))
        found = Servers(stack.enter_context(Elasticsearch(heap="1g")), stack.enter_context(ElasticMQ()), directory)
        client = found.client
        for template in templates.read():
            templates.put(client, template)
        client.close()
        yield found


def hand_loop(node: Elasticsearch, documents: Sequence[dict[str, Any]], index: str = "useractions-2001.02.13") -> float:
    """Seconds of the plainest fast way: orjson bodies of a thousand, two threads, a bare connection each."""

    def send(part: Sequence[dict[str, Any]]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", node.port)
        for first in range(0, len(part), 1000):
            lines = []
            for body in part[first : first + 1000]:
                lines.append(orjson.dumps({"index": {"_index": index, "_id": str(body["action_id"])}}))
                lines.append(orjson.dumps(body))
            headers = {"Content-Type": "application/x-ndjson"}
            connection.request("POST", "/_bulk?filter_path=errors", b"\n".join([*lines, b""]), headers)
            if orjson.loads(connection.getresponse().read())["errors"]:
                raise RuntimeError("the node refused a document")
        connection.close()

    half = len(documents) // 2
    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, (documents[:half], documents[half:])))
    return time.perf_counter() - started


def sink(servers: Servers, count: int, turns: int) -> Iterator[Figure]:
    """The sink alone."""
    documents = bodies(count)
    gc.freeze()  # a harvester does not have all that in memory, so its collector need not walk through it
    by_hand, ours = [], []
    for _ in range(turns + 1):
        servers.clear()
        by_hand.append(hand_loop(servers.node, documents))
        servers.clear()
        elastic = ElasticSink(servers.client)
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


def useractions(servers: Servers, count: int, turns: int) -> Iterator[Figure]:
    """``useractions -o es``."""
    into_es, into_file, by_hand = [], [], []
    with world(count) as around:
        output = around.directory / "actions.jsonl"
        settings = around.environment
        around.environment = lambda key="": {**settings(key), "ES_HOST": servers.node.url}  # type: ignore[method-assign]
        for _ in range(turns):
            into_file.append(around.useractions(output=output).seconds)
            documents = [orjson.loads(line) for line in output.read_bytes().splitlines()]
            servers.clear()
            by_hand.append(hand_loop(servers.node, documents))
            servers.clear()
            into_es.append(around.useractions("-o", "es").seconds)
    if servers.count() != count:
        raise RuntimeError(f"{servers.count()} of {count} documents are there")
    ratio = median(es / (file + hand) for es, file, hand in zip(into_es, into_file, by_hand, strict=True))
    note = f"{median(into_es):.2f} s against {median(into_file):.2f} s + {median(by_hand):.2f} s"
    what = "`useractions -o es`, against the same to a file plus the hand-tuned loop"
    yield Figure(what, ratio, "×", Target(1.15), note)
    yield Figure("actions by `useractions -o es`", count / median(into_es), "/s", Target(4500, at_least=True))


def receive_and_delete(servers: Servers, name: str) -> float:
    """Seconds of taking everything out with boto3 and nothing else."""
    code = (
        "import sys, threading, time, boto3\n"
        "from botocore.config import Config\n"
        f"client = boto3.client('sqs', config=Config(max_pool_connections={2 * RECEIVERS}))\n"
        "url = client.get_queue_url(QueueName=sys.argv[1])['QueueUrl']\n"
        "def work():\n"
        "    while True:\n"
        "        got = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get('Messages', [])\n"
        "        if not got: return\n"
        "        client.delete_message_batch(QueueUrl=url, Entries=[{'Id': str(n), 'ReceiptHandle': m['ReceiptHandle']}"
        " for n, m in enumerate(got)])\n"
        f"threads = [threading.Thread(target=work) for _ in range({RECEIVERS})]\n"
        "start = time.perf_counter()\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(time.perf_counter() - start)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name], env=servers.environment(), capture_output=True, check=True, text=True
    )
    return float(done.stdout)


def index(servers: Servers, count: int, turns: int) -> Iterator[Figure]:
    """``index``, whole process, against its parts."""
    alone, bulk, ours = [], [], []
    for turn in range(turns):
        servers.queue(f"alone-{turn}", count)
        alone.append(receive_and_delete(servers, f"alone-{turn}"))
        servers.clear()
        bulk.append(hand_loop(servers.node, bodies(count)))
        servers.clear()
        servers.queue(f"index-{turn}", count)
        ours.append(servers.index(f"index-{turn}", "--receivers", str(RECEIVERS)).seconds)
        if servers.count() != count:
            raise RuntimeError(f"{servers.count()} of {count} documents are there")
    slower = [max(pair) for pair in zip(alone, bulk, strict=True)]
    ratio = median((own - START_ALLOWED) / part for own, part in zip(ours, slower, strict=True))
    note = f"{median(ours):.2f} s; receiving and deleting {median(alone):.2f} s, bulk {median(bulk):.2f} s"
    what = f"`index`, less {START_ALLOWED} s of start, against the slower of its parts alone"
    yield Figure(what, ratio, "×", Target(1.25), note)
    yield Figure("messages by `index`", count / median(ours), "/s")


def workers(servers: Servers, count: int, turns: int) -> Iterator[Figure]:
    """Two processes against one."""
    took: dict[str, list[float]] = {"1": [], "2": []}
    for turn in range(turns):
        for number, seconds in took.items():
            servers.clear()
            servers.queue(f"workers-{number}-{turn}", count)
            seconds.append(servers.index(f"workers-{number}-{turn}", "--workers", number).seconds)
    cores = len(os.sched_getaffinity(0))
    ratio = median(two / one for one, two in zip(took["1"], took["2"], strict=True))
    target = Target(0.9) if cores >= 4 else Target(1.0)
    note = f"{median(took['1']):.2f} s with one, {median(took['2']):.2f} s with two, on {cores} cores"
    yield Figure("`index --workers 2`, against one", ratio, "×", target, note)


def memory(servers: Servers, count: int, turns: int) -> Iterator[Figure]:
    """Peak memory over a short queue and a long one."""
    peaks = []
    for depth in (count // 10, count):
        servers.clear()
        servers.queue(f"memory-{depth}", depth)
        peaks.append(servers.index(f"memory-{depth}").peak)
    yield Figure(f"peak memory of `index`, {count:,} messages", peaks[1], "MB")
    growth = (peaks[1] / peaks[0] - 1) * 100
    yield Figure(f"growth from {count // 10:,} to {count:,} messages", growth, "%", Target(15))


def kill(servers: Servers, count: int, turns: int) -> Iterator[Figure]:
    """SIGKILL again and again; what is in the index in the end."""
    del turns
    servers.clear()
    servers.queue("kill", count)
    sqs, dice, kills = _sqs(servers), random.Random(1), 0
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
        process = subprocess.Popen(command, cwd=ROOT, env=servers.environment(), stderr=subprocess.DEVNULL)
        timer = threading.Timer(1.0 + 8 * dice.random(), process.kill)
        timer.start()
        kills += process.wait() != 0
        timer.cancel()
    missing = abs(servers.count() - count)
    yield Figure(
        f"{count:,} messages, the indexer killed {kills} times: documents too few or too many", missing, "", Target(0)
    )


CASES: dict[str, tuple[Callable[[Servers, int, int], Iterator[Figure]], int]] = {
    "memory": (memory, 50_000),  # first, for a child's peak is at least what its parent has when it is forked
    "sink": (sink, 50_000),
    "harvest": (useractions, 20_000),
    "index": (index, 20_000),
    "workers": (workers, 20_000),
    "kill": (kill, 100_000),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_elastic", description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="only these")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of documents")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    figures, where = [], machine()
    with servers() as found:
        for name in options.case or CASES:
            case, count = CASES[name]
            for figure in case(found, int(count * options.scale) // 10 * 10, options.turns):
                print(f"{figure.what}: {figure.value:.3f} {figure.unit} ({figure.note})", file=sys.stderr, flush=True)
                figures.append(figure)
    print(f"Measured {datetime.now(UTC):%Y-%m-%d} on {where}.\n")
    print("\n".join(table(figures)))
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
