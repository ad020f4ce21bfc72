"""What is hot: a view counts half as much as one that comes a half-life later.

``hot`` is the binary logarithm of the sum, over all views of a listing, of 2^((t - 2026-01-01T00:00Z) / half-life).
All listings lose the same as time passes, so their order changes with new views only. The sums themselves soon are
larger than any double, so they are never computed: two are added by their logarithms.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import log1p

from harvesters.settings import Settings

_BEGINNING = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) // 60
_LN2 = 0.6931471805599453
_SETTING = "LISTINGS_HOT_HALF_LIFE"


def half_life(settings: Settings) -> float:
    """``LISTINGS_HOT_HALF_LIFE`` in seconds.

    Raises:
        ConfigError: it is no number, or less than a second.
    """
    return settings.number(_SETTING, minimum=1)


def weight(minute: int, half_life: float) -> float:
    """Logarithm of what a view counts; `minute` is since 1970."""
    return (minute - _BEGINNING) * 60 / half_life


def together(one: float, other: float) -> float:
    """Logarithm of the sum of two numbers that are given by theirs."""
    low, high = (one, other) if one < other else (other, one)
    return float(high + log1p(2.0 ** (low - high)) / _LN2)
