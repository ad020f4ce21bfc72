"""What a listener does in a thread of its own, so that no run waits for it: one thing after the other."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from harvesters.errors import HarvestError, Interrupted

log = logging.getLogger(__name__)

WITHIN = 4.5
"""Seconds that a run's end waits for the last of it."""

_MOST = 10_000  # things in line; what comes on top is dropped

Work = Callable[[], None]


class Complaint:
    """One warning, however often there is cause for it.

    Args:
        what: what does not happen.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._said = threading.Lock()

    def __call__(self, why: object) -> None:
        """Warn, the first time."""
        if self._said.acquire(blocking=False):
            log.warning("%s: %s", self._what, why)


class Aside:
    """A thread that works off what it is given; what goes wrong there is complained of, and goes no further."""

    def __init__(self, name: str, complain: Complaint) -> None:
        self.complain = complain
        self._name = name
        self._line: queue.Queue[Work] = queue.Queue(_MOST)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def do(self, work: Work) -> None:
        """Put it in line."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work_off, name=self._name, daemon=True)
            self._thread.start()
        try:
            self._line.put_nowait(work)
        except queue.Full:
            return

    def last(self, work: Work) -> None:
        """Put it in line, and wait for it, `WITHIN` seconds at most. What is not begun by then is not begun at all."""
        done, late = threading.Event(), threading.Event()

        def finish() -> None:
            if not late.is_set():
                self._guarded(work)
            self._over.set()
            done.set()

        self.do(finish)
        if not done.wait(WITHIN):
            late.set()
            self.complain(f"not done in {WITHIN:g} s")

    def _work_off(self) -> None:
        while not self._over.is_set():
            self._guarded(self._line.get())

    def _guarded(self, work: Work) -> None:
        try:
            work()
        except Interrupted:
            return  # it is not wanted any more
        except HarvestError as error:
            self.complain(error)
        except Exception as error:
            self.complain(f"{type(error).__name__}: {error}")
