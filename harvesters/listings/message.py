"""What a message of the topics may say: the one place with the rules, for whoever sends and whoever reads.

A listing keeps what it said byte by byte but for spaces: numbers that no double can hold come through as they were.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import orjson
from msgspec import Raw, Struct

from harvesters.errors import BadInput
from harvesters.timespan import iso

OURS = frozenset({"visits", "hot", "origin"})
"""Fields of a document that no message sets: views are counted here, and a message does not say where it came from."""

_LONGEST_ID = 512  # bytes; Elasticsearch takes no longer ones
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# Times that Elasticsearch reads as Python does; others are written anew.
_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?")


class _Known(Struct):
    """The fields of a listing that have rules. None is as good as nothing."""

    id: int | str
    title: str | None = None
    description: str | None = None
    created: str | None = None


class _View(Struct):
    user_id: int | str
    item_id: int | str


_KNOWN = msgspec.json.Decoder(_Known)
_VIEW = msgspec.json.Decoder(_View)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


@dataclass(frozen=True, slots=True)
class Listing:
    """One version of a listing.

    Attributes:
        id: as text, which is the document's.
        created: when the listing was made, as the version says; "" where it does not.
        members: the members of its JSON object on one line, without braces, `created` and what is ours.
    """

    id: str
    created: str
    members: bytes

    def document(self, **more: Any) -> bytes:
        """The document: what the version says, and `more` of ours."""
        return b"{%b,%b" % (self.members, orjson.dumps(more)[1:])


@dataclass(frozen=True, slots=True)
class View:
    """A page view: who looked at which listing, both ids as text."""

    user_id: str
    item_id: str


def parse_listing(value: bytes) -> Listing:
    """The listing in a message.

    Raises:
        BadInput: it is no JSON object, or a field breaks the rules; the message says which.
    """
    if not value.isascii():
        _require_utf_8(value)
    known: _Known = _decoded(_KNOWN, value)
    members: dict[str, Raw] = _decoded(_MEMBERS, value)
    created = _created(known.created)
    lines = [
        b"%b:%b" % (orjson.dumps(name), _one_line(bytes(raw)))
        for name, raw in members.items()
        if name != "created" and name.partition(".")[0] not in OURS
    ]
    return Listing(id_text(known.id, "id"), created, b",".join(lines))


def parse_view(value: bytes) -> View:
    """The page view in a message.

    Raises:
        BadInput: it is none; the message says why.
    """
    view: _View = _decoded(_VIEW, value)
    return View(id_text(view.user_id, "user_id"), id_text(view.item_id, "item_id"))


def id_text(id: int | str, name: str) -> str:
    """The id as text.

    Raises:
        BadInput: nothing can be called so.
    """
    text = str(id)
    if not text:
        raise BadInput(f"{name} is empty")
    if found := _CONTROL.search(text):
        raise BadInput(f"{name} holds the control character U+{ord(found[0]):04X}")
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > _LONGEST_ID:
        raise BadInput(f"{name} has {size} bytes, and {_LONGEST_ID} are the most")
    return text


def parse_key(key: bytes) -> str:
    """The id in the key of a message without a value, which deletes that listing.

    Raises:
        BadInput: no listing has such an id.
    """
    try:
        return id_text(key.decode(), "the key")
    except UnicodeDecodeError:
        raise BadInput("the key is no UTF-8") from None


def _decoded(decoder: Any, value: bytes) -> Any:
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise BadInput(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"it is no JSON: {error}") from None
    except RecursionError:
        raise BadInput("it is nested too deeply") from None


def _require_utf_8(value: bytes) -> None:
    """Whatever is passed on unread has to be readable."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"it is no JSON: byte {error.start} is no UTF-8") from None


def _one_line(raw: bytes) -> bytes:
    """Line breaks stand between the parts of a value only, as no text may hold one as it is."""
    return raw.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in raw or b"\r" in raw else raw


def _created(text: str | None) -> str:
    if text is None:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"created is no time as in ISO 8601: {text!r:.60}") from None
    return text if _PLAIN_TIME.fullmatch(text) else iso_of(moment)


def iso_of(moment: datetime) -> str:
    """ISO 8601 as Elasticsearch reads it; a time without an offset stays one, and is UTC there."""
    return iso(moment) if moment.tzinfo is not None else moment.isoformat()
