"""Analytics of messages, computed by a process that does so again and again until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harvesters.settings import Settings


@dataclass
class Analytics:
    """Computes them; what it needs is opened when it is first asked, in the process that asks."""

    settings: Settings
    stopping: Callable[[], bool]

    def compute(self, id: str) -> None:
        """Compute one, and keep its result. One that there is not is left."""

    def ids(self, kind: str | None) -> list[str]:
        """Of all, or of those with that type of window."""
        return []

    def unfinished(self) -> list[str]:
        """Of those with a fixed window that are to be computed: without a result, or with an end after it was made."""
        return []

    def close(self) -> None:
        """Let go of connections."""
