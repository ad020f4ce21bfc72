"""A Kafka and an Elasticsearch with corners of one test's own, and the commands between them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Broker
from tests.commandline import run_here
from tests.indices import Cluster, cluster_for_a_test
from tests.listings.shops import Shop


@dataclass
class Result:
    """What a command did."""

    code: int
    err: str

    @property
    def report(self) -> dict[str, Any]:
        return next(record for line in self.err.splitlines() if "report" in (record := json.loads(line)))

    @property
    def counts(self) -> tuple[int, ...]:
        """Received, indexed, superseded, deleted, dead."""
        return tuple(self.report[name] for name in ("received", "indexed", "superseded", "deleted", "dead"))


@dataclass
class Market:
    """The listings of one test: in Kafka, and in an index."""

    kafka: Broker
    cluster: Cluster
    state: Path
    run: Callable[..., Result]

    @property
    def index(self) -> str:
        return self.cluster.name("listings")

    def send(self, *messages: Any, **options: Any) -> None:
        """Send listings (their ids are the keys), or pairs of key and value."""
        pairs = [each if isinstance(each, tuple) else (str(each["id"]), each) for each in messages]
        self.kafka.send(self.kafka.listings, pairs, **options)

    def documents(self) -> dict[str, dict[str, Any]]:
        """What is indexed, by id, as sent: without where it came from, and without `created`."""
        found = self.cluster.documents("listings")
        return {id: {k: v for k, v in each.items() if k not in ("origin", "created")} for id, each in found.items()}

    def document(self, id: str) -> dict[str, Any]:
        """One document, all of it."""
        return self.cluster.documents("listings")[id]

    def letters(self) -> list[dict[str, Any]]:
        """Dead letters, in the order in which they were written."""
        files = sorted((self.state / "dead-letters").glob("listings-*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def caught_up(self) -> bool:
        """Whether the group has committed everything."""
        ends = {at: high for at, (_, high) in self.kafka.ends(self.kafka.listings).items() if high}
        committed = self.kafka.committed(self.kafka.listings)
        return all(committed.get(at, 0) >= end for at, end in ends.items())


@pytest.fixture
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster_for_a_test(request) as found:
        monkeypatch.setenv("ES_HOST", found.url)
        yield found


@pytest.fixture
def market(
    kafka: Broker,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Market:
    """With the topic of the listings made."""
    monkeypatch.setenv("LISTINGS_INDEX", cluster.name("listings"))
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "20")
    kafka.make(kafka.listings)

    def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
        capfd.readouterr()
        with monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            code = run_here("--log-format", "json", "listings", *arguments)
        return Result(code, capfd.readouterr().err)

    return Market(kafka, cluster, tmp_path / "state", run)


def environment(market: Market) -> dict[str, str]:
    """For a process of its own."""
    return {**os.environ, "HARVEST_STATE_DIR": str(market.state)}


@pytest.fixture
def shop(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shop:
    monkeypatch.setenv("LISTINGS_INDEX", cluster.name("listings"))
    return Shop(cluster, tmp_path / "state", capfd)
