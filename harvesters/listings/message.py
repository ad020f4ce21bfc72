"""What a message of the topics may say: the one place with the rules, for whoever sends and whoever reads.

A listing keeps what it said byte by byte but for spaces: numbers that no double can hold come through as they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, Raw, Struct, UnsetType

from harvesters.errors import BadInput
from harvesters.timespan import iso

OURS = frozenset({"visits", "hot", "origin"})
"""Fields of a document that no message sets: views are counted here, and a message does not say where it came from."""

_LONGEST_ID = 512  # bytes; Elasticsearch takes no longer ones
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_NOTHING: Mapping[str, Any] = {}
# Times that Elasticsearch reads as Python does; others are written anew.
_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?")


class _Known(Struct):
    """The fields of a listing that have rules, and those that are ours. None is as good as nothing."""

    id: int | str
    title: str | None = None
    description: str | None = None
    created: str | UnsetType | None = UNSET
    visits: Raw | UnsetType = UNSET
    hot: Raw | UnsetType = UNSET
    origin: Raw | UnsetType = UNSET


class _View(Struct):
    user_id: int | str
    item_id: int | str


_KNOWN = msgspec.json.Decoder(_Known)
_VIEW = msgspec.json.Decoder(_View)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class Listing:
    """One version of a listing.

    Attributes:
        id: as text, which is the document's.
        created: when the listing was made, as the version says; "" where it does not.
        verbatim: whether the document may be the message as it came. Where Elasticsearch refuses that, as for a field
            that comes twice, it may take what the message means.
    """

    __slots__ = ("_value", "created", "id", "verbatim")

    def __init__(self, id: str, created: str, value: bytes, verbatim: bool) -> None:
        self.id, self.created, self.verbatim, self._value = id, created, verbatim, value

    def document(self, origin: bytes, created: str, kept: Mapping[str, Any] = _NOTHING) -> bytes:
        """The document on one line: what the version says, and what is ours. `origin` is JSON."""
        if self.verbatim and not kept:
            if created == self.created:
                return b'%b,"origin":%b}' % (self._value.rstrip()[:-1], origin)
            if not self.created:
                return b'%b,"created":%b,"origin":%b}' % (self._value.rstrip()[:-1], orjson.dumps(created), origin)
        ours = orjson.dumps({**kept, "created": created})
        return b'{%b,%b,"origin":%b}' % (b",".join(self._members()), ours[1:-1], origin)

    def _members(self) -> Iterator[bytes]:
        """The members of the JSON object without what is ours, each on one line."""
        members: dict[str, Raw] = _decoded(_MEMBERS, self._value)
        for name, raw in members.items():
            if name != "created" and name.partition(".")[0] not in OURS:
                yield b"%b:%b" % (orjson.dumps(name), _one_line(bytes(raw)))


class View(Struct, frozen=True):
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
    created = known.created
    if created is None or created is UNSET:
        created, verbatim = "", known.created is UNSET
    else:
        created = _created(created)
        verbatim = created == known.created
    return Listing(id_text(known.id, "id"), created, value, verbatim and not _holds_ours(known, value))


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
    try:
        text = str(id)
    except ValueError:  # Python writes no number of more than 4,300 digits
        raise BadInput(f"{name} has more than {_LONGEST_ID} digits") from None
    if 0 < len(text) <= _LONGEST_ID and text.isascii() and text.isprintable():
        return text  # as nearly all are; what follows takes three times as long
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


def _holds_ours(known: _Known, value: bytes) -> bool:
    """Whether a field is ours, or a line break stands between fields."""
    unset = UNSET
    return (
        known.visits is not unset
        or known.hot is not unset
        or known.origin is not unset
        or b"\n" in value
        or b"\r" in value
        or b'"origin.' in value
    )


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
    usual = len(text) == 20 and text[7] == "-" and text[10] == "T" and text[13] == ":" and text[19] == "Z"
    return text if usual or _PLAIN_TIME.fullmatch(text) else iso_of(moment)


def iso_of(moment: datetime) -> str:
    """ISO 8601 as Elasticsearch reads it; a time without an offset stays one, and is UTC there."""
    return iso(moment) if moment.tzinfo is not None else moment.isoformat()
