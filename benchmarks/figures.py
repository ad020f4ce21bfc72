"""What is measured: figures beside their targets, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A bound that a figure is to keep: at most (or at least) `bound`, in the figure's unit."""

    bound: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether `value` keeps it."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        what: in words, for the table.
        unit: ``×``, ``s``, ``MB``, ``%`` or ``/s``.
        target: None for a figure that only explains the others.
        note: how it came about, if that does not go without saying.
    """

    what: str
    value: float
    unit: str
    target: Target | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        """False when it misses its target."""
        return self.target is None or self.target.met(self.value)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "met": self.met}


def table(figures: Iterable[Figure]) -> Iterator[str]:
    """The lines of a markdown table."""
    yield "| figure | measured | target | |"
    yield "|---|---|---|---|"
    for figure in figures:
        bound = "" if figure.target is None else _bound(figure.target, figure.unit)
        missed = "" if figure.met else "**missed** "
        yield f"| {figure.what} | {_written(figure.value, figure.unit)} | {bound} | {missed}{figure.note} |"


def _bound(target: Target, unit: str) -> str:
    return f"{'≥' if target.at_least else '≤'} {_written(target.bound, unit)}"


def _written(value: float, unit: str) -> str:
    if value >= 1000:
        number = f"{value:,.0f}"
    elif unit == "MB" or value >= 100:
        number = f"{value:.0f}"
    else:
        number = f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{number} {unit}".rstrip()
