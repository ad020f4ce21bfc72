"""Work that a signal can end in the middle of a query."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TextIO, TypeVar

from harvesters.errors import Interrupted

T = TypeVar("T")

_STOPPED = "told to stop: nothing was answered"

_LOOK = 0.1  # seconds between two looks at whether to stop
_PATIENCE = 1.0  # seconds that the work has to end by itself


def until_stopped(work: Callable[[], T], stop: threading.Event, interrupt: Callable[[], None]) -> T:
    """What `work` returns; when `stop` is set, `interrupt` is called, and the work has a second left.

    It runs in a thread of its own: Python hears a signal in the main thread only, and not while that is in a query.

    Raises:
        Interrupted: told to stop.
        Exception: as `work` raises.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="insights", daemon=True).start()
    waited = 0.0
    while waited < _PATIENCE:
        try:
            return future.result(_LOOK)
        except NotYet:
            if future.done():
                raise  # the work's own
        if stop.is_set():
            waited += _LOOK
            interrupt()
    raise Interrupted(_STOPPED)


class Stoppable(io.TextIOBase):
    """A stream to which nothing more is written once `stop` is set."""

    def __init__(self, stream: TextIO, stop: threading.Event) -> None:
        self._stream, self._stop = stream, stop

    def write(self, text: str) -> int:
        """Write it all.

        Raises:
            Interrupted: told to stop.
        """
        if self._stop.is_set():
            raise Interrupted(_STOPPED)
        return self._stream.write(text)
