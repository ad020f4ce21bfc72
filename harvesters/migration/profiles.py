"""What an older document of a profile says, in today's words."""

from __future__ import annotations

from typing import Any

from harvesters.firebase import people
from harvesters.profiles.fields import FOLDED


def with_folded_words(body: dict[str, Any]) -> dict[str, Any]:
    """A profile with the words by which it is found."""
    changed = dict(body)
    people.fold(changed)
    return changed


def without_folded_words(fields: dict[str, Any]) -> dict[str, Any]:
    """A profile, or the mapping of its fields, without the words by which it is found."""
    return {name: value for name, value in fields.items() if name != FOLDED}
