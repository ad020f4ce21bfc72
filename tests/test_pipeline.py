"""The loop: what happens in which order, and what is committed when something fails."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harvesters.cursor import TimeCursor, Times
from harvesters.document import Document, Outcome
from harvesters.errors import Interrupted, RaceLost, ReaderGone, SinkUnavailable, TooManyDead, Unavailable
from harvesters.harvest import Page
from harvesters.pipeline import Counts, Pipeline
from harvesters.prefetch import prefetch
from harvesters.progress import Progress
from harvesters.sinks.deadletters import DeadLetter, ErrorBudget
from harvesters.stores.blob import Blob, Conflict, Version
from harvesters.stores.cache import MemoryCache
from harvesters.stores.checkpoint import Checkpoint
from harvesters.stores.delivered import DeliveredLog
from harvesters.stores.lease import Lease
from harvesters.timespan import Window
from tests.clocks import FakeClock

START = datetime(2026, 2, 13, 9, 0, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=10))


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def row(id: int, **fields: Any) -> dict[str, Any]:
    return {"id": id, **fields}


def page(*ids: int, safe: float | None = None, **fields: Any) -> Page:
    return Page([row(id, **fields) for id in ids], TimeCursor(at(safe)) if safe is not None else None)


@dataclass
class MemoryBlob(Blob):
    """A blob in memory, which notes its writes in `events`."""

    events: list[str] = field(default_factory=list)
    version: Version | None = None
    name: str = "the checkpoint"

    def read(self) -> Version | None:
        return self.version

    def write(self, content: bytes, etag: str | None) -> str:
        if etag != (self.version.etag if self.version is not None else None):
            raise Conflict(self.name)
        self.events.append(f"commit {content.decode()[8:12]}")
        self.version = Version(content, f"tag-{len(self.events)}")
        return self.version.etag


@dataclass
class Rows:
    """A harvest of given pages; a row that says so is poison."""

    given: list[Page]
    error: Exception | None = None
    done: list[Page] = field(default_factory=list)
    kind: str = "useractions"
    source: str = "https://engage"

    def time(self) -> datetime | None:
        return None

    def pages(self, scope: Window) -> Iterator[Page]:
        yield from self.given
        if self.error is not None:
            raise self.error

    def acknowledged(self, page: Page) -> None:
        self.done.append(page)

    def row_id(self, row: Any) -> str:
        return str(row["id"])

    def documents(self, rows: Sequence[Any]) -> list[Document | str]:
        return ["poison" if "poison" in row else Document(str(row["id"]), self.kind, START, dict(row)) for row in rows]

    def report(self) -> dict[str, Any]:
        return {}

    def close(self) -> None: ...


@dataclass
class Out:
    """A sink that notes what it is sent; ids in `dead` it refuses, at the id `fails` it gives up."""

    events: list[str]
    durable: bool = True
    dead: tuple[str, ...] = ()
    fails: str = ""
    gone: bool = False
    sent: list[Document] = field(default_factory=list)
    name: str = "the sink"
    address: str = "sink a"

    def identity(self) -> tuple[str, bool]:
        return "the sink", False

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        if any(document.id == self.fails for document in documents):
            raise SinkUnavailable("gave up")
        self.sent.extend(documents)
        self.events.append(f"send {' '.join(document.id for document in documents)}")
        return [Outcome(each, "refused" if each.id in self.dead else "") for each in reversed(documents)]

    def finish(self) -> None:
        self.events.append("finish")
        if self.gone:
            raise ReaderGone("gone")

    def close(self) -> None: ...


@dataclass
class Letters:
    events: list[str]
    error: Exception | None = None
    kept: list[DeadLetter] = field(default_factory=list)
    name: str = "the dead letters"

    def write(self, letters: Sequence[DeadLetter]) -> None:
        if self.error is not None:
            raise self.error
        self.kept.extend(letters)
        self.events.append(f"letters {' '.join(sorted(letter.id for letter in letters))}")


class NotingLog(DeliveredLog):
    """A delivered log that notes what is marked."""

    events: list[str]

    def add(self, marks: Sequence[Any]) -> None:
        super().add(marks)
        if marks:
            self.events.append(f"mark {' '.join(sorted(mark.id for mark in marks))}")


class Run:
    """One pipeline with everything noted in `events`; a second one may share the cache and the checkpoint."""

    def __init__(self, *pages: Page, before: Run | None = None, error: Exception | None = None, **sink: Any) -> None:
        self.events: list[str] = []
        self.blob: MemoryBlob = before.blob if before is not None else MemoryBlob()
        self.blob.events = self.events
        self.cache: MemoryCache = before.cache if before is not None else MemoryCache()
        self.sink = Out(self.events, **sink)
        self.letters = Letters(self.events)
        self.log: NotingLog | None = NotingLog(self.cache, "https://engage", self.sink.identity)
        self.log.events = self.events
        self.stop = threading.Event()
        self.budget = ErrorBudget(0.01, 10)
        self.checkpoint = Checkpoint(self.blob, Times(UTC))
        self.progress = Progress(self.checkpoint, None, *self.checkpoint.load())
        self.harvest = Rows(list(pages), error)
        self.counts = Counts()

    def go(self) -> list[str]:
        pipeline = Pipeline(
            self.harvest,
            self.sink,
            self.letters,
            self.budget,
            self.progress,
            self.log,
            self.stop,
            self.counts,
            DeliveredLog(self.cache, "https://engage", lambda: ("dead", False)),
        )
        pipeline.run(WINDOW, TimeCursor(WINDOW.end))
        return self.events

    @property
    def reached(self) -> datetime | None:
        cursor, _ = self.checkpoint.load()
        return cursor.moment if isinstance(cursor, TimeCursor) else None


class TestOrder:
    def test_acknowledged_then_dead_letters_then_marks_then_checkpoint_batch_by_batch(self) -> None:
        poisoned = Page([row(1), row(2), row(3, poison=True)], TimeCursor(at(2)))
        run = Run(poisoned, page(4, 5, safe=5), page(6), dead=("2",))
        assert run.go() == [
            "send 1 2",
            "letters 2 3",
            "mark 1",
            "commit 0902",
            "send 4 5",
            "mark 4 5",
            "commit 0905",
            "send 6",
            "mark 6",
            "finish",
            "commit 0910",
        ]
        assert (run.counts.rows, run.counts.documents, run.counts.delivered, run.counts.dead) == (6, 5, 4, 2)

    def test_an_empty_window_moves_the_checkpoint_to_its_end(self) -> None:
        assert Run().go() == ["finish", "commit 0910"]

    def test_where_nothing_is_known_to_be_safe_only_the_end_is_committed(self) -> None:
        assert [event for event in Run(page(1), page(2)).go() if event.startswith("commit")] == ["commit 0910"]

    def test_what_is_safe_beyond_the_window_is_not_committed_beyond_it(self) -> None:
        run = Run(page(1, safe=60))
        run.go()
        assert run.reached == WINDOW.end

    def test_the_checkpoint_never_goes_back(self) -> None:
        first = Run()
        first.checkpoint.commit(TimeCursor(at(7)), None)
        run = Run(page(1, safe=2), page(2, safe=8), before=first)
        assert [event for event in run.go() if event.startswith("commit")] == ["commit 0908", "commit 0910"]

    def test_a_run_that_leaves_the_checkpoint_alone_commits_nothing(self) -> None:
        run = Run(page(1, safe=2))
        run.progress = Progress(None)
        assert [event for event in run.go() if event.startswith("commit")] == []

    def test_a_pipe_is_committed_and_marked_at_its_end_only(self) -> None:
        run = Run(page(1, safe=2), page(2, safe=5), durable=False)
        assert run.go() == ["send 1", "send 2", "finish", "commit 0910", "mark 1 2"]

    def test_a_pipe_whose_reader_left_is_neither_committed_nor_marked(self) -> None:
        run = Run(page(1, safe=2), durable=False, gone=True)
        with pytest.raises(ReaderGone):
            run.go()
        assert run.events == ["send 1", "finish"]


class TestFailures:
    def test_a_sink_that_gives_up_leaves_the_checkpoint_at_the_last_batch(self) -> None:
        run = Run(page(1, safe=2), page(2, 3, safe=5), page(4, safe=8), fails="3")
        with pytest.raises(SinkUnavailable):
            run.go()
        assert run.events == ["send 1", "mark 1", "commit 0902"]

    def test_dead_letters_that_cannot_be_kept_leave_the_checkpoint(self) -> None:
        run = Run(page(1, 2, safe=2), dead=("1",))
        run.letters.error = Unavailable("no room")
        with pytest.raises(Unavailable):
            run.go()
        assert run.events == ["send 1 2"]

    def test_a_source_that_fails_leaves_what_was_committed(self) -> None:
        run = Run(page(1, safe=2), error=Unavailable("no answer"))
        with pytest.raises(Unavailable):
            run.go()
        assert run.events == ["send 1", "mark 1", "commit 0902"]

    def test_over_the_error_budget_nothing_more_is_committed(self) -> None:
        run = Run(page(1, safe=2), page(*range(10, 21), safe=5, poison=True), page(3, safe=8))
        with pytest.raises(TooManyDead, match="11 rows went to the dead letters"):
            run.go()
        assert run.reached == at(2)
        assert len(run.letters.kept) == 11
        assert "mark 10" not in " ".join(run.events)

    def test_a_share_is_measured_against_what_the_source_expects(self) -> None:
        rows = [row(number, poison=True) for number in range(15)]
        Run(Page(rows, TimeCursor(at(2)), expected=1500), Page([row(100 + number) for number in range(1500)])).go()
        with pytest.raises(TooManyDead):
            Run(Page(rows, TimeCursor(at(2)), expected=1500)).go()

    def test_a_dead_letter_holds_the_raw_row_and_the_reason(self) -> None:
        run = Run(Page([row(1, poison=True, raw="\ud83d"), row(2, deep=[{"a": None}])], TimeCursor(at(1))), dead=("2",))
        run.go()
        assert {(letter.id, letter.reason) for letter in run.letters.kept} == {("1", "poison"), ("2", "refused")}
        assert [letter.row for letter in run.letters.kept] == [
            {"id": 1, "poison": True, "raw": "\ud83d"},
            {"id": 2, "deep": [{"a": None}]},
        ]

    def test_a_checkpoint_that_another_moved_ends_the_run(self) -> None:
        run = Run(page(1, safe=2), page(2, safe=5))
        Checkpoint(run.blob, Times(UTC)).commit(TimeCursor(at(1)), None)
        with pytest.raises(RaceLost, match="another run moved the checkpoint"):
            run.go()
        assert run.reached == at(1)

    def test_without_its_lease_a_run_commits_nothing(self) -> None:
        clock = FakeClock()
        run = Run(page(1, safe=2))
        run.progress.lease = Lease(MemoryBlob(), clock, 60)
        run.progress.lease.acquire()
        clock.advance(60)
        with pytest.raises(RaceLost):
            run.go()
        assert run.reached is None


class TestRepeats:
    def test_what_was_delivered_is_skipped_and_what_has_grown_goes_out_again(self) -> None:
        first = Run(page(1, 2, 3))
        first.go()
        again = Run(Page([row(1), row(2, length=60), row(4)]), before=first)
        again.cache.volatile = False
        again.go()
        assert [(document.id, document.mutable) for document in again.sink.sent] == [("2", True), ("4", False)]
        assert again.counts.duplicates == 1

    def test_the_order_of_a_rows_keys_makes_it_no_other_row(self) -> None:
        first = Run(Page([{"id": 1, "a": 1, "b": 2}]))
        first.go()
        again = Run(Page([{"b": 2, "a": 1, "id": 1}]), before=first)
        assert again.go() == ["finish"]

    def test_a_dead_row_is_no_news_in_the_next_run(self) -> None:
        first = Run(page(1, 2, poison=True))
        first.go()
        again = Run(page(1, 2, poison=True), before=first)
        again.go()
        assert again.letters.kept == []
        assert again.counts.duplicates == 2

    def test_a_row_that_was_refused_goes_out_when_it_is_taken(self) -> None:
        first = Run(page(1, 2), dead=("2",))
        first.go()
        again = Run(page(1, 2), before=first)
        again.go()
        assert [document.id for document in again.sink.sent] == ["2"]

    def test_over_the_budget_it_is_over_the_budget_in_the_next_run_too(self) -> None:
        first = Run(page(*range(11), poison=True))
        with pytest.raises(TooManyDead):
            first.go()
        with pytest.raises(TooManyDead):
            Run(page(*range(11), poison=True), before=first).go()

    def test_a_dead_row_of_a_failed_run_is_dead_again_in_the_next(self) -> None:
        first = Run(page(1, poison=True), page(2), fails="2")
        with pytest.raises(SinkUnavailable):
            first.go()
        again = Run(page(1, poison=True), page(2), before=first)
        again.go()
        assert [letter.id for letter in again.letters.kept] == ["1"]

    def test_a_range_to_be_sent_whole_is_sent_whole(self) -> None:
        first = Run(page(1, 2))
        first.go()
        again = Run(page(1, 2), before=first)
        again.log = None
        again.go()
        assert [document.id for document in again.sink.sent] == ["1", "2"]


class TestStop:
    def test_the_batch_in_hand_is_finished_and_committed(self) -> None:
        run = Run(page(1, safe=2), page(2, safe=5), page(3, safe=8))
        send = run.sink.send

        def stopped(documents: Sequence[Document]) -> list[Outcome]:
            if documents[0].id == "2":
                run.stop.set()
            return send(documents)

        run.sink.send = stopped  # type: ignore[method-assign]
        with pytest.raises(Interrupted) as interrupted:
            run.go()
        assert interrupted.value.code == 75
        assert run.events == ["send 1", "mark 1", "commit 0902", "send 2", "mark 2", "commit 0905"]

    def test_a_fetch_that_takes_long_is_not_waited_for(self) -> None:
        stop, never = threading.Event(), threading.Event()

        def slow() -> Iterator[int]:
            yield 1
            never.wait(60)
            yield 2

        items = prefetch(slow(), stop)
        assert next(items) == 1
        stop.set()
        with pytest.raises(Interrupted, match="while fetching"):
            next(items)
        never.set()


class TestPrefetch:
    def test_items_come_in_order_and_errors_in_their_place(self) -> None:
        def items() -> Iterator[int]:
            yield from range(100)
            raise KeyError("after them")

        got: list[int] = []
        with pytest.raises(KeyError, match="after them"):
            got.extend(prefetch(items(), threading.Event()))
        assert got == list(range(100))
        assert list(prefetch([], threading.Event())) == []

    def test_the_next_is_fetched_while_one_is_in_hand(self) -> None:
        begun = [threading.Event() for _ in range(3)]

        def items() -> Iterator[int]:
            for number, event in enumerate(begun):
                event.set()
                yield number

        for number in prefetch(items(), threading.Event()):
            assert number == 2 or begun[number + 1].wait(10)

    def test_never_more_than_two_are_alive(self) -> None:
        class Batch:
            pass

        alive: weakref.WeakSet[Batch] = weakref.WeakSet()
        most, made = [0], [threading.Event() for _ in range(50)]

        def items() -> Iterator[Batch]:
            for event in made:
                item = Batch()
                alive.add(item)
                most[0] = max(most[0], len(alive))
                yield item
                del item
                event.set()

        gc.disable()
        try:
            taken = 0
            for item in prefetch(items(), threading.Event()):
                taken += 1
                assert item is not None
                if taken < len(made):
                    made[taken - 1].wait(10)
                del item
        finally:
            gc.enable()
        assert taken == 50
        assert most[0] <= 2

    def test_its_thread_ends_when_nobody_wants_more(self) -> None:
        before = threading.active_count()
        items = prefetch(iter(range(1000)), threading.Event())
        assert isinstance(items, Generator)
        assert next(items) == 0
        items.close()
        for thread in threading.enumerate():
            if thread.name == "fetch":
                thread.join(10)
        assert threading.active_count() <= before


def test_a_row_that_is_edited_and_edited_back_while_its_edit_is_delivered_is_sent() -> None:
    """The log learns of a batch when it is acknowledged, and the next one is prepared before."""
    run = Run(*(Page([row(1, text=text)]) for text in "abac"))
    mapped, send = run.harvest.documents, run.sink.send
    change, prepared, sent = threading.Condition(), [0], [0]

    def preparing(rows: Sequence[Any]) -> list[Document | str]:
        with change:
            prepared[0] += 1  # the log was asked before
            change.notify_all()
        return mapped(rows)

    def sending(documents: Sequence[Document]) -> list[Outcome]:
        sent[0] += 1
        with change:
            assert change.wait_for(lambda: prepared[0] > min(sent[0], 3), timeout=10), (
                "the batch behind is not prepared"
            )
        return send(documents)

    run.harvest.documents = preparing  # type: ignore[method-assign]
    run.sink.send = sending  # type: ignore[method-assign]
    run.go()
    assert [document.body["text"] for document in run.sink.sent] == ["a", "b", "a", "c"]
