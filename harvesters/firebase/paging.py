"""How many children are asked for at once: fewer when the database refuses, more again when it does not."""

from __future__ import annotations

from dataclasses import dataclass

COMFORTABLE = 8 * 1024 * 1024
"""Bytes of an answer that are worth a request and still little memory."""

_PATIENCE = 4  # good pages after which more is tried; at once would mean a refusal for every second page


@dataclass
class PageSize:
    """Adaptive, between 1 and `most`."""

    most: int = 1000
    now: int = 0
    _good: int = 0

    def __post_init__(self) -> None:
        self.now = self.now or self.most

    def shrink(self) -> bool:
        """Halve it; False when one child alone is too much."""
        self._good = 0
        if self.now == 1:
            return False
        self.now //= 2
        return True

    def learn(self, children: int, size: int) -> None:
        """An answer of `size` bytes held `children`: keep to what is comfortable, and grow back now and then."""
        self._good += 1
        if self._good >= _PATIENCE:
            self._good, self.now = 0, min(self.most, self.now * 2)
        if size > COMFORTABLE:
            self.now = max(1, min(self.now, children * COMFORTABLE // size))
