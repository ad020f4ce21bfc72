"""Reading JSON whose types depend on the server's version and on what the text looks like.

Opencast's XML-to-JSON writer (Jettison) turns element text into a number or a boolean exactly when that reads back as
the same text; attributes are strings up to version 7 and converted from 8 on; one child is an object, none is absent
or ``""``. So an id ``20160213`` arrives as a number, and a title ``true`` as a boolean. These helpers undo that.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def as_list(value: Any) -> list[Any]:
    """Children that may be absent, ``""``, one object or a list, as a list."""
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def as_dict(value: Any) -> dict[str, Any]:
    """A wrapper element that may be absent or ``""``, as a dict."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str | None:
    """The text that an element had; None when it was absent or empty.

    Raises:
        ValueError: it is no text but a structure.
    """
    if isinstance(value, str):
        return value or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return java_double(value)
    if isinstance(value, dict) and "$" in value:
        return text(value["$"])  # an element that had attributes too
    raise ValueError(f"{_shown(value)} is no text")


def integer(value: Any) -> int | None:
    """A whole number, which may be a string or (Opencast 16, through Gson) a float; None when absent or empty.

    Raises:
        ValueError: it is no whole number.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value} is no number")
    if isinstance(value, int):
        return value
    if value is None or value == "":
        return None
    try:
        number = float(value) if isinstance(value, float | str) else float("nan")
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        raise ValueError(f"{_shown(value)} is no whole number")
    return int(value) if isinstance(value, str) and value.lstrip("+-").isdigit() else int(number)


def java_double(value: float) -> str:
    """What Java's ``Double.toString`` writes for `value`, which is the text that was turned into a number."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        plain = format(Decimal(repr(value)), "f")
        return plain if "." in plain else f"{plain}.0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    written = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) - 1 + int(exponent)
    return f"{'-' if sign else ''}{written[0]}.{written[1:] or '0'}E{power}"


def _shown(value: Any) -> str:
    return repr(value)[:60]
