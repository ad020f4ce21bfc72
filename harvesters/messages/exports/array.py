"""A JSON array as ``json.dump(…, ensure_ascii=False, indent=2)`` writes it, one element at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

import orjson

from harvesters.exact import Number

# Numbers that orjson may spell otherwise than Python does: 1e16, 0.00005. In indented JSON a number ends its line, as
# no text does. Two patterns that begin with a letter of their own are found six times as fast as one that does not.
_SPELLED = (re.compile(rb"e[-+]?[0-9]+,?$", re.MULTILINE), re.compile(rb"0\.0000[0-9]+,?$", re.MULTILINE))


class Array:
    """Elements go to `stream` as they are added; `close` ends the array, also one without any."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.length = 0

    def add(self, element: Any) -> None:
        """One more element."""
        text = _dumps(element).replace("\n", "\n  ")  # line breaks in texts are escaped
        self._stream.write(f"{',' if self.length else '['}\n  {text}")
        self.length += 1

    def close(self) -> None:
        """The end of the array."""
        self._stream.write("\n]" if self.length else "[]")


def _dumps(element: Any) -> str:
    """orjson is ten times as fast as Python, and writes the same but for what it refuses and the numbers above."""
    try:
        written = orjson.dumps(element, option=orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_SUBCLASS)
        if not any(pattern.search(written) for pattern in _SPELLED):
            return written.decode()
    except TypeError:
        pass
    return "".join(_parts(element))


def _parts(element: Any) -> Iterator[str]:
    """The same for values of any depth, numbers that keep their spelling, and halves of surrogate pairs."""
    left: list[Any] = [(element, 0)]
    while left:
        part = left.pop()
        if isinstance(part, str):
            yield part
            continue
        value, depth = part
        if isinstance(value, dict | list) and value:
            left += reversed(_members(value, depth + 1))
        else:
            yield str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def _members(value: dict[str, Any] | list[Any], depth: int) -> list[Any]:
    named = isinstance(value, dict)
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    parts: list[Any] = []
    for name, inner in pairs:
        comma = "," if parts else "{" if named else "["
        key = f"{json.dumps(name, ensure_ascii=False)}: " if named else ""
        parts += [f"{comma}\n{'  ' * depth}{key}", (inner, depth)]
    return [*parts, f"\n{'  ' * (depth - 1)}{'}' if named else ']'}"]
