"""Has the windows of a back-fill done by workers elsewhere: queues them, and shows how far they are."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from harvesters.errors import Interrupted
from harvesters.operate.backfillstate import BackfillState, Result
from harvesters.operate.errand import Errand
from harvesters.operate.foreman import Counting, Show, settle
from harvesters.timespan import Window

log = logging.getLogger(__name__)

_LOOK = 1.0  # seconds
_NOBODY = 10.0  # seconds after which it is worth a warning that nobody works


class ErrandQueue(Protocol):
    """Where errands wait for workers.

    Raises:
        Unavailable: (each method) the broker does not answer.
    """

    def send(self, errands: list[Errand]) -> None:
        """Put errands in line."""

    def refusals(self, id: str) -> Iterator[tuple[Window, int, str]]:
        """Windows of the back-fill `id` that workers could not even claim, each once: code, and why."""

    def waiting(self) -> int:
        """How many errands are in line, of all back-fills."""

    def anybody(self) -> bool:
        """Whether there is a worker."""


@dataclass
class Dispatch(Counting):
    """One call of the command. Killed, the workers go on, and the same command joins them."""

    queue: ErrandQueue
    show: Show
    _run: str = field(default_factory=lambda: uuid.uuid4().hex)
    _todo: list[Window] = field(default_factory=list)
    _begun: set[Window] = field(default_factory=set)

    def work(self) -> None:
        """Queue what is missing, and watch until it is done.

        Raises:
            HarvestError: as `settle` says.
        """
        state, steps = self.backfill.begin(self.wanted, afresh=True)
        self._todo = [*steps.left(self.wanted.window, state.done)]
        self.tally.windows = len(self._todo)
        for _ in self.queue.refusals(self.backfill.id):
            pass  # of an earlier call
        self._queue([window for window in self._todo if not state.others(self.backfill.store.now()).touches(window)])
        state = self._watch(state.delivered)
        settle(self.tally, state, self.backfill.assembly)

    def _queue(self, windows: list[Window]) -> None:
        if windows:
            whole = Window(self._todo[0].start, self._todo[-1].end)
            self.queue.send([Errand.of(self.backfill, self._run, whole, window) for window in windows])

    def _watch(self, delivered: int) -> BackfillState:
        assembly, clock = self.backfill.assembly, self.backfill.assembly.clock
        began = moved = clock.monotonic()
        warned, last = False, self.backfill.same(self.backfill.store.load())
        while True:
            state = self._settled()
            now = clock.monotonic()
            if state != last:
                last, moved = state, now
            self._count(state, delivered)
            self.show(self.tally)
            working = [one for one in state.running if one.lives(self.backfill.store.now())]
            if not working and (state.stop is not None or self.tally.ended >= self.tally.windows):
                return state
            self._again(state)
            if not working and now - moved > 2 * assembly.lease_ttl and not self.queue.waiting():
                moved = now
                self._queue(self._left(state))  # whoever had them in hand is gone, and so is the broker's memory
            if not warned and not working and now - began > _NOBODY:
                warned = True
                if not self.queue.anybody():
                    log.warning("no worker has answered: start some with harvest.py worker, and the same settings")
            try:
                clock.sleep(_LOOK)
            except Interrupted as error:
                raise Interrupted(
                    f"told to stop: {self.tally.done} of {self.tally.windows} windows are done, and the workers go on; "
                    "the same command joins them"
                ) from error

    def _settled(self) -> BackfillState:
        """The state, with what workers refused written down in it."""
        refused = [*self.queue.refusals(self.backfill.id)]
        if not refused:
            return self.backfill.same(self.backfill.store.load())
        now = self.backfill.store.now()

        def change(before: BackfillState | None) -> BackfillState:
            state = self.backfill.same(before)
            for window, code, why in refused:
                state = state.ended("", window, Result(code, why), now)
            return state

        return self.backfill.same(self.backfill.store.change(change))

    def _count(self, state: BackfillState, delivered: int) -> None:
        self.tally.done = sum(state.done.covers(window) for window in self._todo)
        self.tally.documents = state.delivered - delivered
        self.tally.failed = [
            (one.window, Result(one.code, one.error))
            for one in state.failed
            if any(one.window.intersection(window) for window in self._todo)
        ]

    def _again(self, state: BackfillState) -> None:
        """Queue anew what a worker was at that is not at it any more."""
        working = state.others(self.backfill.store.now())
        at = {window for window in self._todo if working.touches(window)}
        left = {*self._left(state)}
        gone = [window for window in self._begun - at if window in left]
        self._begun = (self._begun | at) - {*gone}
        if gone and state.stop is None:
            log.warning("%d windows are queued again: nobody is at them any more", len(gone))
            self._queue(sorted(gone))

    def _left(self, state: BackfillState) -> list[Window]:
        taken = state.done | state.others(self.backfill.store.now()) | (one.window for one in state.failed)
        return [window for window in self._todo if not taken.covers(window)]
