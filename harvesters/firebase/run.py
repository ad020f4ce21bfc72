"""Runs of the harvests: the events under their lease and from their checkpoint, and dumps, which have neither."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from harvesters.errors import Interrupted
from harvesters.firebase.cursor import FOREVER, EventCheckpoint, EventLog, EventProgress
from harvesters.firebase.documents import EPOCH
from harvesters.firebase.events import Events
from harvesters.firebase.follow import FollowedEvents
from harvesters.firebase.mirror import Mirror
from harvesters.live import LiveHarvest
from harvesters.pipeline import Counts, Harvest, Pipeline, Progress
from harvesters.sinks.base import Sink
from harvesters.stores.delivered import DeliveredLog
from harvesters.telemetry import reported
from harvesters.timespan import Window

log = logging.getLogger(__name__)

_FOLLOW_PAUSE = 10.0  # seconds between two commits while following; a kill repeats what came since
Watch = Callable[[Counts], None]


@dataclass
class FirebaseRun:
    """One run of a harvest; `live` has its parts: lease, checkpoint, cache, dead letters, budget."""

    live: LiveHarvest

    def events(self, harvest: Events, sink: Sink, update: bool, watch: Watch = lambda counts: None) -> None:
        """Harvest what is new, from the checkpoint on, and move it (`update`).

        Raises:
            HarvestError: as its subclasses say; what was committed stays so.
        """
        with ExitStack() as stack:
            stack.callback(sink.close)
            moves = update and harvest.span is None
            if moves:
                stack.enter_context(self.live.lease)
            checkpoint = EventCheckpoint(self.live.checkpoint.blob)
            key, etag = checkpoint.load() if harvest.span is None else (None, None)
            harvest.after = key
            following = isinstance(harvest, FollowedEvents)
            progress = EventProgress(
                lease=self.live.lease,
                etag=etag,
                checkpoint=checkpoint if moves else None,
                positions=harvest.positions,
                key=key,
                clock=self.live.clock,
                pause=_FOLLOW_PAUSE if following else 0.0,
            )
            delivered = None
            if moves:
                delivered = EventLog(
                    self.live.cache,
                    harvest.source,
                    sink.identity,
                    anew=key is None and not sink.durable,
                    lookback=harvest.lookback,
                    clock=self.live.clock,
                )
            log.info("harvesting %s from %s to %s", harvest.source, key or "the first key", sink.name)
            try:
                self._run(harvest, sink, progress, delivered, watch)
            except Interrupted:
                if not following:
                    raise
            finally:
                progress.flush()

    def load(self, harvest: Harvest, sink: Sink, watch: Watch = lambda counts: None) -> None:
        """Deliver everything that `harvest` has."""
        with ExitStack() as stack:
            stack.callback(sink.close)
            self._run(harvest, sink, Progress(), None, watch)

    def mirror(self, mirror: Mirror, sink: Sink, watch: Watch = lambda counts: None) -> None:
        """Deliver all that `mirror` has, then remove what is gone; one such run at a time."""
        with ExitStack() as stack:
            stack.callback(sink.close)
            stack.enter_context(self.live.lease)
            self._run(mirror, sink, Progress(lease=self.live.lease), None, watch, lambda: self._sweep(mirror))

    def _sweep(self, mirror: Mirror) -> None:
        """Only as long as the lease is ours: another run may have indexed what this one has not seen."""
        self.live.lease.check()
        mirror.sweep()

    def _run(
        self,
        harvest: Harvest,
        sink: Sink,
        progress: Progress,
        delivered: DeliveredLog | None,
        watch: Watch,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        live = self.live
        pipeline = Pipeline(
            harvest, sink, live.dead_letters, live.budget, progress, delivered, live.stop, counts=live.counts
        )

        def fields(seconds: float) -> dict[str, Any]:
            key = progress.key if isinstance(progress, EventProgress) else None
            return {**live.counts.report(seconds), **harvest.report(), "checkpoint": key}

        with reported(live.name, live.clock, fields), closing(harvest):
            pipeline.run(Window(EPOCH, FOREVER), watch)
            at_end()
