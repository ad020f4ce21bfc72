"""From the topic of listings into their index: read, changed by `Versions`, and committed batch by batch.

Batches are worked on in two lanes, while the next one is read. A key is always in the same lane, so that the versions
of a listing come to the index in their order.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Protocol

from harvesters.errors import BadInput, TooManyDead
from harvesters.kafka.consumer import GroupConsumer
from harvesters.kafka.records import Batch, Gap, Record
from harvesters.kafka.topics import Topic
from harvesters.listings import letters
from harvesters.listings.change import Change, Fate, Fates, change_of
from harvesters.sinks.deadletters import DeadLetter, DeadLetters, ErrorBudget
from harvesters.watched import Watched

BATCH = 2000  # messages at most
_LANES = 2
_AHEAD = 2  # batches that are worked on at once
_WAIT = 0.2  # seconds to wait for messages, or for a batch
_BUSY = 0.02  # seconds to wait for messages while a batch, or the answer to a commit, may be there any moment
_PATIENCE = 2.0  # seconds that a batch may take before the partitions are kept by polling
_THEN = "The rest is indexed, and the next run goes on behind them."


@dataclass
class Counts:
    """What became of the messages of a run."""

    received: int = 0
    indexed: int = 0
    superseded: int = 0
    deleted: int = 0
    dead: int = 0


class Store(Protocol):
    """What makes the changes; `Versions` is it."""

    def apply(self, changes: Sequence[Change]) -> Fates:
        """Make them, in order; what became of each."""


@dataclass
class _Done:
    """What a part of a batch came to."""

    counts: Counts = field(default_factory=Counts)
    dead: list[DeadLetter] = field(default_factory=list)


@dataclass
class _Working:
    batch: Batch
    parts: list[Future[_Done]]


class Indexer:
    """The loop, and the handler of its consumer.

    Args:
        follow: go on until told to stop, instead of ending when the group has all that the topic held at the start.
        stop: set to end after what is in hand.
        watched: the run that this is, which is told what is fetched, delivered and committed.
    """

    def __init__(
        self,
        versions: Store,
        dead_letters: DeadLetters,
        budget: ErrorBudget,
        stop: threading.Event,
        follow: bool,
        watched: Watched | None = None,
    ) -> None:
        self.versions = versions
        self.dead_letters = dead_letters
        self.budget = budget
        self.stop = stop
        self.follow = follow
        self.watched = watched if watched is not None else Watched("")
        self.counts = Counts()
        self.gaps = 0
        self._working: deque[_Working] = deque()
        self._committed = True
        self._lanes = [ThreadPoolExecutor(1, f"lane-{number}") for number in range(_LANES)]
        self._consumer: GroupConsumer | None = None
        self._failure: TooManyDead | None = None

    def run(self, open_consumer: Callable[[Indexer], GroupConsumer]) -> None:
        """Read until there is no more to do.

        Raises:
            HarvestError: as its subclasses say. What was in hand then is read again by the next run.
        """
        try:
            with closing(open_consumer(self)) as consumer:
                self._consumer = consumer
                consumer.open()
                while not self._ends() and (self.follow or self._working or consumer.behind()):
                    self._step(consumer)
                self.finish()
                while not consumer.commit():
                    consumer.poll(_BUSY)
        finally:
            for lane in self._lanes:
                lane.shutdown(wait=False, cancel_futures=True)
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Work off what was read, as before partitions go to another process."""
        while self._working:
            wait(self._working[0].parts)
            self._settle()

    def gap(self, gap: Gap) -> None:
        """Messages were removed before they were read."""
        self.gaps += 1
        self.dead_letters.write([letters.of_gap(letters.LISTINGS, gap)])

    def _step(self, consumer: GroupConsumer) -> None:
        with self.watched.step("fetch") as step:
            batch = consumer.poll(_WAIT if self._committed and not self._working else _BUSY, BATCH)
            step.rows, step.told = len(batch.records) if batch is not None else 0, batch is not None
        if batch is not None:
            self._begin(batch)
        self._settle_what_is_ready()
        waited = 0.0
        while len(self._working) >= _AHEAD and not self._ends():
            wait(self._working[0].parts, _WAIT)
            self._settle_what_is_ready()
            waited += _WAIT
            if len(self._working) >= _AHEAD and waited >= _PATIENCE:
                consumer.pause()
                if batch := consumer.poll(0.0):  # what was on its way
                    self._begin(batch)
        consumer.resume()
        self._committed = consumer.commit()

    def _ends(self) -> bool:
        return self.stop.is_set() or self._failure is not None

    def _begin(self, batch: Batch) -> None:
        """Have the lanes work on it."""
        shares: list[list[Record]] = [[] for _ in self._lanes]
        for record in batch.records:
            shares[(record.partition if record.key is None else hash(record.key)) % _LANES].append(record)
        parts = [
            lane.submit(self._work, batch.topic, share)
            for lane, share in zip(self._lanes, shares, strict=True)
            if share
        ]
        self._working.append(_Working(batch, parts))

    def _work(self, topic: Topic, records: list[Record]) -> _Done:
        """In a lane: from messages to what became of them."""
        done = _Done(Counts(received=len(records)))
        changes: dict[Change, Record] = {}
        for record in records:
            try:
                changes[change_of(topic, record)] = record
            except BadInput as error:
                done.dead.append(letters.of_record(letters.LISTINGS, topic, record, str(error)))
        with self.watched.step("deliver") as step:
            step.rows = len(changes)
            fates = self.versions.apply(list(changes))
        count = Counter(fates.values())
        done.counts.indexed, done.counts.deleted = count[Fate.INDEXED], count[Fate.DELETED]
        done.counts.superseded = count[Fate.SUPERSEDED]
        if len(count.keys() - {*Fate}):
            refused = [(change, fate) for change, fate in fates.items() if isinstance(fate, str)]
            done.dead += [
                letters.of_record(letters.LISTINGS, topic, changes[change], reason) for change, reason in refused
            ]
        done.counts.dead = len(done.dead)
        return done

    def _settle_what_is_ready(self) -> None:
        while self._working and all(part.done() for part in self._working[0].parts):
            self._settle()

    def _settle(self) -> None:
        """The oldest batch is worked off: its dead letters are written, and then it may be committed."""
        working = self._working.popleft()
        done = [part.result() for part in working.parts]
        dead = [letter for part in done for letter in part.dead]
        if dead:
            self.dead_letters.write(dead)
            self.budget.spend(dead)
        for part in done:
            for name, count in asdict(part.counts).items():
                setattr(self.counts, name, getattr(self.counts, name) + count)
        assert self._consumer is not None
        with self.watched.step("commit"):  # the consumer sends what is done, many batches at once
            self._consumer.done(working.batch)
        try:
            self.budget.check(self.counts.received, self.dead_letters.name, _THEN)
        except TooManyDead as error:
            self._failure = error  # what is in hand is finished and committed first
