"""Work that a signal can end in the middle of a query."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TypeVar

from harvesters.errors import Interrupted

T = TypeVar("T")

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
    raise Interrupted("told to stop: nothing was answered")
