"""From a BuddyUp profile or class to its document: maps of things become lists of them, with their ids beside.

What an index must not hold is scrubbed; feeds and pictures are dropped, for they grow without end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harvesters.document import Document
from harvesters.firebase.documents import EPOCH, Row, document_id, from_ms
from harvesters.firebase.fit import fit_names, fit_values, keep_aside, set_key
from harvesters.firebase.keys import children_of
from harvesters.firebase.scrub import Scrubber
from harvesters.profiles.fields import FOLDED, folded

Body = dict[str, Any]

_TEXTS = ("name", "first_name", "last_name", "bio", "email", "course_id", "subject", "code", "school_id")
_PROFILE_DROPPED = ("events", "pictures", "news_feed")
_CLASS_DROPPED = ("news_feed", "events", "pictures")


@dataclass(frozen=True)
class EntityMapper:
    """Makes rows and documents of the children of one node.

    Args:
        kind: of the documents.
        fill: turns the fields that need it into what the index expects; gets a copy.
        scrub: what must not be seen.
    """

    kind: str
    fill: Callable[[Body], None]
    scrub: Scrubber = field(default_factory=Scrubber)

    def row(self, key: str, value: Any) -> Row:
        """What is known of it once it is scrubbed."""
        return {"key": key, "value": self.scrub(value)}

    def document(self, row: Row) -> Document | str:
        """The document, or the reason why there can be none."""
        value = row["value"]
        if not isinstance(value, dict):
            return f"an object is expected here, not {type(value).__name__}"
        body = {name: item for name, item in value.items() if not name.startswith(".")}
        set_key(body, "id", row["key"])
        fit_names(body)
        for name in _TEXTS:
            if isinstance(body.get(name), dict | list):
                keep_aside(body, name, body.pop(name))
        self.fill(body)
        created = body.get("created_at")
        if isinstance(created, bool) or not isinstance(created, int | float) or from_ms(created) is None:
            if "created_at" in body:
                keep_aside(body, "created_at", body.pop("created_at"))
        else:
            body["created_at"] = int(created)
        return fit_values(Document(document_id(row["key"]), self.kind, EPOCH, body, mutable=True))


def profile(body: Body) -> None:
    """A profile: groups, schools, classes and buddies as lists."""
    for name in _PROFILE_DROPPED:
        body.pop(name, None)
    for name, ids in (("schools", "school_ids"), ("classes", "class_ids"), ("groups", "group_ids")):
        _listed(body, name, "id", ids)
    _listed(body, "buddies", "user_id", "buddy_ids")
    if (outgoing := body.pop("buddies-outgoing", None)) is not None:
        body["buddies-outgoing"] = [
            _with_key("user_id", key, value if isinstance(value, dict) else {"accepted": value})
            for key, value in _children(body, "buddies-outgoing", outgoing)
        ]
    names = [body.get("first_name"), body.get("last_name")]
    if "name" not in body and any(isinstance(name, str) and name for name in names):
        body["name"] = " ".join(name for name in names if isinstance(name, str) and name)


def indexed_profile(body: Body) -> None:
    """A profile as Elasticsearch gets it: with the words by which it is found."""
    profile(body)
    fold(body)


def fold(body: Body) -> None:
    """Have field ``folded`` of an indexed profile say by which words it is found; its own is kept in ``folded_raw``."""
    words = folded(body)
    said = body.pop(FOLDED, words)
    if words:
        body[FOLDED] = words
    if said != words:
        keep_aside(body, FOLDED, said)


def course(body: Body) -> None:
    """A class: its students as a list of ids."""
    for name in _CLASS_DROPPED:
        body.pop(name, None)
    if "students" in body:
        students = [key for key, value in _children(body, "students", body.pop("students")) if value]
        _set_ids(body, "student_ids", students)


def _listed(body: Body, name: str, key_name: str, ids: str) -> None:
    """Make a list of the map in field `name`, and put its keys beside it."""
    if name not in body:
        return
    items = []
    for key, value in _children(body, name, body[name]):
        items.append(_with_key(key_name, key, value if isinstance(value, dict) else {"value": value}))
    body[name] = items
    _set_ids(body, ids, [item[key_name] for item in items])


def _with_key(name: str, key: str, value: Body) -> Body:
    """An entry of a list that was a map: `value`, with its key in field `name`, first."""
    item = {name: value.get(name), **value}
    set_key(item, name, key)
    return item


def _set_ids(body: Body, name: str, ids: list[str]) -> None:
    """Put `ids` beside their list; a field of that name that the child has itself is kept in ``NAME_raw``."""
    if name in body and body[name] != ids:
        keep_aside(body, name, body[name])
    body[name] = ids


def _children(body: Body, name: str, value: Any) -> list[tuple[str, Any]]:
    """The children of a map, or of a list, where a text is its own key; anything else is kept in ``NAME_raw``."""
    if isinstance(value, list):
        return [(item if isinstance(item, str) else key, item) for key, item in children_of(value)]
    if not isinstance(value, dict):
        keep_aside(body, name, value)
    return children_of(value)
