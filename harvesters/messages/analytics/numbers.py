"""Numbers with how often each is there, and what a cluster would aggregate of them. Pure, and the same for all."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Any

_PERCENTS = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
_SIGMA = 2.0  # standard deviations between average and bound

Said = dict[str, Any]


class Numbers:
    """Numbers, of which there is at least one.

    What no double can hold, such as the sum of numbers that are too large, is None.
    """

    def __init__(self, counts: Mapping[float, int]) -> None:
        self._counts = sorted(counts.items())
        self._until = [*accumulate(count for _, count in self._counts)]
        self.count = sum(counts.values())
        self.min, self.max = self._counts[0][0], self._counts[-1][0]
        self.sum = _sum(value * count for value, count in self._counts)
        self.avg = _finite(self.sum / self.count) if self.sum is not None else None

    def percentile(self, percent: float) -> float:
        """The number that so many percent are not above, in a straight line between two neighbours."""
        place = (self.count - 1) * percent / 100
        below, above = self._at(math.floor(place)), self._at(math.ceil(place))
        part = place - math.floor(place)
        return below * (1 - part) + above * part

    def aggregate(self, name: str) -> Said:
        """The aggregation of that name, as a result shows it."""
        return _AGGREGATIONS[name](self)

    def stats(self) -> Said:
        """Five figures."""
        return {"count": self.count, "min": self.min, "max": self.max, "avg": self.avg, "sum": self.sum}

    def extended_stats(self) -> Said:
        """Those, and how far the numbers are from their average."""
        apart = self._apart()
        population = apart / self.count if apart is not None else None
        sampling = apart / (self.count - 1) if apart is not None and self.count > 1 else None
        deviations = {"population": _root(population), "sampling": _root(sampling)}
        bounds = {
            f"{side}{suffix}": self._bound(sign, deviations[kind])
            for suffix, kind in (("", "population"), ("_population", "population"), ("_sampling", "sampling"))
            for side, sign in (("upper", _SIGMA), ("lower", -_SIGMA))
        }
        return {
            **self.stats(),
            "sum_of_squares": _sum(value * value * count for value, count in self._counts),
            "variance": population,
            "variance_population": population,
            "variance_sampling": sampling,
            "std_deviation": deviations["population"],
            "std_deviation_population": deviations["population"],
            "std_deviation_sampling": deviations["sampling"],
            "std_deviation_bounds": bounds,
        }

    def percentiles(self) -> Said:
        """Seven of them."""
        return {str(percent): self.percentile(percent) for percent in _PERCENTS}

    def _at(self, place: int) -> float:
        return self._counts[bisect_right(self._until, place)][0]

    def _apart(self) -> float | None:
        average = self.avg
        if average is None:
            return None
        return _sum((value - average) * (value - average) * count for value, count in self._counts)

    def _bound(self, sign: float, deviation: float | None) -> float | None:
        return None if self.avg is None or deviation is None else _finite(self.avg + sign * deviation)


def _sum(numbers: Iterable[float]) -> float | None:
    try:
        return _finite(math.fsum(numbers))
    except (OverflowError, ValueError):  # beyond a double; infinities of both signs
        return None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _root(number: float | None) -> float | None:
    return math.sqrt(number) if number is not None else None


_AGGREGATIONS: Mapping[str, Callable[[Numbers], Said]] = {
    "avg": lambda numbers: {"avg": numbers.avg},
    "min": lambda numbers: {"min": numbers.min},
    "max": lambda numbers: {"max": numbers.max},
    "sum": lambda numbers: {"sum": numbers.sum},
    "stats": Numbers.stats,
    "extended_stats": Numbers.extended_stats,
    "percentiles": Numbers.percentiles,
}
