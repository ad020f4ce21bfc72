"""Reading Zoom's values: nothing is ``""``, times are ISO, durations come in three units. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from harvesters.timespan import iso

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
        ValueError: it says something, but no time.
    """
    text = str(value).strip() if value is not None else ""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)


def iso_or_none(found: datetime | None) -> str | None:
    """How documents spell an instant."""
    return iso(found) if found is not None else None


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
    except (TypeError, ValueError):
        return None


def truth(value: Any) -> Any:
    """True or False, which API v1 wrote as 1 and 0; anything else as it is."""
    return bool(value) if isinstance(value, int) and value in (0, 1) else value


def lasted(start: datetime | None, end: datetime | None) -> int | None:
    """Whole seconds between two instants, days included; None where one is missing or they are the wrong way round."""
    if start is None or end is None or end < start:
        return None
    return int((end - start).total_seconds())


def place(location: Any) -> tuple[str | None, str | None]:
    """City and country of Zoom's one string: ``San Jose (US )`` is both, ``United States`` the country alone."""
    text = location.strip() if isinstance(location, str) else ""
    if not text:
        return None, None
    match = _PLACE.fullmatch(text)
    if match is None:
        return None, text
    return match[1] or None, match[2] or None
