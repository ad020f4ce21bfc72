"""XML as JSON the way Opencast writes it: Jettison's mapped convention with Opencast's settings.

The rules are those of Jettison 1.3.1 (Opencast 7 and older: attributes stay strings, slashes are escaped) and of 1.4.0
and newer (Opencast 8 and newer: attributes are typed like elements). Nothing here knows what the XML is about.
"""

from __future__ import annotations

import math
from decimal import Decimal
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

import orjson

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
_NUMERIC_START = frozenset("-0123456789")


def java_double(value: float) -> str:
    """`value` as Java's ``Double.toString`` writes it: ``1.5``, ``100.0``, ``2.0160213001E10``."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not a finite number")
    figures = "".join(map(str, digits))
    return f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}E{exponent + len(figures) - 1}"


@lru_cache(maxsize=4096)
def primitive(text: str) -> Any:
    """A text as Jettison types it: Long, else Double, else Boolean, and only if it prints as the very same text."""
    if text in ("true", "false"):
        return text == "true"
    if text[:1] not in _NUMERIC_START:
        return text
    try:
        whole = int(text)
    except ValueError:
        return _double_or_text(text)
    if not LONG_MIN <= whole <= LONG_MAX:
        return _double_or_text(text)
    return whole if str(whole) == text else text


def _double_or_text(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return text
    if not math.isfinite(value) or java_double(value) != text:
        return text
    # Jettison shaves trailing zeros and a bare point off, unless there is an exponent.
    shaved = text if "E" in text else text.rstrip("0").rstrip(".")
    return orjson.Fragment(shaved)


def mapped(element: Element, typed_attributes: bool) -> Any:
    """The JSON value of one element: its primitive, or an object of its attributes, children and ``$`` text.

    One child of a name is the child itself, several are a list, and an element with nothing in it is ``""``.
    """
    text = element.text or ""
    if not element.attrib and not len(element):
        return primitive(text)
    value: dict[str, Any] = {
        name: primitive(attribute) if typed_attributes else attribute for name, attribute in element.attrib.items()
    }
    groups: dict[str, list[Any]] = {}
    for child in element:
        groups.setdefault(child.tag, []).append(mapped(child, typed_attributes))
    for name, items in groups.items():
        value[name] = items[0] if len(items) == 1 else items
    if text.strip():
        value["$"] = text
    return value


def document(root: Element, version: int) -> bytes:
    """The JSON text for `root` as an Opencast of that major version sends it."""
    return dumps({root.tag: mapped(root, version >= 8)}, version)


def dumps(value: Any, version: int) -> bytes:
    """JSON text; slashes are escaped up to Opencast 7 (a slash can only be inside a string)."""
    text = orjson.dumps(value)
    return text.replace(b"/", b"\\/") if version < 8 else text


def through_gson(value: Any) -> Any:
    """`value` after Gson read it into a map and wrote it again: every number has become a Double (Opencast 16)."""
    if isinstance(value, dict):
        return {key: through_gson(item) for key, item in value.items()}
    if isinstance(value, list):
        return [through_gson(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float | orjson.Fragment):
        return value
    number = orjson.loads(orjson.dumps(value))
    return orjson.Fragment(java_double(float(number)))
