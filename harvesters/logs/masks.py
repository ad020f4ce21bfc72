"""Masks of times: ``todayT?:?:?``, ``?-02-29 12:?:?``. What a mask leaves open is anything that the calendar has."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

TODAY, NOW, ANY = "today", "now", "?"
YEARS_AROUND = 5
"""``?`` as a year is one of this one, so many before it, and so many after it."""

_FORM = "a mask is DATE T TIME, such as todayT?:?:? or 2026-?-31 12:00:?"
_SPLIT = re.compile(rf"({TODAY}|(?!{TODAY})[^T ]*)[T ](.*)", re.IGNORECASE | re.DOTALL)
_DATE = {"year": (1, 9999), "month": (1, 12), "day": (1, 31)}
_TIME = {"hour": (0, 23), "minute": (0, 59), "second": (0, 59)}
_LEAP = 2024

Parts = tuple[int | None, int | None, int | None]
"""Three numbers; None where any will do."""


class MaskError(ValueError):
    """It is no mask, or no time can fit it; the message names the part."""


@dataclass(frozen=True)
class Moments:
    """The times that a mask stands for, from a certain moment on: any of `dates` at any of its times is as likely.

    Attributes:
        name: the same for masks that mean the same; ``now`` is spelled as that.
        dates: ``YYYY-MM-DD``, in order.
        hours, minutes, seconds: as they are written.
    """

    name: str
    dates: list[str]
    hours: list[str]
    minutes: list[str]
    seconds: list[str]


@dataclass(frozen=True)
class Mask:
    """A mask as it was given. `date` and `time` are None for ``today`` and ``now``."""

    date: Parts | None
    time: Parts | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The mask that `text` spells.

        Raises:
            MaskError: it spells none, or one that no time can fit.
        """
        found = _SPLIT.fullmatch(text)
        if found is None:
            raise MaskError(f"the time is missing, or the T before it; {_FORM}" if text else f"it is empty; {_FORM}")
        date = _parts("date", found[1], "-", TODAY, _DATE)
        time = _parts("time", found[2], ":", NOW, _TIME)
        if date is not None:
            _require_possible(*date)
        return cls(date, time)

    def at(self, moment: datetime) -> Moments:
        """What it means when `moment` is today and now, in UTC."""
        moment = moment.astimezone(UTC)
        year, month, day = self.date or (moment.year, moment.month, moment.day)
        years = [year] if year is not None else range(moment.year - YEARS_AROUND, moment.year + YEARS_AROUND + 1)
        dates = [
            f"{y:04d}-{m:02d}-{d:02d}"
            for y in years
            for m in ([month] if month is not None else range(1, 13))
            for d in ([day] if day is not None else range(1, 32))
            if d <= calendar.monthrange(y, m)[1]
        ]
        time = self.time or (moment.hour, moment.minute, moment.second)
        hours, minutes, seconds = (
            [f"{number:02d}" for number in ([given] if given is not None else range(most + 1))]
            for given, (_, most) in zip(time, _TIME.values(), strict=True)
        )
        spelled = NOW if self.time is None else ":".join(map(_spelled, self.time))
        return Moments(f"{'-'.join(map(_spelled, (year, month, day)))}T{spelled}", dates, hours, minutes, seconds)


def _parts(name: str, text: str, between: str, word: str, known: dict[str, tuple[int, int]]) -> Parts | None:
    if text.lower() == word:
        return None
    if not text:
        raise MaskError(f"the {name} is missing; {_FORM}")
    texts = text.split(between)
    if len(texts) != len(known):
        names = between.join(known)
        raise MaskError(f"the {name} {text!r} should be {word} or {names}: three parts, and it has {len(texts)}")
    year, month, day = (_number(part, each, *bounds) for each, (part, bounds) in zip(texts, known.items(), strict=True))
    return year, month, day


def _number(part: str, text: str, least: int, most: int) -> int | None:
    if text == ANY:
        return None
    if not text:
        raise MaskError(f"the {part} is missing: give a number, or {ANY} for any")
    if re.fullmatch("[0-9]{4}" if part == "year" else "[0-9]{1,2}", text) is None:
        digits = "four digits" if part == "year" else "one or two digits"
        raise MaskError(f"the {part} {text!r} should be {digits}, or {ANY} for any")
    number = int(text)
    if not least <= number <= most:
        raise MaskError(f"there is no {part} {text}; it goes from {least} to {most}")
    return number


def _require_possible(year: int | None, month: int | None, day: int | None) -> None:
    if month is not None and day is not None:
        most = calendar.monthrange(year if year is not None else _LEAP, month)[1]
        if day > most:
            when = calendar.month_name[month] + (f" {year:04d}" if year is not None else "")
            raise MaskError(f"there is no day {day} in {when}; it has {most}")


def _spelled(part: int | None) -> str:
    return ANY if part is None else f"{part:02d}"
