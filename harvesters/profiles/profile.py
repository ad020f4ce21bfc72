"""A person, as others may see them: no e-mail address, and nothing else that a profile holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from harvesters.exact import whole

SHOWN = ("id", "name", "bio", "school_ids", "class_ids")
COLUMNS = (*SHOWN, "score")


@dataclass(frozen=True)
class Profile:
    """What of a profile is shown.

    Attributes:
        score: how well it fits, beside others of the same search; None where nothing was searched for.
    """

    id: str
    name: str
    bio: str
    school_ids: list[str]
    class_ids: list[str]
    score: float | None

    @classmethod
    def of(cls, hit: Mapping[str, Any]) -> Self:
        """The profile of a search hit, whatever types its fields have; half of a surrogate pair becomes U+FFFD."""
        said = hit["_source"]
        id, name, bio = (_text(said.get(field)) for field in SHOWN[:3])
        school_ids, class_ids = (_texts(said.get(field)) for field in SHOWN[3:])
        return cls(id, name, bio, school_ids, class_ids, hit["_score"])


def _text(value: Any) -> str:
    return "" if value is None else whole(str(value))


def _texts(value: Any) -> list[str]:
    return [_text(item) for item in (value if isinstance(value, list) else [value]) if item is not None]
