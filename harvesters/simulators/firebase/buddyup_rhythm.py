"""When things happen at a made-up BuddyUp: by day and night, weekdays, terms and breaks, and more each month.

A window is cut into hours, and each has a weight. Moments are taken from the weights in order of time, so any number of
them costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from math import exp
from random import Random
from typing import NamedTuple

HOUR, DAY = 3_600_000, 86_400_000

_DAY_AND_NIGHT = (6, 3, 2, 1, 1, 1, 3, 7, 14, 20, 24, 25, 24, 26, 28, 27, 26, 25, 27, 30, 32, 28, 20, 12)
_WEEK = (1.1, 1.15, 1.1, 1.0, 0.75, 0.45, 0.8)  # from Monday on
_YEAR = (0.7, 1.1, 1.0, 1.0, 1.1, 0.5, 0.3, 0.5, 1.2, 1.1, 1.0, 0.8)  # from January on
_JOIN = (1.8, 1.2, 0.9, 0.8, 0.6, 0.4, 0.4, 1.0, 2.4, 1.3, 0.8, 0.5)  # terms begin in January and September
_BREAK = 0.3  # around New Year
_STAYS = ((0.3, 2.0), (0.4, 25.0), (0.3, 160.0))  # of newcomers that many stay for so many days, on the average
_ALREADY_THERE = 2.0  # newcomers of a day, who were there before the window began

Hours = list[tuple[int, int, float]]
"""Of each hour where it begins, how many milliseconds of it lie in the window, and its weight."""


class Rhythm(NamedTuple):
    """The hours of a window: by what happens in them, and by who joins."""

    events: Hours
    newcomers: Hours

    @classmethod
    def of(cls, first: int, last: int) -> Rhythm:
        """Of the window ``[first, last)``, in milliseconds since 1970: at its end four times as many join."""
        events: Hours = []
        newcomers: Hours = []
        present = [share * _ALREADY_THERE for share, _ in _STAYS]
        for day in range(first // DAY, (last - 1) // DAY + 1):
            date = datetime.fromtimestamp(day * 86_400, UTC)
            holidays = _BREAK if (date.month, date.day) > (12, 19) or (date.month, date.day) < (1, 6) else 1.0
            grown = 1 + 3 * (day * DAY - first) / max(last - first, DAY)
            join = grown * _JOIN[date.month - 1] * _WEEK[date.weekday()] * holidays
            present = [
                there * exp(-1 / days) + share * join for there, (share, days) in zip(present, _STAYS, strict=True)
            ]
            lively = sum(present) * _YEAR[date.month - 1] * _WEEK[date.weekday()] * holidays
            for hour, light in enumerate(_DAY_AND_NIGHT):
                begin = day * DAY + hour * HOUR
                start, end = max(begin, first), min(begin + HOUR, last)
                if start < end:
                    events.append((start, end - start, light * lively * (end - start)))
                    newcomers.append((start, end - start, light * join * (end - start)))
        return cls(events, newcomers)


def moments(hours: Hours, count: int, random: Random) -> Iterator[int]:
    """So many moments in order of time, as many in each hour as it weighs."""
    sums: Sequence[float] = [*accumulate(weight for *_, weight in hours)]
    step, at = sums[-1] / max(count, 1), 0
    for number in range(count):
        wanted = (number + random.random()) * step
        while at < len(sums) - 1 and sums[at] < wanted:
            at += 1
        start, length, weight = hours[at]
        yield start + min(int(length * (1 - (sums[at] - wanted) / weight)), length - 1)


def days_of_a_stay(dice: Random) -> float:
    """How many days a newcomer stays."""
    kind = dice.choices(range(len(_STAYS)), [share for share, _ in _STAYS])[0]
    return dice.expovariate(1 / _STAYS[kind][1])
