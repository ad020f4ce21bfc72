"""JSON that says again what was said: numbers of any size keep their spelling, texts their halves of surrogate pairs.

Several times slower than orjson, so it is for what orjson refuses or would round: `rounds` tells.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

# An integer of 64 bits has at most 20 digits, a double keeps 15; exponents are spelled in many ways. Searching for
# what digits, points, exponents and signs become here takes a tenth of the time of a regular expression.
_KINDS = bytes.maketrans(b"123456789.E-", b"0000000000e+")
_PRECISE = (b"0" * 16, b"0e0", b"0e+")


class Number(str):
    """A number that neither 64 bits nor a double can hold, as it was spelled."""

    __slots__ = ()


def rounds(body: bytes) -> bool:
    """Whether orjson may give back another number than `body` holds; sometimes true without need."""
    kinds = body.translate(_KINDS)
    return any(each in kinds for each in _PRECISE)


def loads(body: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none.
    """
    try:
        text = body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = body.decode("utf-8", "replace")
    try:
        return json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def dumps(value: Any, in_order: bool = False) -> bytes:
    """The JSON text of what `loads` returned, or of anything made of the same; everything beyond ASCII is escaped.

    Args:
        in_order: sort the keys of objects.
    """
    parts: list[str] = []
    left: list[tuple[bool, Any]] = [(False, value)]  # no recursion, which would end where Python's stack does
    while left:
        is_written, one = left.pop()
        if is_written or isinstance(one, Number):
            parts.append(str(one))
        elif isinstance(one, dict):
            left.append((True, "}"))
            members = sorted(one.items(), key=lambda member: str(member[0])) if in_order else one.items()
            for place, (name, inner) in reversed([*enumerate(members)]):
                left += (False, inner), (True, f"{',' if place else ''}{json.dumps(str(name))}:")
            left.append((True, "{"))
        elif isinstance(one, list | tuple):
            left.append((True, "]"))
            for place, inner in reversed([*enumerate(one)]):
                left += (False, inner), (True, "," if place else "")
            left.append((True, "["))
        else:
            parts.append(json.dumps(one, allow_nan=False))
    return "".join(parts).encode()


def _integer(text: str) -> Any:
    if len(text) > 20:
        return Number(text)
    value = int(text)
    return value if -(2**63) <= value < 2**64 else Number(text)


def _real(text: str) -> Any:
    value = float(text)
    try:
        same = math.isfinite(value) and Decimal(text) == Decimal(repr(value))
    except ArithmeticError:  # an exponent that not even Decimal has
        same = False
    return value if same else Number(text)


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def whole(text: str) -> str:
    """`text` with U+FFFD for halves of surrogate pairs."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
