"""Fixtures that give a test a real server, started when the first test asks for it and once per test run.

Where a machine cannot run one the test is skipped and says why; under ``CI=true`` that is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import pytest

from harvesters.standins.base import StandIn, StandInMissing
from harvesters.standins.elasticmq import ElasticMQ
from harvesters.standins.elasticsearch import Elasticsearch, Elasticsearch9
from harvesters.standins.kafka import Kafka
from harvesters.standins.moto import Moto
from harvesters.standins.opensearch import OpenSearch, OpenSearch2
from harvesters.standins.redis import Redis
from tests.brokers import Broker

__all__ = [
    "aws",
    "elasticmq_server",
    "elasticmq_url",
    "elasticsearch_server",
    "elasticsearch_url",
    "give_up",
    "kafka",
    "kafka_server",
    "moto_server",
    "redis_server",
    "redis_url",
    "running",
]

Server = TypeVar("Server", bound=StandIn)

CLUSTERS: dict[str, type[Elasticsearch]] = {
    "es8": Elasticsearch,
    "es9": Elasticsearch9,
    "os2": OpenSearch2,
    "os3": OpenSearch,
}
"""What ``HARVEST_TEST_CLUSTER`` may say; es8 unless it does."""
KIND = os.environ.get("HARVEST_TEST_CLUSTER") or "es8"
Node = CLUSTERS[KIND]
"""The kind of cluster of this test run, for tests that start a node of their own."""


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """`server`, started for the length of the block; skips or fails the test where the machine cannot run it."""
    try:
        yield server.start()
    except StandInMissing as missing:
        give_up(missing)
    finally:
        server.close()


def give_up(missing: StandInMissing) -> NoReturn:
    """Skip the test, or fail it under CI, where every server is expected to run."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(missing), pytrace=False)
    pytest.skip(str(missing))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """The test run's Redis, in whatever state the last test left it."""
    with running(Redis()) as server:
        yield server


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Moto]:
    """The test run's S3 and SQS, in whatever state the last test left them."""
    with running(Moto()) as server:
        yield server


@pytest.fixture(scope="session")
def elasticmq_server() -> Iterator[ElasticMQ]:
    """The test run's fast SQS, with the queues of earlier tests in it."""
    with running(ElasticMQ(short_life=True)) as server:
        yield server


@pytest.fixture(scope="session")
def elasticsearch_server() -> Iterator[Elasticsearch]:
    """The test run's own cluster, with the indices of earlier tests in it."""
    with running(Node()) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[Kafka]:
    """The test run's Kafka, with the topics and groups of earlier tests in it."""
    with running(Kafka()) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """An empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def aws(clean_environment: None, moto_server: Moto, monkeypatch: pytest.MonkeyPatch) -> str:
    """An S3 and an SQS without a bucket or a queue; boto3 and child processes find them by the environment."""
    moto_server.reset()
    _set(moto_server, monkeypatch)
    return moto_server.url


@pytest.fixture
def elasticmq_url(clean_environment: None, elasticmq_server: ElasticMQ, monkeypatch: pytest.MonkeyPatch) -> str:
    """The fast SQS, found by the environment, beside `aws` too. Name queues after the test: others may be there."""
    _set(elasticmq_server, monkeypatch)
    return elasticmq_server.url


@pytest.fixture
def kafka(clean_environment: None, kafka_server: Kafka, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """The test run's Kafka, found by the environment, with names of topics and groups of this test's own."""
    broker = Broker(kafka_server)
    for name, value in broker.environment.items():
        monkeypatch.setenv(name, value)
    return broker


@pytest.fixture(scope="session")
def elasticsearch_url(request: pytest.FixtureRequest) -> str:
    """``ES_TEST_URL``, or else our own node. What other tests indexed may be there."""
    given = os.environ.get("ES_TEST_URL")
    if given:
        return given.rstrip("/")
    server: Elasticsearch = request.getfixturevalue("elasticsearch_server")
    return server.url


def _set(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
