"""JSON whose numbers are not changed by reading them.

An integer beyond 64 bits, a number beyond a double or with more digits than one has, is an `orjson.Fragment`: its own
spelling, which is written as it was read, and which nothing here takes for a number.
"""

from __future__ import annotations

import json
import re
import sys
from decimal import Decimal
from typing import Any

import orjson

from harvesters.exact import whole
from harvesters.retry import Transient

_TO_ZERO = bytes(ord("0") if chr(code) in "0123456789." else code for code in range(128)) + bytes(range(128, 256))
# What such numbers look like with zeros for digits and points; searching for it takes a tenth of reading the text.
_SIGNS = (b"0" * 19, b"e-000", b"E-000")
_ODD = re.compile(rb"[:\[,]\s*-?(?:[0-9]{19}|(?=[0-9]*\.)[0.]*+(?:[0-9]\.?){18}|[0-9.]+[eE]-[0-9]{3})")
_AROUND = 256  # bytes in which the number stands, with what is before it
_DIGITS = 17  # which are enough to tell every double


def loads(text: bytes | bytearray, keys: int = 1) -> Any:
    """The value; NaN and infinity, which are no JSON, as texts.

    Halves of surrogate pairs become U+FFFD, but for names and texts in the first `keys` levels: the database's keys.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    if not may_change(text):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # a number beyond a double, or half of a surrogate pair; or no JSON
    try:
        value = json.loads(
            text.decode("utf-8", "replace"), parse_int=_integer, parse_float=real, parse_constant=lambda name: name
        )
        return _fitted(value, keys)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse(body: bytes | bytearray) -> Any:
    """An answer of the database, as `loads` reads it.

    Raises:
        Transient: it is no JSON; it may have been cut off.
    """
    try:
        return loads(body)
    except ValueError as error:
        place = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise Transient(f"sent JSON that cannot be read ({len(body)} bytes{place})") from None


def integer(number: int) -> Any:
    """`number`, or its spelling beyond 64 bits."""
    return number if -(2**63) <= number < 2**64 else orjson.Fragment(str(number).encode())


def real(spelling: str) -> Any:
    """The double, or the spelling of a number that is none."""
    number = float(spelling)
    mantissa = spelling.lower().partition("e")[0].strip("-").replace(".", "")
    digits = mantissa.strip("0")
    changed = number in (float("inf"), float("-inf")) or (number == 0 and digits != "")
    short_of_digits = len(digits) > _DIGITS or 0 < abs(number) < sys.float_info.min
    if changed or (short_of_digits and Decimal(repr(number)) != Decimal(spelling)):
        return orjson.Fragment(spelling.encode())
    return number


def _integer(spelling: str) -> Any:
    return integer(int(spelling)) if len(spelling) <= 20 else orjson.Fragment(spelling.encode())


def may_change(text: bytes | bytearray) -> bool:
    """Whether a reader that makes doubles may change a number in `text`; sometimes true without need."""
    zeros = text.translate(_TO_ZERO)
    for sign in _SIGNS:
        at = zeros.find(sign)
        while (
            at >= 0
        ):  # as in a checksum, which is a text: looking at all of the text would take longer than reading it
            if _ODD.search(text, max(0, at - _AROUND), at + _AROUND) is not None:
                return True
            at = zeros.find(sign, at + len(sign))
    return False


def _fitted(value: Any, keys: int) -> Any:
    if isinstance(value, dict):
        return {name if keys > 0 else whole(name): _fitted(item, keys - 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_fitted(item, keys - 1) for item in value]
    return whole(value) if isinstance(value, str) and keys <= 0 else value
