"""One window of a back-fill, done by a worker that knows only what it was told and its own settings.

Whatever is delivered or queued twice, one worker at a time is at a window: it claims it in the back-fill's state,
renews that while it works, and sends nothing once the claim may be somebody else's.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any

from harvesters import canonical
from harvesters.assembly import Assembly
from harvesters.errors import ConfigError, Exit, HarvestError
from harvesters.operate.backfill import Backfill, do
from harvesters.operate.backfillstate import BackfillState, Claim, Result
from harvesters.operate.crew import Alive
from harvesters.operate.jobs import BY_NAME
from harvesters.operate.scratch import Scratch
from harvesters.privacy import redact
from harvesters.process import Process
from harvesters.settings import Settings
from harvesters.spans import WindowError
from harvesters.timespan import Window, parse_moment

log = logging.getLogger(__name__)

_LOOK = 0.2  # seconds between two looks at whether the worker is told to stop
_READ = 2.0  # seconds between two looks at whether the back-fill is ended


@dataclass(frozen=True)
class Errand:
    """What a worker is told: plain text, and nothing that a setting says.

    Attributes:
        id, place: of the back-fill, and of its state as a digest: a worker whose settings lead elsewhere has others.
        run: which call of the command, for what is read ahead once a run.
        whole: of that run.
    """

    job: str
    output: str
    id: str
    place: str
    generation: str
    run: str
    whole: str
    window: str

    @classmethod
    def of(cls, backfill: Backfill, run: str, whole: Window, window: Window) -> Errand:
        """The one for that window."""
        output, place = backfill.output or "", place_of(backfill)
        return cls(backfill.job.name, output, backfill.id, place, backfill.generation, run, str(whole), str(window))

    @classmethod
    def read(cls, told: dict[str, Any]) -> Errand:
        """From what came with the task.

        Raises:
            TypeError: it is none.
        """
        return cls(**told)

    def told(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


class Verdict(Enum):
    """What became of an errand."""

    OVER = "there is nothing more to do"
    LATER = "somebody else is at it"
    BACK = "it was given back"


Refuse = Callable[[Errand, int, str], None]


@dataclass
class Worker:
    """Does errands, one at a time.

    Args:
        stopping: whether it is told to stop.
        refuse: tells the command of a window that can not even be claimed here: its code, and why.
    """

    settings: Settings
    stopping: Callable[[], bool]
    refuse: Refuse
    _known: dict[tuple[str, str], Backfill] = field(default_factory=dict)
    _ahead: tuple[str, Scratch | None, Any] = ("", None, None)

    def do(self, errand: Errand) -> Verdict:
        """Do what is missing of its window, and write down what came of it."""
        try:
            backfill = self._backfill(errand)
            if not self._under_way(backfill, errand):
                return Verdict.OVER
        except (HarvestError, WindowError) as error:
            code = error.code if isinstance(error, HarvestError) else Exit.CONFIG
            log.error("%s: refused with %d: %s", errand.window, code, error)
            self.refuse(errand, code, redact(str(error)))
            return Verdict.OVER
        return self._missing(backfill, errand)

    def close(self) -> None:
        """Let go of connections, and of what was read ahead."""
        for backfill in self._known.values():
            backfill.close()
            backfill.assembly.close()
        self._known.clear()
        if self._ahead[1] is not None:
            self._ahead[1].close()
        self._ahead = ("", None, None)

    def _backfill(self, errand: Errand) -> Backfill:
        """The one that the errand is of; its connections are kept for the next errand.

        Raises:
            ConfigError: the settings here lead elsewhere.
        """
        which = errand.job, errand.output
        for known in (self._known.get(which), None):
            backfill = known or self._opened(errand)
            if (backfill.id, place_of(backfill)) == (errand.id, errand.place):
                self._known[which] = backfill
                return backfill
            self._known.pop(which, None)  # its output may have been made anew since
            backfill.close()
            backfill.assembly.close()
        raise ConfigError(
            "the settings of this worker lead to another source, output or state than those of the command that queued "
            "the window: give all of them the same"
        )

    def _opened(self, errand: Errand) -> Backfill:
        job = BY_NAME[errand.job]
        backfill = Backfill(Assembly(self.settings, job=job.name, part=True), job, errand.output or None)
        backfill.ranges.require()
        return backfill

    def _under_way(self, backfill: Backfill, errand: Errand) -> bool:
        """Whether that back-fill has not been begun anew since.

        Raises:
            ConfigError: there is nothing where the command keeps its state.
        """
        state = backfill.store.load()
        if state is None:
            raise ConfigError(f"this worker finds no {backfill.store.blob.name}, where the command keeps the state")
        backfill.generation = errand.generation
        return state.generation == errand.generation

    def _missing(self, backfill: Backfill, errand: Errand) -> Verdict:
        window = window_of(errand.window)
        while not self.stopping():
            state = backfill.same(backfill.store.load())
            left = state.missing(window)
            if state.stop is not None or not left or any(_within(window, one.window) for one in state.failed):
                return Verdict.OVER
            claim = self._claim(backfill, next(iter(left)))
            if claim is None:
                return Verdict.LATER
            result = self._work(backfill, errand, claim)
            backfill.store.change(partial(_ended, backfill, claim, result, backfill.store.now()))
            if result.code is None:
                return Verdict.BACK
        return Verdict.BACK

    def _claim(self, backfill: Backfill, window: Window) -> Claim | None:
        now = backfill.store.now()
        expires = now + timedelta(seconds=backfill.assembly.lease_ttl)
        claim = Claim(window, Process.current(), uuid.uuid4().hex, expires)
        state = backfill.store.change(lambda state: backfill.same(state).claimed(claim, now))
        return claim if state is not None and state.holds(claim.token) else None

    def _work(self, backfill: Backfill, errand: Errand, claim: Claim) -> Result:
        assembly = Assembly(self.settings, job=backfill.job.name, part=True)
        with closing(assembly), _kept(backfill, claim, self.stopping, assembly.stop) as alive:
            assembly.check = alive.check
            try:
                ahead = self._read_ahead(backfill, errand)
            except HarvestError as error:
                return Result(error.code, redact(str(error)))
            return do(assembly, backfill.job, backfill.output, claim.window, ahead, lambda count: None)

    def _read_ahead(self, backfill: Backfill, errand: Errand) -> Any:
        """What each window of a run would read again, which this process reads once."""
        run, directory, ahead = self._ahead
        if run != errand.run:
            if directory is not None:
                directory.close()
            directory = Scratch()
            ahead = backfill.ranges.read_ahead(window_of(errand.whole), directory.path)
            self._ahead = errand.run, directory, ahead
        return ahead


@contextmanager
def _kept(backfill: Backfill, claim: Claim, stopping: Callable[[], bool], stop: threading.Event) -> Iterator[Alive]:
    """The claim is renewed while the block lasts; `stop` is set when the worker, or the back-fill, is told to stop."""
    alive = Alive(backfill.patient.clock, backfill.patient.lease_ttl)
    over = threading.Event()
    keeping = (backfill, claim, stopping, stop, alive, over)
    keeper = threading.Thread(target=_keep, args=keeping, name="claim", daemon=True)
    keeper.start()
    try:
        yield alive
    finally:
        over.set()
        keeper.join()


def _keep(
    backfill: Backfill,
    claim: Claim,
    stopping: Callable[[], bool],
    stop: threading.Event,
    alive: Alive,
    over: threading.Event,
) -> None:
    clock, ttl = backfill.patient.clock, backfill.patient.lease_ttl
    renewed = read = clock.monotonic()
    while not over.wait(_LOOK):
        if stopping():
            stop.set()
        now = clock.monotonic()
        try:
            if now - renewed >= ttl / 3:
                wall, expires = clock.now().timestamp(), backfill.store.now() + timedelta(seconds=ttl)
                state = backfill.store.change(partial(_renewed, backfill, claim, expires))
                if state is None or not state.holds(claim.token):
                    alive.lose()
                    stop.set()
                    return
                alive.mark(now, wall)
                renewed = now
            elif now - read >= min(_READ, ttl / 6):
                read = now
                state = backfill.same(backfill.store.load())
                if state.stop is not None and state.stop.code not in (Exit.UNAVAILABLE, Exit.TRY_LATER):
                    stop.set()
        except HarvestError as error:
            log.warning("the claim of %s could not be renewed, and will be tried again: %s", claim.window, error)


def _ended(
    backfill: Backfill, claim: Claim, result: Result, now: datetime, state: BackfillState | None
) -> BackfillState:
    return backfill.same(state).ended(claim.token, claim.window, result, now)


def _renewed(backfill: Backfill, claim: Claim, expires: datetime, state: BackfillState | None) -> BackfillState:
    return backfill.same(state).renewed([claim.token], expires)


def place_of(backfill: Backfill) -> str:
    """Where its state is, and which pseudonyms leave, without saying it."""
    told = [backfill.store.blob.place, *backfill.assembly.outbound.told()]
    return canonical.digest("\n".join(told).encode("utf-8", "surrogateescape"), 6).hex()


def window_of(text: str) -> Window:
    """The window that ``START/END`` says."""
    start, _, end = text.partition("/")
    return Window(parse_moment(start, UTC), parse_moment(end, UTC))


def _within(outer: Window, inner: Window) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end
