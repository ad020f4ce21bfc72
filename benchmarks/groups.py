"""What every group of cases has: its sizes, its cases, and words for the reader of its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.figures import Figure


@dataclass(frozen=True)
class Sizes:
    """How much is moved, and how often. The targets are those of a scale of 1.

    Attributes:
        scale: multiplies the numbers of documents.
        runs: how often each thing is measured; the median counts.
    """

    scale: float = 1.0
    runs: int = 3

    def of(self, number: int) -> int:
        """`number`, scaled: a multiple of ten, and ten at least."""
        return max(10, int(number * self.scale) // 10 * 10)


Case = Callable[[Sizes], Iterator[Figure]]


@dataclass(frozen=True)
class Group:
    """Cases that belong together, and share a table of `docs/benchmarks.md`.

    Attributes:
        data: what is moved, as a sentence.
    """

    data: str
    cases: Mapping[str, Case]
