"""The one loop of every harvest: fetch, map, deliver, commit.

    pages ──► documents ──► sink ──► dead letters ──► delivered log ──► checkpoint
    └──── one batch ahead ────┘

A batch is fetched and mapped in a thread of its own while the one before is delivered; never more than two are in
memory. The checkpoint moves only after everything before it is acknowledged. What a place in the source is, the loop
does not know: cursors are opaque (`harvesters/cursor.py`).
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

import orjson

from harvesters.canonical import canonical
from harvesters.clock import Clock
from harvesters.cursor import Cursor
from harvesters.document import Document
from harvesters.errors import HarvestError, Interrupted, RaceLost
from harvesters.sinks.base import Sink
from harvesters.sinks.deadletters import DeadLetter, DeadLetters, ErrorBudget
from harvesters.stores.checkpoint import Beginning, Checkpoint, Owner
from harvesters.stores.delivered import DeliveredLog, Mark
from harvesters.stores.lease import Lease
from harvesters.telemetry import per_second

T = TypeVar("T")

log = logging.getLogger(__name__)

_DEAD = 50_000  # marks of dead rows that wait for the end of a run, which may never come; older ones are forgotten


@dataclass(frozen=True)
class Page:
    """Rows of a source, each at most once in a run.

    Attributes:
        rows: as the source gave them, filtered to what was asked for.
        cursor: everything up to it is on this page or an earlier one; None when that cannot be told.
        expected: how many rows the whole run will have, as far as the source says.
        requests: how many it took.
        fraction: how much of the whole run is read with it, from 0 to 1; None when that cannot be told.
    """

    rows: Sequence[Any]
    cursor: Cursor | None = None
    expected: int = 0
    requests: int = 1
    fraction: float | None = None


P = TypeVar("P", bound=Page)


def ending_at(pages: Iterable[P], empty: P, **fields: Any) -> Iterator[P]:
    """`pages`, the last of which (`empty`, where there is none) gets these `fields`: a part of the scope is done."""
    last: P | None = None
    try:
        for page in pages:
            if last is not None:
                yield last
            last = page
    except HarvestError:
        if last is not None:  # what was read before a failure is delivered
            yield last
        raise
    yield replace(last if last is not None else empty, **fields)


class Harvest(Protocol):
    """What a harvester adds to the loop: where rows come from, and what becomes of each."""

    @property
    def kind(self) -> str:
        """What its documents are."""

    @property
    def source(self) -> str:
        """Where its rows come from, such as a base URL; part of what makes a row the same row."""

    def time(self) -> datetime | None:
        """The source's clock, asked once before a run is planned; None where it does not tell."""

    def pages(self, scope: Any) -> Iterator[Page]:
        """The rows of `scope`, page by page. What a scope is, harvest and plan agree on: a window, a key, nothing.

        Returns only when everything was read to its end; whatever else ends it raises.
        """

    def acknowledged(self, page: Page) -> None:
        """`page` is delivered, or in the dead letters, and the checkpoint has moved as far as it may."""

    def row_id(self, row: Any) -> str:
        """The id of a row's document; "" when the row does not say."""

    def documents(self, rows: Sequence[Any]) -> list[Document | str]:
        """One document for each row, or the reason why there can be none."""

    def report(self) -> dict[str, Any]:
        """What the run report should say beyond the counts."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass
class Counts:
    """What a run moved."""

    pages: int = 0
    rows: int = 0
    documents: int = 0
    delivered: int = 0
    duplicates: int = 0
    dead: int = 0
    fraction: float = 0.0  # of the window, as far as that can be told

    def report(self, seconds: float) -> dict[str, Any]:
        """For the run report of a run that took so long."""
        counts = asdict(self)
        del counts["fraction"]
        return {**counts, "rows_per_second": per_second(self.rows, seconds)}


@dataclass
class Progress:
    """How a run moves the checkpoint: forward only, and only if it may.

    Args:
        checkpoint: None for a run that leaves it alone.
        lease: checked before each delivery and each commit.
        cursor: the checkpoint as it was read; None when there is none yet.
        etag: its tag.
        beginning: emptied with the first checkpoint.
        owner, address: whose the checkpoint becomes with the first commit, where that is not known already.
        clock, pause: seconds from one commit to the next at least, for a run that never ends; `flush` does not wait.
    """

    checkpoint: Checkpoint | None = None
    lease: Lease | None = None
    cursor: Cursor | None = None
    etag: str | None = None
    beginning: Beginning | None = None
    owner: Owner | None = None
    address: str = ""
    clock: Clock | None = None
    pause: float = 0.0
    _waiting: Cursor | None = None
    _committed: float | None = None

    def advance(self, cursor: Cursor) -> None:
        """Commit `cursor`, if that is further than what is stored, now or when the pause is over.

        Raises:
            RaceLost: the lease or the checkpoint is somebody else's now.
        """
        if self._waiting is None or cursor.passes(self._waiting):
            self._waiting = cursor
        if self.clock is None or self._committed is None or self.clock.monotonic() - self._committed >= self.pause:
            self.flush()

    def flush(self) -> None:
        """Commit what waits."""
        cursor, self._waiting = self._waiting, None
        if self.checkpoint is None or cursor is None or (self.cursor is not None and not cursor.passes(self.cursor)):
            return
        self.check()
        self.claim()
        try:
            self.etag = self.checkpoint.commit(cursor, self.etag)
        except RaceLost as error:
            raise (self.lease.explain_race(error) if self.lease is not None else error) from error
        self.cursor = cursor
        if self.beginning is not None and self.beginning.load() is not None:
            self.beginning.store(None)
        self.beginning = None
        self._committed = self.clock.monotonic() if self.clock is not None else None
        log.debug("checkpoint %s is now %s", self.checkpoint.name, cursor.encode())

    def claim(self) -> None:
        """Write down whose the checkpoint is from now on: before it moves, for what a crash leaves between must not
        look as if the output that owned it before had got what this one did."""
        if self.owner is not None:
            self.owner.store(self.address)
            self.owner = None

    def check(self) -> None:
        """Raise `RaceLost` unless the lease, where there is one, is still ours."""
        if self.lease is not None:
            self.lease.check()


@dataclass
class _Batch:
    documents: list[Document] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    raw: dict[Document, bytes] = field(default_factory=dict)
    duplicates: int = 0
    page: Page = Page(())


@dataclass
class Pipeline:
    """One run of one harvest into one sink.

    Args:
        delivered: what the sink already got; None for a range that is to be sent whole.
        accepted: the rows that went to the dead letters in a run that ended well. They are tried again, for what was
            refused once may be taken now; if not, they are no news and spend nothing of the budget.
        progress: moves the checkpoint.
        stop: set to finish the batch in hand, commit, and raise `Interrupted`.
    """

    harvest: Harvest
    sink: Sink
    dead_letters: DeadLetters
    budget: ErrorBudget
    progress: Progress
    delivered: DeliveredLog | None
    stop: threading.Event
    counts: Counts = field(default_factory=Counts)
    accepted: DeliveredLog | None = None
    _dead_marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=_DEAD))
    _under_way: dict[str, Mark] = field(default_factory=dict)
    _reached: Cursor | None = None

    def run(self, scope: Any, end: Cursor | None = None, watch: Callable[[Counts], None] = lambda counts: None) -> None:
        """Harvest `scope` and commit its `end`; `watch` is called with the counts after each batch.

        Without an end the last cursor of the pages is committed. No cursor passes the end.

        Raises:
            HarvestError: as its subclasses say; whatever was committed stays so, and the rest is read again next time.
        """
        try:
            for batch in prefetch(self._batches(scope), self.stop):
                self._deliver(batch)
                self.budget.check(max(self.counts.rows, batch.page.expected), self.dead_letters.name)
                self._advance(batch.page.cursor, end)
                self.harvest.acknowledged(batch.page)
                self._measure(batch.page)
                watch(self.counts)
                if self.stop.is_set():
                    raise Interrupted("told to stop: finished the batch in hand; run the same command again to go on")
            self._finish(end)
        finally:
            self.progress.flush()

    def _advance(self, cursor: Cursor | None, end: Cursor | None) -> None:
        if cursor is None:
            return
        self._reached = end if end is not None and cursor.passes(end) else cursor
        if self.sink.durable:
            self.progress.advance(self._reached)

    def _finish(self, end: Cursor | None) -> None:
        self.budget.check(self.counts.rows, self.dead_letters.name)
        self.sink.finish()
        last = end if end is not None else self._reached
        if self.sink.durable:
            self._remember()
        if last is not None:
            self.progress.advance(last)
            self.progress.flush()
        if not self.sink.durable:
            self._remember()  # marks that outlived a commit that failed would hide rows from the next reader

    def _remember(self) -> None:
        if self.delivered is not None:
            self.delivered.add_pending()
        if self.accepted is not None:
            self.accepted.add(list(self._dead_marks))

    def _batches(self, scope: Any) -> Iterator[_Batch]:
        for page in self.harvest.pages(scope):
            yield self._prepare(page)

    def _prepare(self, page: Page) -> _Batch:
        """Drop what the sink already has, and map the rest."""
        batch = _Batch(page=page)
        rows: list[tuple[Any, Mark, bytes]] = []
        for row in page.rows:
            raw = canonical(row)
            rows.append((row, Mark.of(self.harvest.row_id(row), raw), raw))
        known: dict[str, bytes] = {}
        if self.delivered is not None and rows:
            # The batch before is being delivered, and the log does not know its rows yet: one that is edited and edited
            # back must not pass for the version that came before both. Looked at first, as it may just get there.
            under_way = self._under_way.copy()
            known = self.delivered.known(mark.id for _, mark, _ in rows)
            known |= {id: under_way[id].digest for _, (id, _), _ in rows if id in under_way}
            fresh = [item for item in rows if known.get(item[1].id) != item[1].digest]
            batch.duplicates = len(rows) - len(fresh)
            rows = fresh
        made = self.harvest.documents([row for row, _, _ in rows])
        for (row, mark, raw), document in zip(rows, made, strict=True):
            if isinstance(document, str):
                batch.letters.append(DeadLetter(self.harvest.kind, self.harvest.row_id(row), document, row))
                continue
            if mark.id in known or (document.mutable and self._forgetful):
                document.revision = mark.digest.hex()
            batch.documents.append(document)
            batch.marks[document.id] = mark
            batch.raw[document] = raw
            self._under_way[mark.id] = mark
        return batch

    @property
    def _forgetful(self) -> bool:
        """True when an earlier version may have been delivered without our knowing."""
        return self.delivered is None or self.delivered.cache.volatile

    def _deliver(self, batch: _Batch) -> None:
        self.progress.check()  # a process that was frozen must not write old over new
        outcomes = self.sink.send(batch.documents) if batch.documents else []
        letters = list(batch.letters)
        marks = []
        for outcome in outcomes:
            document = outcome.document
            mark = batch.marks[document.id]
            if outcome.delivered:
                marks.append(mark)
                continue
            letters.append(DeadLetter(document.kind, document.id, outcome.reason, _parsed(batch.raw[document])))
        dead = len(letters)
        letters = self._news(letters)
        batch.duplicates += dead - len(letters)
        if letters:
            self.dead_letters.write(letters)
            self.budget.spend(letters)
            log.warning("%d rows went to the dead letters in %s", len(letters), self.dead_letters.name)
        if self.delivered is not None:
            (self.delivered.add if self.sink.durable else self.delivered.add_later)(marks)
        for mark in batch.marks.values():
            if self._under_way.get(mark.id) is mark:
                del self._under_way[mark.id]
        self._count(batch, len(marks), len(letters))

    def _news(self, letters: list[DeadLetter]) -> list[DeadLetter]:
        """Those that no run that ended well has had."""
        marks = [Mark.of(letter.id, canonical([letter.reason, letter.row])) for letter in letters]
        known = self.accepted.known(mark.id for mark in marks) if self.accepted is not None and marks else {}
        self._dead_marks += marks
        return [letter for letter, mark in zip(letters, marks, strict=True) if known.get(mark.id) != mark.digest]

    def _measure(self, page: Page) -> None:
        by_rows = self.counts.rows / page.expected if page.expected else 0.0
        self.counts.fraction = min(1.0, max(self.counts.fraction, page.fraction or 0.0, by_rows))

    def _count(self, batch: _Batch, delivered: int, dead: int) -> None:
        self.counts.pages += batch.page.requests
        self.counts.rows += len(batch.page.rows)
        self.counts.documents += len(batch.documents)
        self.counts.duplicates += batch.duplicates
        self.counts.delivered += delivered
        self.counts.dead += dead


def prefetch(items: Iterable[T], stop: threading.Event) -> Iterator[T]:
    """Iterate `items` in a thread, one ahead; ends with `Interrupted` when `stop` is set while waiting for the next."""
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue()
    wanted = threading.Semaphore(1)  # the next item is begun when the one before is taken
    closed = threading.Event()

    def produce() -> None:
        try:
            iterator = iter(items)
            while True:
                wanted.acquire()
                if closed.is_set():
                    return
                ready.put((True, next(iterator)))
        except StopIteration:
            ready.put((False, None))
        except BaseException as error:
            ready.put((False, error))

    threading.Thread(target=produce, name="fetch", daemon=True).start()
    try:
        while True:
            good, item = _next(ready, stop)
            if not good:
                if item is not None:
                    raise item
                return
            wanted.release()
            yield item
    finally:
        closed.set()
        wanted.release()


def _next(ready: queue.Queue[tuple[bool, Any]], stop: threading.Event) -> tuple[bool, Any]:
    while True:
        try:
            return ready.get(timeout=0.2)
        except queue.Empty:
            if stop.is_set():
                raise Interrupted("told to stop while fetching; run the same command again to go on") from None


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")
