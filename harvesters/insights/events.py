"""From an event, as the database or our index has it, to a row of what the answers ask for. Pure.

Every odd form of an event is dealt with here: fields of another type than they should have say nothing.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import orjson
from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from harvesters.firebase import exact
from harvesters.firebase.documents import milliseconds, moment_of
from harvesters.firebase.sentiment import Sentiment

_SYSTEM = "!!! SYSTEM!!"
_OF_PEOPLE = frozenset({"buddied_up", "unbuddied", "buddy_request", "private_message", "page_view"})
_OF_CLASSES = frozenset({"created_class", "added_class", "dropped_class"})
_FIRST, _LAST = 946_684_800_000, 4_102_444_800_000  # 2000 to 2099, in which `moment_of` believes an event happened

E = TypeVar("E", bound="Event")


# What becomes of an event. Plain numbers: a member of an Enum takes three times as long, twice an event.
COUNTED, UNDATED, NO_OBJECT, REMOVED, SYSTEM = range(5)


class Row(NamedTuple):
    """One event. A text that is not there is "".

    Attributes:
        fate: `COUNTED`; `UNDATED`; `NO_OBJECT`; `REMOVED`, which the database has no more; `SYSTEM`, which nobody did.
        at: milliseconds since 1970; 0 when there is no telling.
        school: the event's own.
        one: who did it, as the data of its type name them: who asked to be somebody's buddy, who sent a message.
        other: the other one: who accepted, was asked, got the message, or whose profile was seen.
        polarity: from -100 to 100, None for a message without a score; `subjectivity` from 0 to 100.
    """

    key: str
    fate: int
    at: int = 0
    type: str = ""
    creator: str = ""
    school: str = ""
    class_: str = ""
    one: str = ""
    other: str = ""
    polarity: float | None = None
    subjectivity: float | None = None


class Data(Struct):
    """What counts of an event's data."""

    school_id: Any = None
    class_id: Any = None
    course_id: Any = None
    id: Any = None
    subject: Any = None
    params: Any = None
    requested_by: Any = None
    accepted_by: Any = None
    target_to: Any = None
    sender: Any = None
    recipient: Any = None
    body: Any = None


class Event(Struct):
    """What counts of an event. It is read into this form in half of the time that all of it would take."""

    type: Any = None
    creator: Any = None
    created_at: Any = None
    data: Data | None = None
    sentiment: Any = None
    sentiment_raw: Any = None


class Document(Event):
    """What counts of an event as our index has it, or a file that `firebase events` wrote."""

    id: Any = None
    hour: Any = None
    deleted: Any = None
    raw: Any = None


class _Entry(Struct):
    """A line of an export."""

    key: str
    value: Event


_ENTRY, _DOCUMENT = Decoder(_Entry), Decoder(Document)
_NO_DATA = Data()


@dataclass(frozen=True)
class Reading:
    """Makes rows.

    Args:
        score: scores the bodies of chat messages that have no score; None does not.
    """

    score: Sentiment | None = None

    def event(self, key: str, event: Any) -> Row:
        """The row of an event as the database has it."""
        return self._row(key, _formed(event, Event)) if isinstance(event, dict) else Row(key, NO_OBJECT)

    def entry(self, line: bytes) -> Row:
        """The row of a line of an export.

        Raises:
            ValueError: it is none.
        """
        try:
            found = _ENTRY.decode(line)
        except (DecodeError, UnicodeDecodeError, RecursionError):  # an odd event, or an odd number
            odd = exact.loads(line)
            if not isinstance(odd, dict) or not {"key", "value"} <= odd.keys():
                raise ValueError("it is no entry of an export") from None
            return self.event(str(odd["key"]), odd["value"])
        return self._row(found.key, found.value)

    def document(self, text: bytes, id: str | None = None) -> Row:
        """The row of a document, whose id is `id` where it says none itself.

        What the mapping moved aside for the index (`firebase.documents`) is no text or no time, and says nothing here
        either; but an event that the index refused is in `raw`, and is taken from there.

        Raises:
            ValueError: it is none.
        """
        try:
            found = _DOCUMENT.decode(text)
        except (DecodeError, UnicodeDecodeError, RecursionError):
            odd = exact.loads(text)
            if not isinstance(odd, dict):
                raise ValueError("it is no document") from None
            found = _formed(odd, Document)
        key = found.id if isinstance(found.id, str) else id
        if key is None:
            raise ValueError("it is a document without an id")
        if found.deleted is True and found.hour is None:
            return Row(key, REMOVED)
        if found.data is None and isinstance(found.raw, str):
            with suppress(ValueError):
                whole = exact.loads(found.raw.encode("utf-8", "surrogatepass"))
                return self.event(key, whole) if isinstance(whole, dict) else self._row(key, found)
        return self._row(key, found)

    def _row(self, key: str, event: Event) -> Row:
        creator = _text(event.creator)
        if _SYSTEM in creator:
            return Row(key, SYSTEM)
        at = event.created_at
        if at.__class__ is not int or not _FIRST <= at < _LAST:
            moment = moment_of(key, {"created_at": at})
            if moment is None:
                return Row(key, UNDATED)
            at = milliseconds(moment)
        type, data = _text(event.type), event.data or _NO_DATA
        polarity = subjectivity = None
        if type == "chat_message":
            polarity, subjectivity = self._sentiment(event, data)
        one, other = _people(type, creator, data) if type in _OF_PEOPLE else ("", "")
        school, class_ = _name(data.school_id), _class_of(type, data)
        return Row(key, COUNTED, at, type, creator, school, class_, one, other, polarity, subjectivity)

    def _sentiment(self, event: Event, data: Data) -> tuple[float | None, float | None]:
        found = event.sentiment if event.sentiment is not None else event.sentiment_raw
        if isinstance(found, dict) and (polarity := _number(found.get("polarity"))) is not None:
            return polarity, _number(found.get("subjectivity"))
        if self.score is not None and isinstance(data.body, str) and data.body:
            scored = self.score(data.body)
            return scored["polarity"], scored["subjectivity"]
        return None, None


def _formed(event: dict[str, Any], form: type[E]) -> E:
    """The event in its form; data that are no object say nothing."""
    data = event.get("data")
    told = {name: event[name] for name in form.__struct_fields__ if name in event and name != "data"}
    if isinstance(data, dict):
        told["data"] = Data(**{name: data[name] for name in Data.__struct_fields__ if name in data})
    return form(**told)


def _class_of(type: str, data: Data) -> str:
    found = _name(data.class_id) or _name(data.course_id)
    if not found and type in _OF_CLASSES:
        found = _name(data.id)
    if not found and "group" in type and data.subject != "open":
        found = _name(data.subject)
    if not found and data.params.__class__ is dict:
        found = _name(data.params.get("course"))
    return found


def _people(type: str, creator: str, data: Data) -> tuple[str, str]:
    """Who did it, and to whom or with whom; "" where the event says neither."""
    if type == "page_view":
        return creator, _text(data.params.get("user_id")) if isinstance(data.params, dict) else ""
    if type == "private_message":
        return _text(data.sender) or creator, _text(data.recipient)
    if type == "buddy_request":
        return _text(data.requested_by) or creator, _text(data.target_to)
    return _text(data.requested_by) or creator, _text(data.accepted_by) or creator


def _text(value: Any) -> str:
    return value if value.__class__ is str else ""


def _name(value: Any) -> str:
    """The name of a school or class; a number's is its text."""
    if value.__class__ is str:
        return value
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, orjson.Fragment):  # a number beyond 64 bits, of which most readers make a double
        value = float(orjson.dumps(value))
    if isinstance(value, int) and abs(value) >= 2**63:
        value = _double(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | float) else ""


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    number = _double(value)
    return number if math.isfinite(number) else None


def _double(value: float) -> float:
    """The double that most readers make of a number of any size."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
