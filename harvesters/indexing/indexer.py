"""The loop from a queue into a sink, in threads that hand messages on:

    receivers ──> waiting ──> one that maps and indexes ──> deleters
        └── each message is Held, and kept invisible by the keeper, until it is deleted ──┘

A message is deleted when the sink has acknowledged its document, or when it is in the dead letters; whatever ends the
run earlier, the queue shows it again. Nothing is received while too much is in hand. Nothing is written for a message
that is not ours any more, as after this process was frozen: it is left to whoever gets it next.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import tzinfo

from harvesters.aws.sqs import tens
from harvesters.clock import Clock
from harvesters.document import Document
from harvesters.errors import Interrupted
from harvesters.indexing.held import Held, HoldLost
from harvesters.indexing.messages import KIND, NoDocument, parsed, to_document
from harvesters.indexing.source import Message, SqsSource
from harvesters.outbound import Outbound
from harvesters.sinks.base import Sink
from harvesters.sinks.deadletters import DeadLetter, DeadLetters, ErrorBudget
from harvesters.watched import Watched

log = logging.getLogger(__name__)

BATCH = 1000
_MOST_BYTES = 64 * 1024 * 1024
_LINGER = 0.25  # seconds that a small batch waits for more
_POLL_DRAIN, _POLL_FOLLOW = 1, 5  # seconds of long polling: what the end of a run may have to wait for
_REPORT_EVERY = 60.0
_REST = "The rest is still in the queue; raise the budget, or mend what sends such messages, and run again."


@dataclass
class IndexCounts:
    """What a run did; `again` counts messages that were no more ours to write or to delete, and so come once more."""

    received: int = 0
    indexed: int = 0
    dead: int = 0
    deleted: int = 0
    again: int = 0


@dataclass
class Indexer:
    """One run over one queue.

    Args:
        zone: of timestamps without an offset.
        follow: go on until `stop` is set; otherwise until nothing is visible and nothing is in hand.
        receivers: threads that receive, and as many that delete.
        stop: set to receive no more, finish what is in hand, and return.
        watched: the run that this is, which is told what is fetched, delivered and committed.
        outbound: what documents and letters pass on their way out.
    """

    source: SqsSource
    sink: Sink
    dead_letters: DeadLetters
    budget: ErrorBudget
    zone: tzinfo
    clock: Clock
    stop: threading.Event
    follow: bool = False
    receivers: int = 4
    counts: IndexCounts = field(default_factory=IndexCounts)
    watched: Watched = field(default_factory=lambda: Watched(""))
    outbound: Outbound = field(default_factory=Outbound)
    _held: Held = field(init=False)
    _sending: dict[Document, Message] = field(default_factory=dict)
    # No SimpleQueue: before Python 3.13 its `get` forgets its timeout when a signal comes shortly before the end of it.
    _waiting: queue.Queue[list[Message]] = field(default_factory=queue.Queue)
    _done: threading.Event = field(default_factory=threading.Event)
    _failures: list[BaseException] = field(default_factory=list)
    _expected: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._held = Held(self.clock, self.source.visibility, 3 * BATCH + 10 * self.receivers, _MOST_BYTES)

    def check(self, documents: Sequence[Document]) -> None:
        """For the sink, to be called before each of its requests.

        Raises:
            HoldLost: one of the messages is not ours any more.
        """
        sending = self._sending  # a request of an earlier batch may still wait for its next try
        known = [sending[document] for document in documents if document in sending]
        if len(known) < len(documents) or self._held.lost(known):
            raise HoldLost

    def run(self) -> None:
        """Index until drained, or told to stop.

        Raises:
            HarvestError: as its subclasses say; messages in hand come back when their visibility timeout ends.
        """
        try:
            self.source.open()
            self._expected = self.source.visible()
        except Interrupted:
            return
        receiving = [self._thread(self._receive, f"receive-{number}") for number in range(self.receivers)]
        keeper = self._thread(self._keep, "keep")
        deleters = ThreadPoolExecutor(self.receivers, "delete")
        try:
            self._work(receiving, deleters)
        finally:
            self._done.set()
            deleters.shutdown(wait=not self._failures, cancel_futures=bool(self._failures))
            keeper.join(1)
        self._raise_failure()

    def _work(self, receiving: Sequence[threading.Thread], deleters: ThreadPoolExecutor) -> None:
        """Index batches until the receivers have ended and left nothing."""
        reported = self.clock.monotonic()
        while not self._failures:
            batch = self._next_batch()
            if batch:
                self._index(batch, deleters)
            elif not any(thread.is_alive() for thread in receiving) and self._waiting.empty():
                return
            if self.follow and self.clock.monotonic() - reported >= _REPORT_EVERY:
                reported = self.clock.monotonic()
                log.info("indexed %d messages so far, %d dead", self.counts.indexed, self.counts.dead)

    def _next_batch(self) -> list[Message]:
        batch: list[Message] = []
        size, until = 0, self.clock.monotonic() + _LINGER
        while len(batch) < BATCH and size < _MOST_BYTES // 8:
            try:
                messages = self._waiting.get(timeout=max(0.0, until - self.clock.monotonic()))
            except queue.Empty:
                break
            batch += messages
            size += sum(len(message.body) for message in messages)
        return batch

    def _index(self, batch: Sequence[Message], deleters: ThreadPoolExecutor) -> None:
        messages: dict[Document, Message] = {}
        letters: list[DeadLetter] = []
        finished: list[Message] = []
        lost = {*self._held.lost(batch)}
        self._leave(lost)
        ours = [message for message in batch if message not in lost]
        made = self.outbound.documents([self._mapped(message) for message in ours], again=True)
        for message, document in zip(ours, made, strict=True):
            if isinstance(document, str):
                letters.append(self._letter(message, message.id, document))
                finished.append(message)
            else:
                messages[document] = message
        self._sending = messages
        try:
            with self.watched.step("deliver") as step:
                step.rows = len(messages)
                outcomes = self.sink.send(list(messages))
        except HoldLost:
            self._leave(batch)  # all of it: an older version must not be written where the newer one is not ours
            return
        for outcome in outcomes:
            message = messages[outcome.document]
            finished.append(message)
            if outcome.delivered:
                self.counts.indexed += 1
            else:
                letters.append(self._letter(message, outcome.document.id, outcome.reason, outcome.document))
        if letters:
            self.dead_letters.write(letters)
            self.budget.spend(letters)
            self.counts.dead += len(letters)
            log.warning("%d messages went to the dead letters in %s", len(letters), self.dead_letters.name)
        futures = [deleters.submit(self._delete, finished[at : at + 10]) for at in range(0, len(finished), 10)]
        if letters:
            wait(futures)  # what is in the dead letters is not to come back
            self.budget.check(max(self.counts.received, self._expected), self.dead_letters.name, _REST)

    def _mapped(self, message: Message) -> Document | str:
        try:
            return to_document(message.body, self.zone)
        except NoDocument as error:
            return str(error)

    def _letter(self, message: Message, id: str, reason: str, document: Document | None = None) -> DeadLetter:
        return self.outbound.letter(DeadLetter(KIND, id, reason, parsed(message.body)), document, again=True)

    def _leave(self, messages: Collection[Message]) -> None:
        """Leave these to whoever has them now, or gets them next."""
        if messages:
            log.warning("%d messages were in hand for too long, and are left to whoever has them now", len(messages))
            self._held.drop(messages)
            with self._lock:
                self.counts.again += len(messages)

    def _delete(self, messages: Sequence[Message]) -> None:
        try:
            with self.watched.step("commit") as step:
                step.rows = len(messages)
                lost = self.source.delete(messages)
        except BaseException as error:
            self._failures.append(error)
            raise
        self._held.drop(messages)
        with self._lock:
            self.counts.again += lost
            self.counts.deleted += len(messages) - lost

    def _receive(self) -> None:
        wait = min(_POLL_FOLLOW if self.follow else _POLL_DRAIN, self.source.visibility // 2)
        while not self.stop.is_set() and not self._done.is_set():
            if not self._held.has_room(0.2):
                continue
            since = self._held.moment()
            with self.watched.step("fetch") as step:
                messages = self.source.receive(wait)
                step.rows, step.told = len(messages), bool(messages)
            self._held.add(messages, since)
            with self._lock:
                self.counts.received += len(messages)
            if messages:
                self._waiting.put(messages)
            elif not self.follow and self._drained():
                return

    def _drained(self) -> bool:
        return not len(self._held) and self.source.drained()

    def _keep(self) -> None:
        """Extend what has been in hand for a while."""
        while not self._done.wait(min(self.source.visibility / 6, 5.0)):
            for group in tens(self._held.due()):
                since = self._held.moment()
                failed = self.source.extend(group)
                self._held.renewed([message for message in group if message not in failed], since)

    def _thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except Interrupted:
                return  # receiving: nothing more is wanted
            except BaseException as error:
                self._failures.append(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _raise_failure(self) -> None:
        if self._failures:
            raise self._failures[0]
