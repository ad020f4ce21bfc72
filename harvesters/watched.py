"""A run of a job as others see it: who keeps records of runs, pings or measures listens here.

Told of are exactly the runs that may move their job's checkpoint, and each run of a job that has none. Who finds the
lease held is no such run. Listeners come last and fail nothing: what a run is worth does not depend on them.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from harvesters.clock import Clock, SystemClock
from harvesters.errors import Exit, HarvestError, LeaseHeld
from harvesters.telemetry import Report

log = logging.getLogger(__name__)

BEAT = 60.0  # seconds
_RUNNING = "running"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# What jobs call the same thing.
_ROWS, _DELIVERED = ("rows", "received", "views"), ("delivered", "indexed", "logged", "updated")


@dataclass(frozen=True)
class RunRecord:
    """One run: `ended` and `exit_code` are None while it goes on, and `seconds` says how long it was seen to."""

    started: datetime
    ended: datetime | None
    seconds: float
    exit_code: int | None
    outcome: str
    host: str
    counts: dict[str, int]

    @property
    def seen(self) -> datetime:
        """When it was last known to be alive."""
        return self.ended if self.ended is not None else self.started + timedelta(seconds=self.seconds)


@dataclass
class Step:
    """A part of a run: ``fetch``, ``deliver`` or ``commit``, which there may be many of, and beside one another.

    Attributes:
        rows: how many it was about, where that is known.
        failed: it was left by an exception.
        told: whether it is worth telling; a look that found nothing may not be.
    """

    name: str
    started: datetime
    seconds: float = 0.0
    rows: int | None = None
    failed: bool = False
    told: bool = True


class Listener(Protocol):
    """Hears of runs. Nothing that it raises ends a run, but it must not take long either."""

    def began(self, run: Watched) -> None:
        """The run has its lease, where it needs one."""

    def goes_on(self, run: Watched, record: RunRecord) -> None:
        """A run that stays is alive; when it begins, and once a minute."""

    def stepped(self, run: Watched, step: Step) -> None:
        """A part of the run is done, maybe in another thread than the one before."""

    def ended(self, run: Watched, record: RunRecord, report: Report | None) -> None:
        """The run has ended, with the exit code that the record says; the report is None when it never got so far.

        All listeners are told at the same time, each in a thread of its own; the run's end waits for the slowest.
        """

    def held(self, run: Watched) -> None:
        """Another run holds the lease."""


@dataclass
class Watched:
    """A run of `job`, from entering to leaving this context.

    Args:
        job: the job's name.
        moves: whether the run may move the job's checkpoint, as far as is known before it is planned.
        stays: whether it goes on until it is told to stop.
    """

    job: str
    moves: bool = True
    stays: bool = False
    listeners: Sequence[Listener] = ()
    clock: Clock = field(default_factory=SystemClock)
    code: int | None = field(default=None, init=False)  # of a run whose exit code is no exception
    report: Report | None = field(default=None, init=False)
    counts: Callable[[], dict[str, Any]] = field(default=dict, init=False)  # of a run that goes on
    _started: tuple[datetime, float] | None = field(default=None, init=False)
    _begun: bool = field(default=False, init=False)
    _over: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def started(self) -> datetime:
        """When it was entered."""
        return self._started[0] if self._started is not None else self.clock.now()

    def __enter__(self) -> Self:
        self.code = self.report = None
        self._begun = False
        self._over = threading.Event()
        self._started = self.clock.now(), self.clock.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if isinstance(error, LeaseHeld):
            self._tell_beside(lambda listener: listener.held(self))
        elif self.moves and self._started is not None:
            code = exit_code(error) if error is not None else self.code or Exit.DONE
            record = self._record(int(code))
            self._tell_beside(lambda listener: listener.ended(self, record, self.report))
        self._started = None

    def begin(self) -> None:
        """The run has its lease, or needs none."""
        if self._begun or self._started is None or not self.moves:
            return
        self._begun = True
        self._tell(lambda listener: listener.began(self))
        if self.stays and self.listeners:
            threading.Thread(target=self._beat, args=(self._over,), name="beat", daemon=True).start()

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A part of the run, from entering to leaving this context."""
        since = self.clock.monotonic()
        step = Step(name, self.clock.now())
        try:
            yield step
        except BaseException:
            step.failed = True
            raise
        finally:
            if self._begun and step.told:
                step.seconds = self.clock.monotonic() - since
                self._tell(lambda listener: listener.stepped(self, step))

    def hear(self, report: Report) -> None:
        """Take the run's report; a listener of `runs.run`."""
        self.report = report

    @contextmanager
    def round(self) -> Iterator[Watched]:
        """One round of a run that goes on: a run of its own, so that one which fails is seen."""
        one = replace(self)
        self.forget()  # what is told of are the rounds
        with one:
            one.begin()
            yield one

    def forget(self) -> None:
        """Nothing is told of this one, as where the command line was wrong."""
        self._started = None

    def _beat(self, over: threading.Event) -> None:
        while True:
            record = self._record(None)
            if over.is_set():
                return
            self._tell(partial(self._renew, record))
            if over.wait(BEAT):
                return

    def _renew(self, record: RunRecord, listener: Listener) -> None:
        listener.goes_on(self, record)

    def _record(self, code: int | None) -> RunRecord:
        assert self._started is not None
        started, since = self._started
        seconds = round(self.clock.monotonic() - since, 3)
        ended = self.clock.now() if code is not None else None
        fields = self.report.fields if self.report is not None and code is not None else self.counts()
        return RunRecord(started, ended, seconds, code, _outcome(code), socket.gethostname(), counted(fields))

    def _tell(self, call: Callable[[Listener], None]) -> None:
        for listener in self.listeners:
            _told(listener, call)

    def _tell_beside(self, call: Callable[[Listener], None]) -> None:
        """As `_tell`, all at the same time: each may take its time, and the run's end waits once."""
        threads = [threading.Thread(target=_told, args=(one, call), daemon=True) for one in self.listeners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _told(listener: Listener, call: Callable[[Listener], None]) -> None:
    with suppress(Exception):
        call(listener)


def exit_code(error: BaseException) -> int:
    """The exit code of a process that `error` ends."""
    if isinstance(error, HarvestError):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        return Exit.TRY_LATER
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return Exit.UNAVAILABLE
    return Exit.BUG


def counted(fields: dict[str, Any]) -> dict[str, int]:
    """The numbers in a report; ``rows``, ``delivered`` and ``dead`` are always among them, whatever the job says."""
    numbers = {name: value for name, value in fields.items() if type(value) is int}
    rows, delivered = (next((numbers[name] for name in names if name in numbers), 0) for names in (_ROWS, _DELIVERED))
    return {"rows": rows, "delivered": delivered, "dead": 0, **numbers}


def _outcome(code: int | None) -> str:
    if code is None:
        return _RUNNING
    words: dict[int, str] = {Exit.DONE: "done", Exit.BUG: "failed"}
    return words.get(code, f"ended with {code}")
