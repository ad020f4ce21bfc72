"""Runs of `index`: a queue's messages into indices, in one process or several."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from typing import Any

from harvesters.assembly import Assembly
from harvesters.errors import Exit, Interrupted
from harvesters.indexing.indexer import IndexCounts, Indexer
from harvesters.indexing.source import SqsSource
from harvesters.runs import run
from harvesters.sinks.deadletters import ErrorBudget
from harvesters.telemetry import Report, per_second
from harvesters.watched import RunRecord, Step, Watched


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
        _ = patient.outbound  # what it takes is looked at before anything is read
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
            watched=assembly.watched,
            outbound=patient.outbound,
        )
        sink.may_send = indexer.check
        with closing(sink), closing(source):
            assembly.watched.counts = lambda: asdict(indexer.counts)
            assembly.watched.begin()
            report = run(_Indexing(indexer), patient.clock, assembly.listeners)
    if not wanted.follow and assembly.stop.is_set():
        raise Interrupted("told to stop: finished what was in hand; the rest is still in the queue")
    return report


def index_in_processes(assembly: Assembly, wanted: IndexWanted, count: int) -> int:
    """As `index_queue`, in several processes, which are one run to those who watch; the exit code of the whole."""
    whole, totals = assembly.watched, _Totals()

    def work() -> None:
        with Watched(whole.job, stays=wanted.follow, listeners=[totals]) as assembly.watched:
            index_queue(assembly, wanted)

    whole.counts = totals.read
    whole.code = in_processes(count, work, assembly.stop, whole.begin)
    whole.hear(Report("index", "done" if not whole.code else "failed", Exit(whole.code), totals.read()))
    return whole.code


class _Totals:
    """What several processes have done together; each of them adds what it has done since it last said so."""

    def __init__(self) -> None:
        self._names = [field.name for field in fields(IndexCounts)]
        self._shared = multiprocessing.get_context("fork").Array("q", len(self._names))
        self._said = [0] * len(self._names)

    def read(self) -> dict[str, Any]:
        """By name."""
        return dict(zip(self._names, self._shared[:], strict=True))

    def began(self, run: Watched) -> None:
        """Nothing is done yet."""

    def goes_on(self, run: Watched, record: RunRecord) -> None:
        """Once a minute."""
        counts = [record.counts.get(name, 0) for name in self._names]
        with self._shared.get_lock():
            for at, count in enumerate(counts):
                self._shared[at] += count - self._said[at]
        self._said = counts

    def stepped(self, run: Watched, step: Step) -> None:
        """It counts at the next beat."""

    def ended(self, run: Watched, record: RunRecord, report: Report | None) -> None:
        """The rest."""
        self.goes_on(run, record)

    def held(self, run: Watched) -> None:
        """There is no lease."""


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


def in_processes(
    count: int, work: Callable[[], object], stop: threading.Event, begun: Callable[[], object] = lambda: None
) -> int:
    """Do the same `work` in several processes; the exit code of the whole. `begun` is called when they have started."""
    import boto3  # noqa: F401 - what every process needs is imported once, before they are forked
    import elastic_transport  # noqa: F401

    import harvesters.sinks.elastic  # noqa: F401
    from harvesters.indexing import workers

    return workers.run(count, work, stop, begun)
