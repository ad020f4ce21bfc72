"""The job of `listings log`: page views from their topic into the access log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harvesters.assembly import Assembly
from harvesters.errors import BadInput, Interrupted
from harvesters.kafka.reader import wait_for_topic
from harvesters.kafka.records import Batch, Gap
from harvesters.kafka.topics import Topic, Topics
from harvesters.kafka.whole import WholeTopic
from harvesters.listings import letters
from harvesters.listings.accesslog import AccessLog, Run
from harvesters.listings.logfiles import LogFiles
from harvesters.listings.message import parse_view
from harvesters.runs import run
from harvesters.sinks.deadletters import DeadLetter, DeadLetters, ErrorBudget
from harvesters.telemetry import Report, per_second

log = logging.getLogger(__name__)

KIND = "page-views"
_TOPIC = "VIEWS_TOPIC"
_AT_ONCE = 50_000  # views of one batch, which is a second's work and some 20 MB
_WAIT, _WAIT_FOLLOWING = 0.1, 0.5  # seconds for views to come together
_COMMIT_EVERY = 1.0  # seconds; the group is for those who look at it
_LAST_WORDS = 3.0  # seconds that the end may wait for the group
_REPORT_EVERY = 60.0  # seconds
_REST = "Everything else is in the access log, and the next run does not meet them again."


def log_views(assembly: Assembly, follow: bool = False) -> Report:
    """Bring the page views of ``VIEWS_TOPIC`` into ``ACCESS_LOG``.

    Args:
        follow: go on until told to stop, instead of ending with what the topic held at the beginning.

    Raises:
        HarvestError: as its subclasses say; `Interrupted` when told to stop before the end.
    """
    settings = assembly.settings
    # What is in hand is finished after SIGTERM too, so its retries go on: their clock does not know of it.
    patient = Assembly(settings, threading.Event(), assembly.job)
    with closing(patient):
        most = settings.optional_number("ACCESS_LOG_MAX_BYTES", minimum=1)
        budget = ErrorBudget(*settings.error_budget())
        access_log = AccessLog(LogFiles.of(settings), most)
        job = ViewLog(assembly, access_log, patient.dead_letters, budget, follow)
        return run(job, patient.clock, assembly.listeners, good_end=Interrupted if follow else None)


@dataclass
class ViewLog:
    """Reads all partitions of the topic and writes a line for each view."""

    assembly: Assembly
    access_log: AccessLog
    dead_letters: DeadLetters
    budget: ErrorBudget
    follow: bool
    command: str = "listings log"
    received: int = 0
    logged: int = 0
    dead: int = 0
    _expected: int = 0
    _gaps: list[Gap] = field(default_factory=list)
    _told: Mapping[int, int] = field(default_factory=dict)
    _reader: WholeTopic = field(init=False)

    def work(self) -> None:
        """Until the end of the topic as it was at the beginning, or told to stop.

        Raises:
            BadInput: messages had been removed before they were read; the others are in the log.
            HarvestError: as its subclasses say.
        """
        settings, retry, stop = self.assembly.settings, self.assembly.retry, self.assembly.stop
        name, group = settings.require(_TOPIC), settings.require("VIEWS_GROUP")
        with self.access_log:
            self.assembly.watched.counts = lambda: self.fields(0.0)
            self.assembly.watched.begin()
            if self.follow and not self._there(name):
                return
            self._reader = WholeTopic(
                settings, retry, name, _TOPIC, group, self._left, self._gap, must_exist=not self.follow
            )
            with closing(self._reader):
                self._read(stop)
        if self._gaps and not self.follow:
            raise BadInput(
                f"{len(self._gaps)} stretches of {name} were removed by Kafka before they were read, see above; they "
                f"are in {self.dead_letters.name}. {_REST}"
            )

    def _there(self, name: str) -> bool:
        """Wait for the topic; whether it came before we were told to stop."""
        with closing(Topics(self.assembly.settings, self.assembly.retry)) as topics:
            return wait_for_topic(topics, name, _TOPIC, self.assembly.stop.is_set)

    def fields(self, seconds: float) -> dict[str, Any]:
        return {
            "received": self.received,
            "logged": self.logged,
            "dead": self.dead,
            "messages_per_second": per_second(self.received, seconds),
        }

    def _read(self, stop: threading.Event) -> None:
        reader, clock = self._reader, self.assembly.clock
        reader.open()
        self._expected = sum(max(0, end - reader.positions.get(at, end)) for at, end in reader.targets.items())
        self.access_log.append(b"", (), reader.topic.id, reader.positions)
        moved = committed = reported = clock.monotonic()
        try:
            while not stop.is_set() and (self.follow or reader.behind()):
                with self.assembly.watched.step("fetch") as step:
                    batch = reader.poll(_WAIT_FOLLOWING if self.follow else _WAIT, _AT_ONCE)
                    step.rows, step.told = len(batch.records) if batch is not None else 0, batch is not None
                now = clock.monotonic()
                if batch is not None and reader.holds(batch):
                    self._keep(batch)
                    moved = now
                elif not self.follow and now - moved > reader.retry.budget:
                    raise reader.retry.gave_up(f"{reader.name} has not sent what its topic holds", 1, now - moved)
                if now - committed >= _COMMIT_EVERY:
                    self._commit()
                    committed = now
                if self.follow and now - reported >= _REPORT_EVERY:
                    log.info("logged %d views so far, %d dead", self.logged, self.dead)
                    reported = now
        finally:
            self._commit()
            reader.settle(_LAST_WORDS)
        if stop.is_set() and not self.follow:
            raise Interrupted("told to stop: what was read is in the access log; run the same command again to go on")

    def _keep(self, batch: Batch) -> None:
        """Write the views of a batch; what is none goes to the dead letters first."""
        lines, runs, dead = lines_of(batch, self.assembly.clock.now())
        if dead:
            self.dead_letters.write(dead)
            self.budget.spend(dead)
            self.dead += len(dead)
            log.warning("%d messages went to the dead letters in %s", len(dead), self.dead_letters.name)
        with self.assembly.watched.step("deliver") as step:  # which commits as well: the offsets are beside the log
            step.rows = len(batch.records) - len(dead)
            self.access_log.append(lines, runs, batch.topic.id, self._reader.positions)
        self.received += len(batch.records)
        self.logged += len(batch.records) - len(dead)
        if dead:
            self.budget.check(max(self.received, self._expected), self.dead_letters.name, _REST)

    def _left(self, topic: Topic) -> Mapping[int, int]:
        """Where the log is; where there is none yet, its group."""
        known = self.access_log.offsets.topics.get(topic.id)
        if known is not None:
            return {partition: known.get(partition, 0) for partition in range(topic.partitions)}
        if not self.access_log.fresh:
            return {}
        ends = self._reader.targets  # what is beyond them was read of a topic that is gone
        return {partition: at for partition, at in self._reader.committed().items() if at <= ends.get(partition, 0)}

    def _gap(self, gap: Gap) -> None:
        self.dead_letters.write([letters.of_gap(KIND, gap)])
        self._gaps.append(gap)

    def _commit(self) -> None:
        """Tell the group how far the log is; nothing depends on it."""
        offsets = self.access_log.offsets.topics.get(self._reader.topic.id, {})
        if offsets != self._told:
            with self.assembly.watched.step("commit"):
                self._reader.commit(offsets)
            self._told = offsets


def lines_of(batch: Batch, now: datetime) -> tuple[bytes, list[Run], list[DeadLetter]]:
    """The lines of a batch, when their views were, and dead letters of what are no views.

    Args:
        now: when messages were that do not say it.
    """
    this_minute = int(now.timestamp()) // 60
    lines: list[str] = []
    runs: list[Run] = []
    dead: list[DeadLetter] = []
    minute, count = 0, 0
    for record in batch.records:
        try:
            if record.value is None:
                raise BadInput("it has no value")
            view = parse_view(record.value)
        except BadInput as error:
            dead.append(letters.of_record(KIND, batch.topic, record, str(error)))
            continue
        lines.append(f"{view.user_id}\t{view.item_id}\n")
        at = record.timestamp // 60_000 if record.timestamp >= 0 else this_minute
        if at == minute:
            count += 1
            continue
        if count:
            runs.append((minute, count))
        minute, count = at, 1
    if count:
        runs.append((minute, count))
    return "".join(lines).encode(), runs, dead
