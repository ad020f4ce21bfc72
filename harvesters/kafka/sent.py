"""Where a message is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sent:
    """Where an acknowledged message is."""

    topic: str
    partition: int
    offset: int
