"""Analytics of messages, computed by a process that does so again and again until it is told to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harvesters.assembly import Assembly
from harvesters.clock import SystemClock
from harvesters.messages.windows import FIXED
from harvesters.settings import Settings

if TYPE_CHECKING:
    from harvesters.messages.analytics import Computer
    from harvesters.messages.platform import Platform

log = logging.getLogger(__name__)

_BUDGET, _THRESHOLD = "HARVEST_RETRY_BUDGET", "CARDINALITY_PRECISION_THRESHOLD"
_HERE = 5.0  # seconds for which a request is tried again: what waits for longer is to let others pass
_LOOK = 0.2  # seconds between two looks at whether the worker is told to stop


def check(settings: Settings) -> None:
    """See that the settings of analytics can be read.

    Raises:
        ConfigError: one cannot.
    """
    settings.timezone("MESSAGES_TIMEZONE")
    if settings.given(_THRESHOLD):
        from harvesters.messages.analytics import threshold

        threshold(settings)


class _Finishing(SystemClock):
    """Waits for what is away end when the worker is told to stop; what has answers so far is finished."""

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            super().sleep(seconds)


@dataclass
class Analytics:
    """Computes them; what that needs is opened when it is first asked, in the process that asks.

    Errors are those of `Computer`, `Interrupted` where it waits and is told to stop.

    Args:
        stopping: whether it is told to stop.
        lease: seconds after which an analytic is free again that somebody has died over, at most.
    """

    settings: Settings
    stopping: Callable[[], bool]
    lease: float
    _open: tuple[Assembly, Computer] | None = field(default=None, init=False)

    def compute(self, id: str) -> None:
        """Compute one, and keep its result. One that there is not is left."""
        from harvesters.messages.analytics import UnknownAnalytic

        with self._computer() as computer:
            try:
                computer.compute(id)
            except UnknownAnalytic as error:
                log.info("%s: nothing to compute", error)

    def ids(self, kind: str | None) -> list[str]:
        """Of all, or of those whose windows are of that type."""
        with self._computer() as computer:
            return [one.id for one in computer.store.all(lambda stored: kind is None or stored.kind == kind)]

    def unfinished(self) -> list[str]:
        """Of those with a fixed window that are without a result, or whose window was not over when it was made."""
        with self._computer() as computer:
            return [one.id for one in computer.store.all(lambda stored: stored.kind == FIXED and stored.is_due)]

    def close(self) -> None:
        """Let go of connections."""
        if self._open is not None:
            assembly, computer = self._open
            computer.close()
            assembly.close()
            self._open = None

    @contextmanager
    def _computer(self) -> Iterator[Computer]:
        """Its waits end when the worker is told to stop."""
        if self._open is None:
            self._open = self._opened()
        assembly, computer = self._open
        over = threading.Event()

        def look() -> None:
            while not over.wait(_LOOK):
                if self.stopping():
                    assembly.stop.set()
                    return

        watch = threading.Thread(target=look, name="stopping", daemon=True)
        watch.start()
        try:
            yield computer
        finally:
            over.set()
            watch.join()

    def _opened(self) -> tuple[Assembly, Computer]:
        from harvesters.messages.analytics import Computer
        from harvesters.messages.platform import Platform

        told = self.settings
        budget = min(told.number(_BUDGET), _HERE)
        ttl = max(1.0, min(told.number("HARVEST_LEASE_TTL", minimum=1), self.lease))
        settings = told.with_flags({_BUDGET: budget, "HARVEST_LEASE_TTL": ttl})
        assembly = Assembly(settings, part=True)
        assembly.clock = _Finishing(assembly.stop)

        def platform() -> Platform:
            return Platform.from_settings(settings, assembly.retry)

        return assembly, Computer(assembly.search(), platform, settings, assembly.clock)
