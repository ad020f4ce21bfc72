"""Does the windows of a back-fill with a crew of this machine: one writer of the state, many workers."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from harvesters.assembly import Assembly
from harvesters.errors import Exit, HarvestError, Interrupted, RaceLost, Unavailable
from harvesters.operate.backfill import Backfill, Wanted, do, failure_of
from harvesters.operate.backfillstate import BackfillState, Claim, Result, ends
from harvesters.operate.crew import Alive, Crew, Delivered, Ended, Processes, Threads
from harvesters.operate.scratch import scratch
from harvesters.timespan import Window

log = logging.getLogger(__name__)

_LOOK = 0.5  # seconds between two looks at signals, the lease and the clock
_LAST = 10.0  # seconds for the batches in hand, where what comes of them cannot be written down
_OTHERS = 2.0  # seconds between two looks at what others are at

Show = Callable[["Tally"], None]


@dataclass
class Tally:
    """How far a run of a back-fill is.

    Attributes:
        windows: that it had to do.
        done: of them.
        documents: that are delivered.
        failed: windows that failed, and how.
    """

    windows: int = 0
    done: int = 0
    documents: int = 0
    failed: list[tuple[Window, Result]] = field(default_factory=list)

    @property
    def ended(self) -> int:
        """Windows that are not to be done any more in this run."""
        return self.done + len(self.failed)

    def fields(self, id: str, window: Window) -> dict[str, Any]:
        """For the report."""
        return {
            "id": id,
            "window": ends(window),
            "windows": self.windows,
            "done": self.done,
            "failed": len(self.failed),
            "delivered": self.documents,
        }


@dataclass
class Counting:
    """A job for `runs.run` that does the windows of `backfill` which are `wanted`, and counts them."""

    backfill: Backfill
    wanted: Wanted
    tally: Tally = field(default_factory=Tally, kw_only=True)

    @property
    def command(self) -> str:
        """For the report."""
        return f"backfill {self.backfill.job.name}"

    def fields(self, seconds: float) -> dict[str, Any]:
        """For the report."""
        return self.tally.fields(self.backfill.id, self.wanted.window)


@dataclass
class Foreman(Counting):
    """One run of a back-fill on this machine.

    Args:
        show: told of the tally, twice a second.
    """

    workers: int
    show: Show
    _todo: deque[Window] = field(default_factory=deque)
    _later: deque[Window] = field(default_factory=deque)
    _under_way: dict[str, int] = field(default_factory=dict)
    _stopping: bool = False
    _state: BackfillState | None = None
    _ahead: Any = None

    def work(self) -> None:
        """Do what is left.

        Raises:
            LeaseHeld: another process is at the same back-fill.
            HarvestError: as `settle` says.
        """
        backfill, assembly = self.backfill, self.backfill.assembly
        alive = Alive(assembly.clock, assembly.lease_ttl)
        crew = self._crew(alive)  # before there is a thread: some are forks
        try:
            with scratch() as directory, backfill.lease:
                state, steps = backfill.begin(self.wanted)
                self._todo = deque(steps.left(self.wanted.window, state.done))
                self.tally.windows = len(self._todo)
                if self._todo:
                    whole = Window(self._todo[0].start, self._todo[-1].end)
                    self._ahead = backfill.ranges.read_ahead(whole, directory)
                self._lead(crew, alive)
        finally:
            crew.close()
        settle(self.tally, self._state, assembly)

    def _crew(self, alive: Alive) -> Crew:
        backfill, assembly = self.backfill, self.backfill.assembly
        count = max(1, min(self.workers, self._most()))
        if count == 1 or backfill.job.waits:
            assembly.check, assembly.part = alive.check, True
            return Threads(count, partial(do, assembly, backfill.job, backfill.output), assembly.stop)
        backfill.ranges.preload()
        return Processes(count, _InFork(assembly, alive, backfill))

    def _most(self) -> int:
        """How many windows there are at most."""
        whole = self.wanted.window
        return int((whole.end - whole.start) / self.wanted.step) + 1

    def _lead(self, crew: Crew, alive: Alive) -> None:
        clock, backfill = self.backfill.assembly.clock, self.backfill
        renewed = looked = clock.monotonic()
        ended: list[Ended] = []
        while True:
            try:
                self._mark(alive)
                self._settle(crew, ended)
            except HarvestError:
                self._give_up(crew)
                raise
            self.show(self.tally)
            if not crew.busy and (self._over or not self._later):
                return
            ended = []
            for event in crew.events(_LOOK):
                if isinstance(event, Ended):
                    ended.append(event)
                else:
                    self._count(event)
            if clock.monotonic() - renewed > backfill.assembly.lease_ttl / 3:
                renewed = clock.monotonic()
                self._renew()
            if self._later and clock.monotonic() - looked > _OTHERS:
                looked = clock.monotonic()
                self._todo.extend(self._later)
                self._later.clear()
            self._maybe_stop(crew)
            if not crew.busy and not ended and not crew.free:
                self._none_left()

    def _give_up(self, crew: Crew) -> None:
        """Let the workers finish the batch in hand, as long as that takes no longer than a few seconds."""
        clock = self.backfill.patient.clock
        crew.stop()
        end = clock.monotonic() + _LAST
        while crew.busy and clock.monotonic() < end:
            crew.events(_LOOK)

    def _mark(self, alive: Alive) -> None:
        self.backfill.lease.check()
        since = self.backfill.lease.since
        if since is not None:
            alive.mark(since[0], since[1].timestamp())

    @property
    def _over(self) -> bool:
        """Whether no more windows are to be begun."""
        return self._stopping or self.backfill.assembly.stop.is_set() or bool(self._state and self._state.stop)

    def _maybe_stop(self, crew: Crew) -> None:
        stop = self._state.stop if self._state is not None else None
        at_once = stop is not None and stop.code not in (Exit.UNAVAILABLE, Exit.TRY_LATER)
        if not self._stopping and (at_once or self.backfill.assembly.stop.is_set()):
            self._stopping = True
            crew.stop()

    def _settle(self, crew: Crew, ended: Sequence[Ended]) -> None:
        """Write down what has ended, and begin what comes next: one write."""
        over, free = self._over, [] if self._over else crew.free
        if not ended and not (free and self._todo):
            return
        begun: list[Claim] = []
        todo: deque[Window] = deque()
        later: deque[Window] = deque()

        def change(before: BackfillState | None) -> BackfillState:
            nonlocal todo, later
            state, now = self.backfill.same(before), self.backfill.store.now()
            begun.clear()
            todo, later = deque(self._todo), deque(self._later)
            for one in ended:
                state = state.ended(one.claim.token, one.claim.window, one.result, now)
            for worker in free:
                while todo and state.stop is None:
                    window = todo.popleft()
                    claim = Claim(window, worker, uuid.uuid4().hex, now + self._ttl)
                    claimed = state.claimed(claim, now)
                    if claimed is not None:
                        state = claimed
                        begun.append(claim)
                        break
                    if state.others(now).touches(window):
                        later.append(window)
                    else:
                        todo.extendleft(reversed([*state.missing(window)]))
            return state

        self._state = self.backfill.store.change(change)
        self._todo, self._later = todo, later
        for one in ended:
            self._note(one)
        if not over:
            for claim in begun:
                self._under_way[claim.token] = 0
                crew.begin(claim, self._ahead)

    @property
    def _ttl(self) -> timedelta:
        return timedelta(seconds=self.backfill.assembly.lease_ttl)

    def _renew(self) -> None:
        if not self._under_way:
            return
        expires = self.backfill.store.now() + self._ttl
        self._state = self.backfill.store.change(
            lambda state: self.backfill.same(state).renewed(self._under_way, expires)
        )

    def _count(self, event: Delivered) -> None:
        token = event.claim.token
        self.tally.documents += event.count - self._under_way.get(token, 0)
        self._under_way[token] = event.count

    def _note(self, event: Ended) -> None:
        result = event.result
        self.tally.documents += result.delivered - self._under_way.pop(event.claim.token, 0)
        if result.code == Exit.DONE:
            self.tally.done += 1
        elif result.code is not None and not result.limited:
            self.tally.failed.append((event.claim.window, result))
            log.warning("%s failed with %d: %s", event.claim.window, result.code, result.error)

    def _none_left(self) -> None:
        raise Unavailable("all workers were killed, so the rest is not done; run the same command again")


def settle(tally: Tally, state: BackfillState | None, assembly: Assembly) -> None:
    """Name each window that failed, and end as the whole did.

    Raises:
        Interrupted: it was told to stop.
        HarvestError: what stopped it; `Unavailable` where windows failed.
    """
    for window, result in tally.failed:
        log.error("failed: %s with %d: %s", window, result.code, result.error)
    again = "run the same command again to do what is left"
    if state is not None and state.stop is not None:
        raise failure_of(state.stop.code, f"{state.stop.reason}. No more windows were begun; {again}.")
    if assembly.stop.is_set():
        raise Interrupted(f"told to stop: {tally.done} of {tally.windows} windows are done; {again}")
    if tally.failed:
        raise Unavailable(f"{len(tally.failed)} of {tally.windows} windows failed; {again}")
    if tally.ended < tally.windows:
        raise RaceLost(f"{tally.windows - tally.ended} of {tally.windows} windows were given back; {again}")


@dataclass
class _InFork:
    """Does windows in a fork, whose connections are not its parent's."""

    parent: Assembly
    alive: Alive
    backfill: Backfill
    _own: Assembly | None = None

    def __call__(self, window: Window, ahead: Any, tell: Callable[[int], None]) -> Result:
        if self._own is None:  # for all windows of this fork
            settings, stop, job = self.parent.settings, self.parent.stop, self.parent.job
            self._own = Assembly(settings, stop, job, check=self.alive.check, part=True)
        return do(self._own, self.backfill.job, self.backfill.output, window, ahead, tell)
