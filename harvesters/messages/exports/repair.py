"""Texts that bots wrote as JSON, with names for emoji, as people read them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

_BLANK = " \t\n\r"  # what JSON takes for it


def repaired(text: Any) -> Any:
    """A JSON string decoded, then ``:aliases:`` turned into emoji; all else is returned as it is."""
    if not isinstance(text, str):
        return text
    bare = text.strip(_BLANK)
    if bare.startswith('"') and bare.endswith('"'):  # other JSON stays, so nothing else is worth a try
        with suppress(ValueError):
            text = json.loads(bare)
    if ":" not in text:
        return text
    import emoji

    return emoji.emojize(text, language="alias")


def repair(values: Any, *names: str) -> Any:
    """`values` with these of its texts repaired; what is no object is returned as it is."""
    if not isinstance(values, dict):
        return values
    return values | {name: repaired(values[name]) for name in names if name in values}
