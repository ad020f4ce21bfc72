"""The one loop of every harvest: fetch, map, deliver, commit.

    pages ──► documents ──► sink ──► dead letters ──► delivered log ──► checkpoint
    └──── one batch ahead ────┘

A batch is fetched and mapped in a thread of its own while the one before is delivered; never more than two are in
memory. The checkpoint moves only after everything before it is acknowledged. What a place in the source is, the loop
does not know: cursors are opaque (`harvesters/cursor.py`).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import orjson

from harvesters.canonical import canonical
from harvesters.cursor import Cursor
from harvesters.document import Document, Outcome
from harvesters.errors import Interrupted
from harvesters.harvest import Harvest, Page
from harvesters.outbound import Outbound
from harvesters.prefetch import prefetch
from harvesters.progress import Progress
from harvesters.sinks.base import IndexMisfit, Sink
from harvesters.sinks.deadletters import DeadLetter, DeadLetters, ErrorBudget
from harvesters.stores.delivered import DeliveredLog, Mark
from harvesters.telemetry import per_second
from harvesters.watched import Watched

T = TypeVar("T")

log = logging.getLogger(__name__)

_DEAD = 50_000  # marks of dead rows that wait for the end of a run, which may never come; older ones are forgotten


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
class _Batch:
    page: Page
    documents: list[Document] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    raw: dict[Document, bytes] = field(default_factory=dict)
    duplicates: int = 0


@dataclass
class Pipeline:
    """One run of one harvest into one sink.

    Args:
        delivered: what the sink already got; None for a range that is to be sent whole.
        accepted: the rows that went to the dead letters in a run that ended well. They are tried again, for what was
            refused once may be taken now; if not, they are no news and spend nothing of the budget.
        progress: moves the checkpoint.
        stop: set to finish the batch in hand, commit, and raise `Interrupted`.
        watched: the run that this is, which is told what is fetched, delivered and committed.
        outbound: what documents and letters pass on their way out.
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
    watched: Watched = field(default_factory=lambda: Watched(""))
    outbound: Outbound = field(default_factory=Outbound)
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
                with self.watched.step("deliver") as step:
                    step.rows = len(batch.page.rows)
                    self._deliver(batch)
                self.budget.check(max(self.counts.rows, batch.page.expected), self.dead_letters.name)
                with self.watched.step("commit"):
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
        with self.watched.step("deliver"):
            self.sink.finish()
        last = end if end is not None else self._reached
        if self.sink.durable:
            self._remember()
        if last is not None:
            with self.watched.step("commit"):
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
        pages = iter(self.harvest.pages(scope))
        while (batch := self._fetch(pages)) is not None:
            yield batch

    def _fetch(self, pages: Iterator[Page]) -> _Batch | None:
        with self.watched.step("fetch") as step:
            page = next(pages, None)
            if page is None:
                return None
            step.rows = len(page.rows)
            return self._prepare(page)

    def _prepare(self, page: Page) -> _Batch:
        """Drop what the sink already has, and map the rest."""
        batch = _Batch(page=page)
        rows: list[tuple[Any, Mark, bytes]] = []
        for row in page.rows:
            raw = canonical(row)
            rows.append((row, Mark(self.harvest.row_id(row), self.outbound.digest(raw)), raw))
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
        made = self.outbound.documents(self.harvest.documents([row for row, _, _ in rows]))
        for (row, mark, raw), document in zip(rows, made, strict=True):
            if isinstance(document, str):
                letter = DeadLetter(self.harvest.kind, self.harvest.row_id(row), document, row)
                batch.letters.append(self.outbound.letter(letter))
                continue
            if mark.id in known:
                document.mutable = True
            batch.documents.append(document)
            batch.marks[document.id] = mark
            batch.raw[document] = raw
            self._under_way[mark.id] = mark
        return batch

    def _deliver(self, batch: _Batch) -> None:
        self.progress.check()  # a process that was frozen must not write old over new
        outcomes = self._send(batch) if batch.documents else []
        letters = [*batch.letters, *self._refused(batch, outcomes)]
        marks = [batch.marks[outcome.document.id] for outcome in outcomes if outcome.delivered]
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

    def _send(self, batch: _Batch) -> list[Outcome]:
        """What became of the documents; rows that were refused just so in a run that ended well say nothing new of
        the index, also where they are all that is left to send."""
        try:
            return self.sink.send(batch.documents)
        except IndexMisfit as misfit:
            if self._news(self._refused(batch, misfit.outcomes)):
                raise
            return misfit.outcomes

    def _refused(self, batch: _Batch, outcomes: Iterable[Outcome]) -> list[DeadLetter]:
        return [
            self.outbound.letter(
                DeadLetter(one.document.kind, one.document.id, one.reason, _parsed(batch.raw[one.document])),
                one.document,
            )
            for one in outcomes
            if not one.delivered
        ]

    def _news(self, letters: list[DeadLetter]) -> list[DeadLetter]:
        """Those that no run that ended well has had."""
        said = [canonical([letter.reason, letter.row]) for letter in letters]
        marks = [Mark(letter.id, self.outbound.digest(each)) for letter, each in zip(letters, said, strict=True)]
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


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")
