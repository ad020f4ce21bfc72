"""A process that is frozen in the middle of a page, beyond its lease: what is left of the page is not sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from harvesters.cursor import Times
from harvesters.document import Document
from harvesters.elastic.client import SearchClient
from harvesters.errors import RaceLost
from harvesters.harvest import Page
from harvesters.runs import HarvestRun, Parts, Place
from harvesters.sinks.base import Sink
from harvesters.sinks.deadletters import DirectoryDeadLetters, ErrorBudget
from harvesters.sinks.elastic import ElasticSink
from harvesters.spans import Span
from harvesters.stores.cache import MemoryCache
from harvesters.stores.checkpoint import Beginning, Checkpoint, Owner
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Lease
from harvesters.timespan import Window
from harvesters.zoom.moving import MovingSink
from tests.clocks import FakeClock, patient
from tests.conformance.fakesqs import FakeSqs, sink_of, taken
from tests.crash.test_two_runs import START, TTL, Rows
from tests.sinks.bulk import TAKEN, Bulk, Item

ROWS = 100


class ManyRows(Rows):
    """A source of one page."""

    def pages(self, scope: Window) -> Iterator[Page]:
        yield Page([{"id": number} for number in range(ROWS)])

    def documents(self, rows: Sequence[Any]) -> list[Document | str]:
        return [Document(str(row["id"]), self.kind, START, {"action_id": row["id"]}) for row in rows]


def harvest(sink: Sink, clock: FakeClock, directory: Path) -> None:
    kind = Times(UTC)
    place = Place(
        Checkpoint(FileBlob(directory / "ts"), kind),
        Owner(FileBlob(directory / "owner")),
        Beginning(FileBlob(directory / "begun"), kind),
        Lease(FileBlob(directory / "lease"), clock, TTL),
    )
    dead = DirectoryDeadLetters(directory, clock)
    parts = Parts(clock, MemoryCache(), dead, ErrorBudget(0.0, 0), threading.Event())
    HarvestRun("useractions", parts, Span(), ManyRows(), sink, place).run()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_queue_gets_no_request_more(clock: FakeClock, tmp_path: Path) -> None:
    def frozen(entries: list[Any]) -> dict[str, Any]:
        clock.advance(TTL)
        return taken(entries)

    sqs = FakeSqs(taken, taken, frozen)
    with pytest.raises(RaceLost):
        harvest(sink_of(sqs, clock), clock, tmp_path)
    assert len(sqs.requests) == 3
    assert not (tmp_path / "ts").exists()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_cluster_gets_no_request_more(wrapped: bool, clock: FakeClock, tmp_path: Path) -> None:
    def freeze(id: str, before: int) -> Item:
        if len(bulk.batches) == 3:
            clock.advance(TTL)
        return TAKEN

    with Bulk(freeze) as bulk:
        client = SearchClient(bulk.url, patient(clock))
        cluster = ElasticSink(client, threads=1, max_bytes=500, templated=False)
        with pytest.raises(RaceLost):
            harvest(MovingSink(cluster) if wrapped else cluster, clock, tmp_path)
        assert len(bulk.batches) == 3
