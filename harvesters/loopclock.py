"""Waiting in an event loop for a run that a signal, or another thread, may tell to stop."""

from __future__ import annotations

import asyncio
import threading
import time

from harvesters.errors import Interrupted

_LOOK = 0.1  # seconds between two looks at whether to stop: a signal does not wake an event loop


class LoopClock:
    """As `SystemClock`, for waits that let the other tasks of an event loop go on."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or raise `Interrupted`."""
        end = time.monotonic() + seconds
        while not self.stop.is_set():
            left = end - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, _LOOK))
        raise Interrupted("told to stop while waiting; run the same command again to go on")

    async def stopped(self) -> None:
        """Return as soon as the run is told to stop."""
        while not self.stop.is_set():
            await asyncio.sleep(_LOOK)
