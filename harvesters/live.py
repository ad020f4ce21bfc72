"""A harvest with a checkpoint: which window a run covers, whether it may move the checkpoint, and the run itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from harvesters.clock import Clock
from harvesters.pipeline import Counts, Harvest, Pipeline, Progress
from harvesters.sinks.base import Sink
from harvesters.sinks.deadletters import DeadLetters, ErrorBudget
from harvesters.stores.cache import Cache
from harvesters.stores.checkpoint import Checkpoint
from harvesters.stores.delivered import DeliveredLog
from harvesters.stores.lease import Lease
from harvesters.telemetry import reported
from harvesters.timespan import SpanGuard, Window, floor_second, format_checkpoint, iso

log = logging.getLogger(__name__)


class WindowError(ValueError):
    """The given start lies after the given end: a mistake in the command line."""


@dataclass(frozen=True)
class Span:
    """What was asked for: by hand (`start`, `end`), or the window since the checkpoint.

    Args:
        interval: how far back a first run goes.
        lookback: how far before the checkpoint a live run reads again, for rows that came late.
        update: whether the checkpoint may move.
    """

    start: datetime | None = None
    end: datetime | None = None
    interval: timedelta = timedelta(minutes=2)
    lookback: timedelta = timedelta(seconds=60)
    update: bool = True

    @property
    def needs_checkpoint(self) -> bool:
        """False for a range that has nothing to do with the checkpoint."""
        return self.update or self.start is None


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        window: what is harvested.
        read: what is read, which begins earlier by the lookback.
        moves: whether the checkpoint moves with it.
        note: what the operator should know, if anything.
    """

    window: Window
    read: Window
    moves: bool
    note: str = ""


def plan(span: Span, checkpoint: datetime | None, now: datetime) -> Plan | None:
    """The run that `span` asks for; None when there is nothing to do because the checkpoint lies in the future.

    Raises:
        WindowError: the start lies after the end.
    """
    now = floor_second(now)
    end = min(span.end, now) if span.end is not None else now
    note = "" if span.end is None or span.end <= now else f"the end is cut back to now ({iso(now)})"
    if span.start is None and checkpoint is not None and checkpoint > now:
        return None
    start = span.start or checkpoint or now - span.interval
    if start > end:
        raise WindowError(f"the start ({iso(start)}) lies after the end ({iso(end)})")
    window = Window(start, end)
    if span.start is None:
        read = window.widened(span.lookback) if checkpoint is not None else window
        return Plan(window, read, span.update, note)
    touches = checkpoint is None or start <= checkpoint < end
    if span.update and not touches and checkpoint is not None:
        note = f"{note}; " if note else ""
        note += f"the checkpoint stays at {iso(checkpoint)}, for this range does not touch it"
    return Plan(window, window, span.update and touches, note)


@dataclass
class LiveHarvest:
    """Runs a harvest under its lease.

    Args:
        name: the command, for the run report.
        clock: says what "now" is.
        guard: refuses windows that grew too long.
        checkpoint, lease: of this harvest; the lease is taken only by a run that may move the checkpoint.
        stop: set to end the run after the batch in hand.
    """

    name: str
    clock: Clock
    guard: SpanGuard
    checkpoint: Checkpoint
    lease: Lease
    cache: Cache
    dead_letters: DeadLetters
    budget: ErrorBudget
    stop: threading.Event
    counts: Counts = field(default_factory=Counts)

    def run(
        self,
        span: Span,
        harvest: Harvest,
        sink: Sink,
        on_plan: Callable[[Plan], Callable[[Counts], None]] = lambda plan: lambda counts: None,
    ) -> None:
        """Harvest `span` into `sink`, and report. `on_plan` is told the plan and returns what watches the counts.

        Raises:
            HarvestError: as its subclasses say; the report is given all the same.
            WindowError: the start lies after the end.
        """
        with ExitStack() as stack:
            stack.callback(sink.close)
            stack.callback(harvest.close)
            if span.update:
                stack.enter_context(self.lease)
            value, etag = self.checkpoint.load() if span.needs_checkpoint else (None, None)
            planned = plan(span, value, self.clock.now())
            if planned is None:
                log.warning(
                    "the checkpoint %s (%s) lies in the future: nothing is harvested and it stays as it is. Correct or "
                    "delete it if the clock is right.",
                    self.checkpoint.name,
                    value,
                )
                return
            self.guard.check(planned.window, self.checkpoint.name)
            if planned.note:
                log.warning("%s", planned.note)
            progress = Progress(self.checkpoint if planned.moves else None, self.lease, value, etag)
            self._run(planned, harvest, sink, progress, on_plan(planned))

    def _run(
        self, planned: Plan, harvest: Harvest, sink: Sink, progress: Progress, watch: Callable[[Counts], None]
    ) -> None:
        delivered = None
        if planned.moves:
            # Who reads standard output when there is no checkpoint (yet, or any more) wants everything.
            anew = progress.value is None and not sink.durable
            delivered = DeliveredLog(self.cache, harvest.source, sink.identity, anew=anew)
        pipeline = Pipeline(
            harvest, sink, self.dead_letters, self.budget, progress, delivered, self.stop, counts=self.counts
        )
        log.info("harvesting %s from %s to %s", planned.window, harvest.source, sink.name)

        def fields(seconds: float) -> dict[str, Any]:
            return {
                "window": {"start": iso(planned.window.start), "end": iso(planned.window.end)},
                **self.counts.report(seconds),
                **harvest.report(),
                "checkpoint": format_checkpoint(progress.value) if progress.store and progress.value else None,
            }

        with reported(self.name, self.clock, fields):
            pipeline.run(planned.read, watch)
