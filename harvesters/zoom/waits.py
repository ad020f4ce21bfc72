"""How long one call has been waited for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Waits:
    """How long one call has been waited for.

    Attributes:
        slept: seconds of waits for its turn.
        refused: when Zoom refused it first (monotonic seconds); None where it did not.
        stood: seconds of waits for the answers to others.
    """

    slept: float = 0.0
    refused: float | None = None
    stood: float = 0.0

    def after(self, now: float, seconds: float) -> float:
        """How long it will have been after `seconds` more: all since the first refusal counts, other calls too."""
        return seconds + max(self.slept, now - self.refused if self.refused is not None else 0.0)
