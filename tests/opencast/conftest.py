"""What the harvests of a simulated Opencast share."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from harvesters.simulators import base
from tests.clocks import FakeClock


@pytest.fixture
def server_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator's ``Date`` header tells its own time, as a server's does."""

    def date(handler: Any, timestamp: float | None = None) -> str:
        return format_datetime(handler.server.simulator.now(), usegmt=True)

    monkeypatch.setattr(base._Handler, "date_time_string", date)


@pytest.fixture
def clock(server_date: None) -> FakeClock:
    """A clock in the middle of a minute, of us and of the simulator."""
    return FakeClock(datetime(2026, 3, 12, 15, 4, 17, 250_000, UTC))
