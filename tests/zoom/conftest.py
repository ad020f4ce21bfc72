"""Starts simulated Zooms on a clock that does not wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from harvesters.simulators.zoom.data import Account, Meeting
from harvesters.simulators.zoom.server import ZoomSimulator
from tests.clocks import FakeClock
from tests.zoom.harness import MORNING, Bench

Start = Callable[..., Bench]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(MORNING)


@pytest.fixture
def start(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """``start(meeting, …, simulator options)``: a bench around an account with these meetings, or `account`."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")  # nobody listens there
    with ExitStack() as stack:

        def begin(*meetings: Meeting, account: Account | None = None, **options: Any) -> Bench:
            account = account if account is not None else Account(meetings=meetings)
            simulator = ZoomSimulator(account, now=lambda: clock.now().timestamp(), **options)
            return Bench(stack.enter_context(simulator), clock)

        yield begin
