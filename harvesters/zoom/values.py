"""Reading Zoom's values: nothing is ``""``, times are ISO, durations come in three units. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from harvesters.timespan import as_utc, iso
from harvesters.zoom.countries import is_country

_YEARS = (1971, 2999)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_MOST_LONG = 2**63 - 1
_MOST_FLOAT = 3.4028234663852886e38
_FLAGS = {"0": False, "1": True, "false": False, "true": True}
_PLACE = re.compile(r"(.*?)\s*\(\s*([^()]*?)\s*\)\s*")


def without_blanks(value: Any) -> Any:
    """`value` with None for every ``""``: Elasticsearch takes an empty date for an error, and the document with it."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, dict):
        return {key: without_blanks(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_blanks(part) for part in value]
    return value


def moment(value: Any) -> datetime | None:
    """An instant, UTC; None where there is none.

    Raises:
        ValueError: it says something, but no time that a meeting can have.
    """
    text = str(value).strip() if value is not None else ""
    if not text:
        return None
    try:
        read = as_utc(datetime.fromisoformat(text), UTC)
    except OverflowError:  # an offset leads out of the calendar
        read = None
    if read is None or not _YEARS[0] <= read.year <= _YEARS[1]:
        raise ValueError(f"no time of a meeting: {text[:40]!r}")
    return read


def iso_or_none(instant: datetime | None) -> str | None:
    """How documents spell an instant."""
    return iso(instant) if instant is not None else None


def check_finite(row: Mapping[str, Any], but: Collection[str] = ()) -> None:
    """Raise `ValueError` where a number in `row` is beyond a double, as ``1e400``: we could only write null for it.

    Args:
        but: fields that may.
    """
    for name, value in row.items():
        if name not in but and not _finite(value):
            raise ValueError(f"{name} is no number that can be stored")


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list) else True


def clock_seconds(value: Any) -> int | None:
    """Seconds of a clock string: ``MM:SS``, or ``HH:MM:SS`` with hours that may pass a day. None for anything else."""
    if not isinstance(value, str) or ":" not in value:
        return None
    parts = value.strip().split(":")
    if len(parts) not in (2, 3) or not all(part.isdecimal() for part in parts):
        return None
    total = 0
    for part in parts:
        total = total * 60 + int(part)
    return total


def integer(value: Any) -> int | None:
    """A whole number, also one that is written as a string."""
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def number(value: Any) -> float | None:
    """A number that Elasticsearch's ``float`` holds, also one that is written as a string; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value) is None:
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if abs(read) <= _MOST_FLOAT else None


def whole(value: Any) -> int | None:
    """As `number`, for a ``long``: without what comes after the point."""
    if isinstance(value, str) and _WHOLE.fullmatch(value) is not None and len(value) < 30:
        value = int(value)
    read: float | None = value if isinstance(value, int) and not isinstance(value, bool) else number(value)
    return int(read) if read is not None and -_MOST_LONG - 1 <= read <= _MOST_LONG else None


def truth(value: Any) -> Any:
    """True or False, which Zoom also writes as 1 and 0, and both as text; anything else as it is."""
    if isinstance(value, str):
        return _FLAGS.get(value.strip().casefold(), value)
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else value


def lasted(start: datetime | None, end: datetime | None) -> int | None:
    """Whole seconds between two instants, days included; None where one is missing or they are the wrong way round."""
    if start is None or end is None or end < start:
        return None
    return int((end - start).total_seconds())


def place(location: Any) -> tuple[str | None, str | None]:
    """City and country of Zoom's one string.

    ``San Jose (US )`` is both; without a bracket it is the country where it is the name of one, as ``United States``,
    and else the city, as ``New York``.
    """
    text = location.strip() if isinstance(location, str) else ""
    if not text:
        return None, None
    match = _PLACE.fullmatch(text)
    if is_country(text) or match is None:
        return (None, text) if is_country(text) else (text, None)
    return match[1] or None, match[2] or None
