"""The orders of the Realtime Database: of keys, and of values.

Source: nameCompare and the value index of @firebase/database.
"""

from __future__ import annotations

import re
from typing import Any

KeyRank = tuple[int, int, int, str]
ValueRank = tuple[Any, ...]

FIRST_KEY: KeyRank = (-1, 0, 0, "")
LAST_KEY: KeyRank = (2, 0, 0, "")

_INTEGER = re.compile(r"-?0*[0-9]{1,10}", re.ASCII)


def key_rank(key: str) -> KeyRank:
    """What to sort keys by: those that parse as 32-bit integers first, numerically, then text by UTF-16 code units."""
    if key and key[-1] in "0123456789" and _INTEGER.fullmatch(key) and -(2**31) <= int(key) < 2**31:
        return (0, int(key), len(key), key)
    return (1, 0, 0, utf16(key))


def value_rank(value: Any) -> ValueRank:
    """What to sort values by: null, false, true, numbers, strings, objects; objects are all alike."""
    if value is None:
        return (0,)
    if value is False:
        return (1,)
    if value is True:
        return (2,)
    if isinstance(value, int | float):
        return (3, value)
    if isinstance(value, str):
        return (4, utf16(value))
    return (5,)


def utf16(text: str) -> str:
    """`text` with surrogate pairs for what lies beyond the basic plane, so that Python orders it as JavaScript does."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(chr(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2))
