"""A real node with little room: it refuses items, refuses requests that are too large, and goes away for a while."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from harvesters.clock import SystemClock
from harvesters.document import Outcome
from harvesters.retry import RetryPolicy
from harvesters.sinks.elastic import ElasticSink
from harvesters.standins.elasticsearch import Elasticsearch
from tests.nodes import Node
from tests.samples import document, documents, logged
from tests.servers import running

_SETTINGS = {
    "thread_pool.write.size": "1",
    "thread_pool.write.queue_size": "1",
    "http.max_content_length": "1mb",
}


@pytest.fixture(scope="module")
def strained() -> Iterator[Elasticsearch]:
    with running(Elasticsearch(_SETTINGS)) as server:
        yield server


@pytest.fixture
def node(strained: Elasticsearch) -> Iterator[Node]:
    node = Node(strained.url)
    yield node
    node.clean()


def impatient(budget: float = 60) -> RetryPolicy:
    return RetryPolicy(SystemClock(), budget, first=0.05, cap=0.5)


def sink_of(node: Node, **options: Any) -> ElasticSink:
    return node.sink(impatient(), templated=False, **options)


def test_items_that_the_node_is_too_busy_for_are_sent_again_and_none_is_lost(node: Node) -> None:
    settings = {"settings": {"number_of_shards": 4, "number_of_replicas": 0}}
    node.ask("PUT", f"/{node.prefix}useractions-2026.02.13", settings)
    sink = sink_of(node, threads=12)
    with logged(level=logging.INFO) as records:
        outcomes = sink.send(documents(6000))
    sink.close()
    assert all(outcome.delivered for outcome in outcomes)
    assert node.count() == len(outcomes) == 6000
    assert any("429 es_rejected_execution_exception" in record.getMessage() for record in records)


def test_requests_larger_than_the_node_takes_are_split(node: Node) -> None:
    sink = sink_of(node)
    batch = [document(str(number), text="x" * 30_000) for number in range(80)]
    outcomes = sink.send([*batch, document("80", text="x" * 1_100_000)])
    sink.close()
    dead = [outcome for outcome in outcomes if not outcome.delivered]
    assert [outcome.document.id for outcome in dead] == ["80"]
    assert "http.max_content_length" in dead[0].reason
    assert node.count() == 80


def test_a_block_that_is_lifted_later_costs_nothing(node: Node) -> None:
    index = f"{node.prefix}useractions-2026.02.13"
    node.ask("PUT", f"/{index}", {"settings": {"index.blocks.write": True}})
    sink = sink_of(node)
    outcomes: list[Outcome] = []
    with logged(level=logging.INFO) as records:
        sending = threading.Thread(target=lambda: outcomes.extend(sink.send(documents(50))), daemon=True)
        sending.start()
        while not any("cluster_block_exception" in record.getMessage() for record in records):
            sending.join(0.02)
        node.ask("PUT", f"/{index}/_settings", {"index.blocks.write": None})
        sending.join(30)
    sink.close()
    assert node.count() == len(outcomes) == 50
    assert all(outcome.delivered for outcome in outcomes)


def test_a_node_that_is_stopped_and_started_again_loses_nothing(node: Node, strained: Elasticsearch) -> None:
    sink = sink_of(node, threads=2)
    outcomes: list[Outcome] = []
    failures: list[BaseException] = []
    begun = threading.Event()

    def send() -> None:
        try:
            for start in range(0, 4000, 500):
                outcomes.extend(sink.send(documents(500, first=start)))
                begun.set()
        except BaseException as error:
            failures.append(error)

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    assert begun.wait(30)
    strained.kill()
    strained.start()
    sending.join(60)
    sink.close()
    assert failures == []
    assert all(outcome.delivered for outcome in outcomes)
    assert node.count() == len(outcomes) == 4000
