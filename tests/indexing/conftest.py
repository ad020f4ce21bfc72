from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.indexing.queues import Queue
from tests.nodes import Node, node_for_a_test


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A corner of the test run's Elasticsearch, with our template for it."""
    with node_for_a_test(request) as node:
        node.load("useractions")
        yield node


@pytest.fixture(params=["elasticmq", "moto"])
def sqs(request: pytest.FixtureRequest) -> Iterator[Queue]:
    """An empty queue in each SQS."""
    request.getfixturevalue("elasticmq_url" if request.param == "elasticmq" else "aws")
    queue = Queue()
    yield queue
    queue.remove()


@pytest.fixture
def fast(elasticmq_url: str) -> Iterator[Queue]:
    """An empty queue in ElasticMQ."""
    queue = Queue()
    yield queue
    queue.remove()
