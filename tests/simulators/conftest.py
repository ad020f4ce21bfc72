"""Fixtures of the simulators' tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harvesters.simulators.opencast.server import OpencastSimulator
from tests.simulators.asking import Start


@pytest.fixture
def opencast() -> Iterator[Start]:
    """Starts simulated Opencasts with given options, and stops them after the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(OpencastSimulator(**options))
