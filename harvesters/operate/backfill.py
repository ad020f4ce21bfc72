"""Back-fills: a job over the past into one output, window by window, with a state of its own.

The live checkpoint and its lease are neither written nor taken. What is done stands in one object beside them, so a
wider range does only its gaps, whoever begins it and however often it is killed.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from harvesters import canonical, telemetry
from harvesters.assembly import Assembly
from harvesters.errors import (
    ConfigError,
    CredentialsRefused,
    Exit,
    HarvestError,
    Interrupted,
    ProtocolError,
    RaceLost,
    RateLimited,
    Unavailable,
)
from harvesters.intervals import Intervals
from harvesters.operate.backfills import MARK
from harvesters.operate.backfillstate import BackfillState, Result, ends
from harvesters.operate.jobs import Job
from harvesters.operate.ranges import Ranges
from harvesters.operate.statestore import StateStore
from harvesters.operate.windows import Steps
from harvesters.pipeline import Counts
from harvesters.privacy import redact
from harvesters.process import Process
from harvesters.sinks.base import Made
from harvesters.stores.lease import Lease
from harvesters.timespan import Window, zone

log = logging.getLogger(__name__)

_ERRORS: dict[int, type[HarvestError]] = {
    Exit.UNAVAILABLE: Unavailable,
    Exit.TRY_LATER: RateLimited,
    Exit.PROTOCOL: ProtocolError,
    Exit.CREDENTIALS: CredentialsRefused,
    Exit.CONFIG: ConfigError,
}


@dataclass(frozen=True)
class Wanted:
    """What a back-fill is asked for.

    Args:
        window: the range; its end has gone by.
        step: how long one window is.
        again: do it anew.
        max_failures: windows in a row that may fail.
    """

    window: Window
    step: timedelta
    again: bool = False
    max_failures: int = 10


@dataclass
class Backfill:
    """One back-fill: a job, a source and an output.

    Args:
        output: as ``--output`` has it; None for the job's own.
        looks: nothing is made or written.
    """

    assembly: Assembly
    job: Job
    output: str | None
    looks: bool = False
    generation: str = field(default="", init=False)

    @cached_property
    def ranges(self) -> Ranges:
        """The job over ranges of time."""
        assert self.job.ranges is not None
        return self.job.ranges(self.assembly, self.output)

    @cached_property
    def _described(self) -> tuple[str, str, bool]:
        """The output's name, the back-fill's id, and whether the output is certainly empty."""
        with closing(self.ranges.sink()) as sink:
            there = not (self.looks and isinstance(sink, Made)) or sink.exists()
            identity, fresh = sink.identity() if there else ("missing", True)
            name = sink.name
        told = "\n".join((self.job.name, self.ranges.source, identity))
        return name, canonical.digest(told.encode("utf-8", "surrogateescape"), 6).hex(), fresh

    @property
    def id(self) -> str:
        """What tells it from others."""
        return self._described[1]

    @property
    def name(self) -> str:
        """What its object is called."""
        return f"{self.job.checkpoint(self.assembly.settings)}{MARK}{self.id}"

    @cached_property
    def patient(self) -> Assembly:
        """For state and lease, which are written also when the run is told to stop: its clock does not know of it."""
        return Assembly(self.assembly.settings, job=self.assembly.job)

    @cached_property
    def store(self) -> StateStore:
        """Where its state is."""
        return StateStore(self.patient.blob(self.name), self.patient.clock)

    @cached_property
    def lease(self) -> Lease:
        """Held by the one process that does windows on this machine."""
        return self.patient.lease(self.name)

    def close(self) -> None:
        """Let go of the store."""
        if "patient" in self.__dict__:
            self.patient.close()

    def load(self) -> BackfillState:
        """Its state; that of one that has not begun where there is none, or where the output was emptied."""
        return self._current(self.store.load())

    def missing(self, wanted: Wanted) -> Intervals:
        """What of the range is not done, whoever may be at it."""
        return self.load().missing(wanted.window)

    def left(self, state: BackfillState, wanted: Wanted) -> Intervals:
        """What of the range nobody has done or is at; all of it, where it is to be done anew."""
        if wanted.again:
            state = state.anew(wanted.window)
        missing = state.missing(wanted.window)
        # A file's clock is read by writing one, for which there is no need while nobody is at work.
        return missing - state.others(self.store.now()) if state.running else missing

    def steps(self, state: BackfillState, wanted: Wanted) -> Steps:
        """How the range is cut; the source may have to say."""
        days = state.days
        if days is None:
            days = self.ranges.days(wanted.step)
        return Steps(wanted.step, zone(days) if days else None)

    def begin(self, wanted: Wanted, afresh: bool = False) -> tuple[BackfillState, Steps]:
        """Write down that this range is asked for; the state then, and how the range is cut.

        Args:
            afresh: what has failed in it counts as missing: whoever does it has nothing else to know that by.

        Raises:
            HarvestError: the source does not say how it can be asked; nothing was written.
        """
        days = self.ranges.days(wanted.step)

        def change(before: BackfillState | None) -> BackfillState:
            state = self._current(before)
            if wanted.again:
                state = state.anew(wanted.window)
            state = state.asked(wanted.window, wanted.step.total_seconds(), wanted.max_failures)
            state = replace(state, days=days, output=self._described[0])
            return state.forgiven(wanted.window) if afresh else state

        state = self.store.change(change)
        assert state is not None
        self.generation = state.generation
        return state, Steps(wanted.step, zone(days) if days else None)

    def shown(self, state: BackfillState, window: Window | None) -> dict[str, Any]:
        """What ``--status --json`` says of `window`, or of all that was ever asked for."""
        whole = window or state.whole
        found: dict[str, Any] = {
            "job": self.job.name,
            "id": self.id,
            "output": state.output,
            "range": ends(whole) if whole is not None else None,
            "done": [],
            "running": [],
            "failed": [],
            "missing": [],
        }
        if whole is None:
            return found
        done = state.done & [whole]
        now = self.store.now() if state.running else None
        running = [
            (claim, part)
            for claim in state.running
            if now is not None and claim.lives(now)
            for part in Intervals.of([claim.window]) & [whole]
        ]
        taken = done | (part for _, part in running)
        failed = [(one, part) for one in state.failed for part in (Intervals.of([one.window]) & [whole]) - taken]
        found["done"] = [ends(one) for one in done]
        found["running"] = [{**ends(part), "worker": _named(claim.worker)} for claim, part in running]
        found["failed"] = [{**one.encode(), **ends(part)} for one, part in failed]
        found["missing"] = [ends(one) for one in Intervals.of([whole]) - (taken | (part for _, part in failed))]
        return found

    def same(self, state: BackfillState | None) -> BackfillState:
        """`state`, which is still that of the back-fill that was begun.

        Raises:
            RaceLost: somebody deleted it, or began it anew.
        """
        if state is None or state.generation != self.generation:
            raise RaceLost(f"{self.store.blob.name} was deleted, or begun anew; run the same command again")
        return state

    def _current(self, state: BackfillState | None) -> BackfillState:
        if state is None or (state.generation != self.generation and state.delivered and self._emptied()):
            return BackfillState(self.job.name, self._described[0], uuid.uuid4().hex)
        return state

    def _emptied(self) -> bool:
        """Whether what was delivered is there no more: looked at again, as others may just have begun."""
        if not self._described[2]:
            return False
        with closing(self.ranges.sink()) as sink:
            return sink.identity()[1]


def do(
    assembly: Assembly, job: Job, output: str | None, window: Window, ahead: Any, tell: Callable[[int], None]
) -> Result:
    """Harvest one window as a run by hand does, and say how it ended.

    Args:
        assembly: of a part (`Assembly.part`); its episodes and dialects are known to the next window too.
        tell: called with the number of documents delivered so far.
    """
    delivered = 0

    def watch(counts: Counts) -> None:
        nonlocal delivered
        delivered = counts.delivered
        tell(delivered)

    assert job.ranges is not None
    try:
        job.ranges(assembly, output).run(window, ahead, watch)
    except (Interrupted, RaceLost):
        return Result(None, delivered=delivered)
    except HarvestError as error:
        return Result(error.code, redact(str(error)), isinstance(error, RateLimited), delivered)
    except Exception as error:
        telemetry.log_bug(type(error), error, error.__traceback__)
        return Result(Exit.BUG, redact(f"a bug: {type(error).__name__}: {error}"[:500]), delivered=delivered)
    return Result(delivered=delivered)


def failure_of(code: int, reason: str) -> HarvestError:
    """The error that ends a command with that code."""
    return _ERRORS.get(code, Unavailable)(reason)


def _named(worker: Process) -> str:
    return f"{worker.host}:{worker.pid}"
