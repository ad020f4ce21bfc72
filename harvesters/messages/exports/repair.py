"""Texts that bots wrote as JSON, with names for emoji, as people read them."""

from __future__ import annotations

import json
from typing import Any

import orjson

_BLANK = " \t\n\r"  # what JSON takes for it


def repaired(text: Any) -> Any:
    """A JSON string decoded, then ``:aliases:`` turned into emoji; all else is returned as it is."""
    if not isinstance(text, str):
        return text
    bare = text.strip(_BLANK)
    if bare.startswith('"') and bare.endswith('"'):  # other JSON stays, so nothing else is worth a try
        text = _decoded(bare, text)
    if ":" not in text:
        return text
    import emoji

    return emoji.emojize(text, language="alias")


def _decoded(bare: str, otherwise: str) -> str:
    try:
        decoded: str = orjson.loads(bare)
    except ValueError:  # it is none, or holds half of a surrogate pair
        try:
            decoded = json.loads(bare)
        except ValueError:
            return otherwise
    return decoded


def repair(values: Any, *names: str) -> Any:
    """`values` with these of its texts repaired; what is no object is returned as it is."""
    if not isinstance(values, dict):
        return values
    return values | {name: repaired(values[name]) for name in names if name in values}
