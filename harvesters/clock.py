"""The one place that knows what time it is and how to wait; passed in everywhere, so that no test waits."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol

from harvesters.errors import Interrupted


class Clock(Protocol):
    """Wall-clock time, elapsed time, and waiting."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary point, never going back."""

    def sleep(self, seconds: float) -> None:
        """Wait; raises `Interrupted` as soon as the run is told to stop."""


class SystemClock:
    """The real clock. Waiting ends at once when `stop` is set (by SIGTERM or Ctrl-C)."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.stop = stop if stop is not None else threading.Event()

    def now(self) -> datetime:
        """The system's time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The system's monotonic clock, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or raise `Interrupted`."""
        if self.stop.wait(min(max(0.0, seconds), threading.TIMEOUT_MAX)):
            raise Interrupted("told to stop while waiting; run the same command again to go on")
