"""The order of keys in a Realtime Database, and what a filtered answer holds.

Keys that read as 32-bit integers come first, by number; then text by UTF-16 code units. Source: nameCompare of
@firebase/database.
"""

from __future__ import annotations

import re
from typing import Any

from harvesters.firebase.pushid import is_push_id, push_ms

Rank = tuple[int, int, int, str]
Path = tuple[str, ...]

_INTEGER = re.compile(r"-?0*[0-9]{1,10}", re.ASCII)
# Keys that are not simply ordered as Python orders text: integers, what begins with a dot, and what is not ASCII.
_ODD = re.compile(r"^-?[0-9]+$|^\.|[^\x00-\x7f]", re.MULTILINE)
_DIGITS = frozenset("0123456789")


def rank(key: str) -> Rank:
    """What to sort keys by; of two spellings of one number the shorter comes first."""
    if key and key[-1] in _DIGITS and _INTEGER.fullmatch(key):
        number = int(key)
        if -(2**31) <= number < 2**31:
            return (0, number, len(key), key)
    return (1, 0, 0, key if key.isascii() else _utf16(key))


def children_of(value: Any) -> list[tuple[str, Any]]:
    """The children in an answer, in key order: of an object, or of the list that integer keys were made into.

    Gaps of a list are no children, nor are the keys that begin with a dot (``format=export``). A scalar has none.
    """
    if isinstance(value, dict):
        if not _ODD.search("\n".join(value)):
            return [(key, value[key]) for key in sorted(value)]
        pairs = [pair for pair in value.items() if not pair[0].startswith(".")]
        pairs.sort(key=lambda pair: rank(pair[0]))
        return pairs
    if isinstance(value, list):
        return [(str(index), item) for index, item in enumerate(value) if item is not None]
    return []


def split_path(text: str) -> Path:
    """The keys of a path such as ``events/abc``; slashes at its ends do not count.

    Raises:
        ValueError: a key that no database can have.
    """
    keys = tuple(key for key in text.strip().removesuffix(".json").split("/") if key)
    for key in keys:
        if not set(".$#[]").isdisjoint(key) or any(ord(char) < 32 or ord(char) == 127 for char in key):
            raise ValueError(f"{text!r} is no path of a database: keys have none of . $ # [ ] in them")
    return keys


def time_of(key: str, latest: int) -> int | None:
    """Milliseconds since 1970 of a push id; None for what is none, or comes from a clock that ran ahead of `latest`."""
    if not is_push_id(key):
        return None
    ms = push_ms(key)
    return ms if ms <= latest else None


def _utf16(text: str) -> str:
    """`text` with surrogate pairs for what lies beyond the basic plane, so that Python orders it as JavaScript does."""
    if max(text) <= "\uffff":
        return text
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(chr(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2))
