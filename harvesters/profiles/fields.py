"""What a profile's document has for search, beside what the profile says itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harvesters.profiles.folding import words

FOLDED = "folded"
"""The field that has the others; it is ours alone."""

NAME = f"{FOLDED}.name"
BIO = f"{FOLDED}.bio"
ORDER = f"{FOLDED}.order"
"""The name as one text, to sort by."""

_ORDERED = 256  # letters of a name that decide its place


def folded(profile: Mapping[str, Any]) -> dict[str, str]:
    """The value of `FOLDED`: the words of name and bio, as far as there are any."""
    name, bio = (" ".join(words(_text(profile.get(field)))) for field in ("name", "bio"))
    found = {"name": name, "bio": bio, "order": name[:_ORDERED]}
    return {field: text for field, text in found.items() if text}


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)
