"""A clock that tests set by hand: waiting takes no time, and is remembered."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from harvesters.clock import SystemClock
from harvesters.retry import RetryPolicy

NOW = datetime(2026, 2, 13, 9, 30, tzinfo=UTC)


class FakeClock:
    """A `harvesters.clock.Clock` whose time passes only by `sleep` and `advance`; `slept` lists the waits."""

    def __init__(self, now: datetime = NOW) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._elapsed = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._elapsed += seconds


def patient(clock: FakeClock | None = None, budget: float = 120.0) -> RetryPolicy:
    """The retry policy on a clock that does not wait."""
    return RetryPolicy(clock if clock is not None else FakeClock(), budget)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on what waits in this process has waited at once; who is told to stop is told so while waiting."""
    passed = FakeClock()
    monotonic, sleep = SystemClock.monotonic, SystemClock.sleep

    def slept(clock: SystemClock, seconds: float) -> None:
        passed.advance(seconds)
        sleep(clock, 0)

    monkeypatch.setattr(SystemClock, "sleep", slept)
    monkeypatch.setattr(SystemClock, "monotonic", lambda clock: monotonic(clock) + passed.monotonic())
