"""A real Kafka and a real Elasticsearch, a market place's messages, and the plainest fast ways of moving them."""

from __future__ import annotations

import http.client
import json
import os
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.children import Run, harvest
from harvesters.clock import SystemClock
from harvesters.elastic.client import SearchClient
from harvesters.retry import RetryPolicy
from harvesters.search import templates
from harvesters.standins.base import child_environment
from harvesters.standins.elasticsearch import Elasticsearch
from harvesters.standins.kafka import Kafka

INDEX = "listing_index"
PARTITIONS = 3
_WORDS = [
    *("desk", "chair", "lamp", "shelf", "oak", "steel", "red", "blue", "green", "old", "new", "cheap", "good", "used"),
    *("student", "room", "campus", "book", "bike", "table", "white", "black", "large", "small", "round", "soft"),
    *("heavy", "light", "wooden", "modern", "vintage", "rare"),
]


def listing(number: int) -> dict[str, Any]:
    """A listing of about 350 bytes."""
    draw = random.Random(number)
    return {
        "id": number,
        "title": " ".join(draw.choices(_WORDS, k=5)),
        "description": " ".join(draw.choices(_WORDS, k=30)),
        "created": f"2026-01-{number % 28 + 1:02d}T09:{number % 60:02d}:00Z",
        "price": round(draw.random() * 100, 2),
        "seller": f"u{number % 5000}",
    }


@dataclass
class Market:
    """The broker, the node, and a directory for files."""

    kafka: Kafka
    node: Elasticsearch
    directory: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Settings for a child process."""
        kept = child_environment(self.kafka, self.node)
        return {**kept, "HARVEST_STATE_DIR": str(self.directory / "state"), "LISTINGS_INDEX": INDEX, **more}

    def run(self, *arguments: str, **more: str) -> Run:
        """``harvest.py listings ARGUMENTS``."""
        words = ["--env-file", os.devnull, "--log-format", "json", "listings", *arguments]
        return harvest(words, self.environment(**more), self.directory / "listings.log")

    @property
    def client(self) -> SearchClient:
        """A client of the node."""
        return SearchClient(self.node.url, RetryPolicy(SystemClock(), 60))

    def clear(self) -> None:
        """An index without listings."""
        client, template = self.client, templates.find("listings")
        for name in (INDEX, f"{INDEX}-deleted"):
            client.request("DELETE", f"/{name}", accept=(404,))
        client.request("PUT", f"/{INDEX}", {"settings": template.settings, "mappings": template.mappings})
        client.close()

    def count(self) -> int:
        """How many listings there are."""
        client = self.client
        client.request("POST", f"/{INDEX}/_refresh")
        found = client.request("GET", f"/{INDEX}/_count").body["count"]
        client.close()
        return int(found)

    def fill(self, topic: str, messages: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """A new topic with these messages: key and value."""
        admin = AdminClient({"bootstrap.servers": self.kafka.url})
        for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
            future.result(30)
        producer = Producer({"bootstrap.servers": self.kafka.url, "partitioner": "murmur2_random", "linger.ms": 20})
        for key, value in messages:
            while True:
                try:
                    producer.produce(topic, json.dumps(value).encode(), key)
                    break
                except BufferError:
                    producer.poll(0.05)
        if producer.flush(60):
            raise RuntimeError("the broker did not take all messages")

    def consume(self, topic: str, count: int) -> float:
        """Seconds of reading the last `count` messages and doing nothing with them."""
        consumer = Consumer({"bootstrap.servers": self.kafka.url, "group.id": "alone", "enable.auto.commit": False})
        starts = [TopicPartition(topic, at, 0) for at in range(PARTITIONS)]
        total = sum(consumer.get_watermark_offsets(start)[1] for start in starts)
        consumer.assign(starts)
        left = total
        started = 0.0
        while left > 0:
            if left <= count and not started:
                started = time.perf_counter()
            left -= len(consumer.consume(1000, 1.0))
        seconds = time.perf_counter() - started
        consumer.close()
        return seconds

    def bulk(self, lines: Sequence[bytes]) -> float:
        """Seconds of bulk requests of a thousand ready documents, from two threads over a bare connection each."""

        def send(part: Sequence[bytes]) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.node.port)
            headers = {"Content-Type": "application/x-ndjson"}
            for first in range(0, len(part), 1000):
                body = b"".join(part[first : first + 1000])
                connection.request("POST", "/_bulk?filter_path=errors", body, headers)
                if orjson.loads(connection.getresponse().read())["errors"]:
                    raise RuntimeError("the node refused a document")
            connection.close()

        half = len(lines) // 2
        started = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(send, (lines[:half], lines[half:])))
        return time.perf_counter() - started


@contextmanager
def market() -> Iterator[Market]:
    """Both servers."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harvest-bench-")))
        yield Market(stack.enter_context(Kafka()), stack.enter_context(Elasticsearch(heap="1g")), directory)
