"""A real Elasticsearch and a real ElasticMQ, and the plainest fast ways of moving documents through either."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import orjson

from benchmarks.children import Run, harvest
from harvesters.clock import SystemClock
from harvesters.elastic.client import SearchClient
from harvesters.retry import RetryPolicy
from harvesters.search import templates
from harvesters.standins.base import child_environment
from harvesters.standins.elasticmq import ElasticMQ
from harvesters.standins.elasticsearch import Elasticsearch

RECEIVERS = 4


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
        sqs = sqs_client(self)
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


def sqs_client(servers: Servers) -> Any:
    """boto3's client of the queue server."""
    settings = servers.sqs.environment()
    return boto3.client(
        "sqs",
        endpoint_url=servers.sqs.url,
        region_name=settings["AWS_DEFAULT_REGION"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
    )


@contextmanager
def servers(kind: type[Elasticsearch] = Elasticsearch) -> Iterator[Servers]:
    """Both servers, the node one of that `kind`, with our templates loaded."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harvest-bench-")))
        found = Servers(stack.enter_context(kind(heap="1g")), stack.enter_context(ElasticMQ()), directory)
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
