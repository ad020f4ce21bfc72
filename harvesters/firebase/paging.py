"""How many children are asked for at once: fewer when the database refuses, more when answers are small and quick."""

from __future__ import annotations

from dataclasses import dataclass

COMFORTABLE = 8 * 1024 * 1024
"""Bytes of an answer that are worth a request and still little memory; beyond that fewer children are asked for."""

SMALL = 4 * 1024 * 1024
"""Bytes that the next answer may have and still be a small one: 20 ms of waiting are little beside reading so many."""

QUICK = 2.0
"""Seconds up to which an answer is a quick one. A database reads for one client after the other: a slow answer keeps
others waiting."""

SLOW = 10.0
"""Seconds of an answer from which on fewer children are asked for."""

FIRST = 1000
"""Children of a first page, before anything is known of them."""

_PATIENCE = 4  # good pages after which more is tried; at once would mean a refusal for every second page


@dataclass
class PageSize:
    """Adaptive, between 1 and `most`; None is no limit but what is small and quick."""

    most: int | None = FIRST
    now: int = 0
    _good: int = 0
    _refused: bool = False

    def __post_init__(self) -> None:
        self.now = self.now or self.most or FIRST

    def shrink(self) -> bool:
        """Halve it; False when one child alone is too much."""
        self._good, self._refused = 0, True
        if self.now == 1:
            return False
        self.now //= 2
        return True

    def learn(self, children: int, size: int, seconds: float = 0.0) -> None:
        """An answer of `size` bytes and `seconds` held `children`: keep to what is comfortable, or ask for more."""
        self._good += 1
        if size > COMFORTABLE:
            self.now = max(1, min(self.now, children * COMFORTABLE // size))
        elif seconds > SLOW:
            # Not below the first size: where every answer is slow, as over a bad line, fewer children help nobody.
            self.now = max(min(self.now, FIRST), min(self.now, int(children * SLOW / seconds)))
        elif self.most is not None:
            self._grow(min(self.most, self.now * 2))
        elif seconds <= QUICK:
            self._grow(max(self.now, min(self.now * 2, children * SMALL // max(1, size))))

    def _grow(self, wanted: int) -> None:
        """Ask for `wanted`: at once as long as nothing was refused, else now and then."""
        if self.most is None and not self._refused:
            self.now = wanted
        elif self._good >= _PATIENCE:
            self._good, self.now = 0, wanted
