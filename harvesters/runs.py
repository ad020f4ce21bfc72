"""Runs: each takes what it needs (lease, checkpoint, harvest, sink), does one job, and returns a report.

Every command goes through `run`, and so do back-fills, tasks and the web. Who wants to know listens to the reports.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from harvesters import telemetry
from harvesters.clock import Clock
from harvesters.cursor import Cursor, TimeCursor
from harvesters.errors import Exit, HarvestError, LeaseHeld
from harvesters.harvest import Harvest
from harvesters.outbound import Outbound
from harvesters.pipeline import Counts, Pipeline
from harvesters.prefetch import aside
from harvesters.progress import Progress
from harvesters.sinks.base import Sink, ask_first
from harvesters.sinks.deadletters import DeadLetters, ErrorBudget
from harvesters.spans import Asked, Plan
from harvesters.stores.cache import Cache
from harvesters.stores.checkpoint import Beginning, Checkpoint, Owner
from harvesters.stores.delivered import DeliveredLog
from harvesters.stores.lease import Lease
from harvesters.telemetry import Report
from harvesters.timespan import SpanGuard, iso
from harvesters.watched import Watched

log = logging.getLogger(__name__)

_SKEW = timedelta(seconds=5)

Watch = Callable[[Counts], None]
OnPlan = Callable[[Plan], Watch]
Listener = Callable[[Report], None]


def _unwatched(plan: Plan) -> Watch:
    return lambda counts: None


class Job(Protocol):
    """What a run does."""

    @property
    def command(self) -> str:
        """The command, for the report."""

    def work(self) -> None:
        """Do it.

        Raises:
            HarvestError: as its subclasses say; the report is given all the same.
        """

    def fields(self, seconds: float) -> dict[str, Any]:
        """What the report says, after a run of that many seconds, however it ended."""


def run(
    job: Job,
    clock: Clock,
    listeners: Sequence[Listener] = (telemetry.log_report,),
    good_end: type[HarvestError] | None = None,
) -> Report:
    """Do the job; its report goes to the listeners, and is returned.

    Args:
        good_end: what may end the job without being a failure.

    Raises:
        HarvestError: what ended the job early; the listeners have the report then.
    """
    started = clock.monotonic()
    outcome, code = "failed", Exit.BUG

    def report() -> Report:
        seconds = clock.monotonic() - started
        return Report(job.command, outcome, code, {**job.fields(seconds), "seconds": round(seconds, 3)})

    try:
        job.work()
        outcome, code = "done", Exit.DONE
    except HarvestError as error:
        if good_end is not None and isinstance(error, good_end):
            outcome, code = "done", Exit.DONE
        else:
            outcome, code = f"ended with {int(error.code)}", error.code
            raise
    finally:
        result = report()
        for listener in listeners:
            listener(result)
    return result


@dataclass
class Place:
    """Where a harvest keeps how far it got: its checkpoint, whose that is, where it began, and who may move it."""

    checkpoint: Checkpoint
    owner: Owner
    beginning: Beginning
    lease: Lease


@dataclass
class Parts:
    """What every run of a harvest needs beside the harvest and its sink.

    Args:
        stop: set to end the run after the batch in hand.
        watched: the run of a job that this is; one that nobody watches by default.
        check: called before each delivery; raises `RaceLost` when somebody else may have begun the same.
    """

    clock: Clock
    cache: Cache
    dead_letters: DeadLetters
    budget: ErrorBudget
    stop: threading.Event
    listeners: Sequence[Listener] = (telemetry.log_report,)
    watched: Watched = field(default_factory=lambda: Watched(""))
    check: Callable[[], None] = lambda: None
    outbound: Outbound = field(default_factory=Outbound)


Remember = Callable[[Cache, Harvest, Sink, bool], DeliveredLog]


def _remember(cache: Cache, harvest: Harvest, sink: Sink, anew: bool) -> DeliveredLog:
    return DeliveredLog(cache, harvest.source, sink.identity, anew=anew)


@dataclass
class HarvestRun:
    """One run of a harvest into a sink, which it closes.

    Args:
        command: for the report.
        asked: what to harvest.
        place: None for a harvest that has no checkpoint; one that only needs the lease has `asked.update` False.
        claim: move the checkpoint, and own it, whichever output owns it now.
        guard: refuses windows that grew too long.
        alone: hold the lease although the checkpoint does not move.
        pause: seconds between two commits at least.
        remember: makes the log of what the output already got.
        at_end: called when everything is delivered, while the lease is ours.
        report: what else the report says.
    """

    command: str
    parts: Parts
    asked: Asked
    harvest: Harvest
    sink: Sink
    place: Place | None = None
    claim: bool = False
    guard: SpanGuard = field(default_factory=lambda: SpanGuard(None))
    alone: bool = False
    pause: float = 0.0
    remember: Remember = _remember
    at_end: Callable[[], None] | None = None
    on_plan: OnPlan = _unwatched
    report: Callable[[], dict[str, Any]] = dict
    counts: Counts = field(default_factory=Counts)

    def run(self, good_end: type[HarvestError] | None = None) -> Report:
        """Harvest what was asked for, and report; see `run` for `good_end`.

        Raises:
            HarvestError: as its subclasses say.
            WindowError: the start lies after the end.
        """
        with ExitStack() as stack:
            stack.callback(self.sink.close)
            stack.callback(self.harvest.close)
            looks = self._looks()
            if looks:
                self.parts.watched.moves = False
            if self.place is not None and (self.alone or (self.asked.update and not looks)):
                stack.enter_context(self.place.lease)
            return self._planned(looks, good_end)

    def _looks(self) -> bool:
        """Whether the checkpoint is another output's, so that this run only looks, and leaves it where it is."""
        if self.place is None or not self.asked.update or self.claim:
            return False
        owner = self.place.owner.load()
        if owner in ("", _STDOUT):
            owner = self._beginner() or owner
        if owner == self._output or (self.sink.durable and owner in ("", _STDOUT)):  # no queue is asked: it may be down
            return False
        if owner == self.sink.address:
            return False
        if (self.sink.durable or not owner) and not self._begun():
            return False
        log.warning(
            "the checkpoint %s %s, so this run harvests since it and leaves it where it is; --update-last-ts (of zoom "
            "and firebase: --update-checkpoint) moves it, and gives it to %s",
            self.place.checkpoint.name,
            f"belongs to {owner}" if owner else "is not standard output's: nobody has written down whose it is",
            self.sink.name,
        )
        return True

    def _begun(self) -> bool:
        """Whether some output has a checkpoint here, or has begun to harvest its way to the first one."""
        assert self.place is not None
        return self.place.checkpoint.load()[0] is not None or self.place.beginning.load() is not None

    def _beginner(self) -> str:
        """The output that has begun to harvest its way to the first checkpoint, where it is not the owner yet."""
        assert self.place is not None
        output = self.place.beginning.output()
        return output if output and self.place.checkpoint.load()[0] is None else ""

    @property
    def _output(self) -> str:
        """The output by what it is called, which a queue that is down knows too."""
        return self.sink.name if self.sink.durable else _STDOUT

    def _planned(self, looks: bool, good_end: type[HarvestError] | None) -> Report:
        cursor, etag, owner, left = self._load()
        begun = self.place.beginning.load() if self.place is not None and left and self._first(cursor) else None
        early = self.asked.plan(cursor, self.parts.clock.now(), begun)
        if self.place is not None and not looks:
            self.parts.watched.moves = self.asked.update if early is None else early.moves
        self.parts.watched.counts = lambda: self.counts.report(0.0)
        self.parts.watched.begin()
        try:
            now = self._now()
        except HarvestError as error:
            self._begin(early, looks, error)
            raise
        planned = self.asked.plan(cursor, now, self._by_their_clock(begun, now))
        if planned is None:
            assert self.place is not None
            assert cursor is not None
            log.warning(
                "the checkpoint %s (%s) lies in the future: nothing is harvested and it stays as it is. Correct or "
                "delete it if the clock is right.",
                self.place.checkpoint.name,
                cursor.encode(),
            )
            return Report(self.command, "left alone", Exit.DONE, {})
        if self.place is not None and planned.window is not None:
            where = self.place.checkpoint.name if begun is None else self.place.beginning.blob.name
            self.guard.check(planned.window, where)
        if planned.note:
            log.warning("%s", planned.note)
        self._begin(planned, looks)
        left = left or planned.begins is not None
        progress = self._progress(planned, looks, cursor, etag, owner, left)
        progress.also = self.parts.check
        ask_first(self.sink, lambda documents: progress.check())
        delivered = self._log(progress)
        job = _Harvesting(self, planned, progress, delivered, self._accepted(delivered))
        return run(job, self.parts.clock, self.parts.listeners, good_end)

    def _begin(self, planned: Plan | None, looks: bool, failure: HarvestError | None = None) -> None:
        """Write down where a first run begins, and whose it is, whatever fails after it: the source, the queue, or we.

        What one output began is not another's to finish: that would take it away.
        """
        if self.place is None or planned is None or planned.begins is None or looks:
            return
        self.place.beginning.store(planned.begins, self._output)  # first: a queue that is down tells no address
        with suppress(HarvestError) if failure is not None else nullcontext():
            self.place.owner.store(self.sink.address)

    def _load(self) -> tuple[Cursor | None, str | None, str, bool]:
        """The checkpoint and its tag, whose it is, and whether a beginning stands beside it: asked for at once."""
        if self.place is None or not self.asked.needs_checkpoint:
            return None, None, "", False
        with ThreadPoolExecutor(2, "place") as beside:
            owner, left = beside.submit(self.place.owner.load), beside.submit(self.place.beginning.stands)
            cursor, etag = self.place.checkpoint.load()
            return cursor, etag, owner.result(), left.result()

    def _first(self, cursor: Cursor | None) -> bool:
        """Whether this may be the first run that gets to its end."""
        return cursor is None and self.asked.needs_checkpoint

    def _now(self) -> datetime:
        """The earlier of our time and the source's: what it has not lived through yet cannot be harvested."""
        theirs = aside(self.harvest.time, self.parts.stop) if self.asked.needs_checkpoint else None
        ours = self.parts.clock.now()
        if theirs is None:
            return ours
        if abs(theirs - ours) > _SKEW:
            log.warning(
                "the clock of %s says %s and ours %s: the earlier one counts. Set them right (NTP).",
                self.harvest.source,
                iso(theirs),
                iso(ours),
            )
        return min(ours, theirs)

    def _by_their_clock(self, begun: Cursor | None, now: datetime) -> Cursor | None:
        """Where the first run began, in the source's time: it was our clock that said so while the source was down."""
        ahead = self.parts.clock.now() - now
        return TimeCursor(begun.moment - ahead) if isinstance(begun, TimeCursor) and ahead > _SKEW else begun

    def _progress(
        self, planned: Plan, looks: bool, cursor: Cursor | None, etag: str | None, owner: str, left: bool
    ) -> Progress:
        place = self.place
        if place is None:
            return Progress()
        if looks or not planned.moves:
            return Progress(lease=place.lease if self.alone else None, cursor=cursor)
        if owner not in ("", self.sink.address, _STDOUT) and not self.claim and self._begun():
            raise LeaseHeld(
                f"another run has just made the checkpoint {place.checkpoint.name} belong to {owner}; this run has "
                "done nothing and may be started again"
            )
        progress = Progress(
            place.checkpoint,
            place.lease,
            cursor,
            etag,
            beginning=place.beginning if left else None,
            owner=place.owner if owner != self.sink.address else None,
            address=self.sink.address,
            clock=self.parts.clock,
            pause=self.pause,
        )
        if self.claim:
            progress.claim()
        return progress

    def _log(self, progress: Progress) -> DeliveredLog | None:
        if progress.checkpoint is None:
            return None
        # Who reads standard output when there is no checkpoint (yet, or any more) wants everything.
        anew = progress.cursor is None and not self.sink.durable
        delivered = self.remember(self.parts.cache, self.harvest, self.sink, anew)
        delivered.job = progress.checkpoint.blob.place
        return delivered

    def _accepted(self, delivered: DeliveredLog | None) -> DeliveredLog | None:
        """The dead letters that a good run has had, remembered beside what was delivered and as long."""
        if delivered is None:
            return None
        name = self.parts.dead_letters.name
        return DeliveredLog(delivered.cache, delivered.source, lambda: (f"dead {name}", False), job=delivered.job)


_STDOUT = "-"


@dataclass
class _Harvesting:
    """The job of a planned run."""

    of: HarvestRun
    planned: Plan
    progress: Progress
    delivered: DeliveredLog | None
    accepted: DeliveredLog | None

    @property
    def command(self) -> str:
        return self.of.command

    def work(self) -> None:
        run, planned = self.of, self.planned
        pipeline = Pipeline(
            run.harvest,
            run.sink,
            run.parts.dead_letters,
            run.parts.budget,
            self.progress,
            self.delivered,
            run.parts.stop,
            counts=run.counts,
            accepted=self.accepted,
            watched=run.parts.watched,
            outbound=run.parts.outbound,
        )
        what = f"{planned.window} from " if planned.window is not None else ""
        log.info("harvesting %s%s to %s", what, run.harvest.source, run.sink.name)
        pipeline.run(planned.scope, planned.end, run.on_plan(planned))
        if run.at_end is not None:
            self.progress.check()
            run.at_end()

    def fields(self, seconds: float) -> dict[str, Any]:
        window, progress = self.planned.window, self.progress
        fields: dict[str, Any] = {}
        if window is not None:
            fields["window"] = {"start": iso(window.start), "end": iso(window.end)}
        fields |= self.of.counts.report(seconds)
        fields |= {**self.of.harvest.report(), **self.of.report()}
        fields["checkpoint"] = progress.cursor.encode() if progress.checkpoint and progress.cursor else None
        return fields
