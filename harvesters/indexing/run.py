"""Runs of `index`: a queue's messages into indices, in one process or several."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from harvesters.assembly import Assembly
from harvesters.errors import Interrupted
from harvesters.indexing.indexer import Indexer
from harvesters.indexing.source import SqsSource
from harvesters.runs import run
from harvesters.sinks.deadletters import ErrorBudget
from harvesters.telemetry import Report, per_second


@dataclass(frozen=True)
class IndexWanted:
    """How to index.

    Args:
        follow: go on until told to stop, instead of ending when the queue is empty.
        receivers: threads that receive, and as many that delete.
        visibility: seconds after which an unfinished message is shown to others again.
    """

    follow: bool = False
    receivers: int = 4
    visibility: int = 60


def index_queue(assembly: Assembly, wanted: IndexWanted) -> Report:
    """Index the messages of ``SQS_QUEUE_NAME``.

    Raises:
        HarvestError: as its subclasses say; `Interrupted` when told to stop before the queue was empty.
    """
    settings = assembly.settings
    # What is in hand is finished after SIGTERM too, so its retries go on: their clock does not know of it.
    patient = Assembly(settings, threading.Event(), assembly.job)
    with closing(patient):
        sink = patient.elastic(fresh_pattern="useractions-*")
        queue = settings.require("SQS_QUEUE_NAME")
        source = SqsSource(queue, assembly.retry, wanted.visibility, 2 * wanted.receivers + 2, patient.retry)
        indexer = Indexer(
            source,
            sink,
            patient.dead_letters,
            ErrorBudget(*settings.error_budget()),
            settings.timezone("OPENCAST_TIMEZONE"),
            patient.clock,
            assembly.stop,
            follow=wanted.follow,
            receivers=wanted.receivers,
        )
        sink.may_send = indexer.check
        with closing(sink), closing(source):
            report = run(_Indexing(indexer), patient.clock)
    if not wanted.follow and assembly.stop.is_set():
        raise Interrupted("told to stop: finished what was in hand; the rest is still in the queue")
    return report


@dataclass
class _Indexing:
    """The job of one process."""

    indexer: Indexer
    command: str = "index"

    def work(self) -> None:
        self.indexer.run()

    def fields(self, seconds: float) -> dict[str, Any]:
        counts = self.indexer.counts
        return {**asdict(counts), "messages_per_second": per_second(counts.received, seconds)}


def in_processes(count: int, work: Callable[[], object], stop: threading.Event) -> int:
    """Do the same `work` in several processes; the exit code of the whole."""
    import boto3  # noqa: F401 - what every process needs is imported once, before they are forked
    import elasticsearch  # noqa: F401

    import harvesters.sinks.elastic  # noqa: F401
    from harvesters.indexing import workers

    return workers.run(count, work, stop)
