"""How a message and a log lie in the cluster, and what they are when they are read back.

A document is what was posted, under its own names, and an object `harvest` of ours. What the mapping would refuse in
its place is null there (a word that is a number of more than 64 bits is its text), and its JSON stands in
``harvest.verbatim``, by its path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from harvesters import exact
from harvesters.exact import Number
from harvesters.messages.ids import is_text, text_of
from harvesters.messages.model import Message
from harvesters.messages.moments import aware
from harvesters.messages.values import values_of

OURS = "harvest"
"""The object of a document that is never given out."""

Fields = dict[str, Any]

_DEEPEST = 100  # levels of an object that stands in its place
_LONGEST_NAME = 8191  # characters of a key there
_WIDEST = 18 * 3600  # seconds of an offset that the cluster reads

WORDS = ("messageId", "userId", "project", "channel", "conversationId", "type", "domain", "language", "responseTo")
"""Fields of a message that are a keyword each, at its top."""
_LOG_WORDS = ("logId", "project", "component", "severity", "logContent", "authority", "botVersion")


def document(message: Message, id: str | None = None) -> bytes:
    """The document of a message.

    Args:
        id: its `_id` where that is not the trace id that its ids make, as of one that was migrated.

    Raises:
        Invalid: it has too many values.
    """
    trace = message.trace_id
    ours: Fields = {"id": id or trace}
    if id not in (None, trace):
        ours["triple"] = trace
    said, verbatim = _placed(message.fields, _message_misfits(message.fields))
    if (read := _readable(message.moment)) is not message.moment:
        verbatim["timestamp"], said["timestamp"] = said["timestamp"], read.isoformat()
    return _dumped(said, {**ours, **counted(message.fields)}, verbatim)


def counted(said: Mapping[str, Any]) -> Fields:
    """What `OURS` has of the values of a message that may be of any type, for counting them.

    Raises:
        Invalid: there are too many.
    """
    values = values_of(said.get("metadata"), "metadata")
    intent = said.get("intent")
    confidence = intent.get("confidence") if isinstance(intent, dict) else None
    if _is_number(confidence):
        return {"confidence": confidence, **({"values": values} if values else {})}
    values += values_of(confidence, "intent.confidence")
    return {"values": values} if values else {}


def log_document(log: Fields, moment: datetime) -> bytes:
    """The document of a log of that moment; it was checked (`logs.py`)."""
    said, verbatim = _placed(log, _log_misfits(log))
    if said["timestamp"] != (read := _readable(moment).isoformat()):
        verbatim["timestamp"], said["timestamp"] = said["timestamp"], read
    users = users_of_log(log)
    ours: Fields = {"user": users} if users else {}
    return _dumped(said, ours, verbatim)


def users_of_log(log: Mapping[str, Any]) -> list[str]:
    """Whom a log, as posted, is about: its ``metadata.userId`` as a text. A list has what one of it has."""
    return [text for metadata in _each(log.get("metadata")) if isinstance(metadata, dict) for text in _texts(metadata)]


def _texts(metadata: Mapping[str, Any]) -> Iterator[str]:
    for user in _each(metadata.get("userId")):
        if isinstance(user, str) and is_text(user):
            yield str(user)
        elif (text := text_of(user)) is not None:
            yield text


def _each(value: Any) -> Iterator[Any]:
    """What is in a list, in lists of it too; anything else is itself."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += reversed(one)
        else:
            yield one


def original(source: bytes | Mapping[str, Any]) -> Fields:
    """What was posted, of the document that the cluster keeps (its JSON, or what that is), in whatever form.

    Raises:
        ValueError: it is no JSON object.
    """
    said = loads(source) if isinstance(source, bytes) else dict(source)
    if not isinstance(said, dict):
        raise ValueError("a document that is no object")
    ours = said.pop(OURS, None)
    verbatim = ours.get("verbatim") if isinstance(ours, dict) else None
    for path, text in (verbatim if isinstance(verbatim, dict) else {}).items():
        place, name = _place(said, path)
        place[name] = loads(text.encode())
    return said


def ids_of(source: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Project, user id and message id of a document, as texts; None for what is none."""
    return text_of(source.get("project")), text_of(source.get("userId")), text_of(source.get("messageId"))


def loads(body: bytes) -> Any:
    """The value of a JSON text, with numbers of any size as they are spelled.

    Raises:
        ValueError: it is none.
    """
    if not exact.rounds(body):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:  # half of a surrogate pair
            pass
    return exact.loads(body)


def dumps(value: Any) -> bytes:
    """The JSON text of what `loads` gives."""
    try:
        if not _has_numbers(value):
            return orjson.dumps(value)
    except TypeError:  # nested deeper than orjson goes, or half of a surrogate pair
        pass
    return exact.dumps(value)


def _dumped(said: Fields, ours: Fields, verbatim: Fields) -> bytes:
    if verbatim:
        ours["verbatim"] = {path: exact.dumps(value).decode() for path, value in verbatim.items()}
    return orjson.dumps({**said, OURS: ours} if ours else said)


def _placed(fields: Fields, misfits: Iterable[str]) -> tuple[Fields, Fields]:
    """`fields` without what does not fit into its place, and that, by its path."""
    said, verbatim = dict(fields), {}
    for path in misfits:
        place, name = _place(said, path)
        verbatim[path] = place[name]
        is_large = isinstance(place[name], Number) and path != "intent.confidence"
        place[name] = str(place[name]) if is_large else None  # as a text it is found, and erased
    return said, verbatim


def _place(said: Fields, path: str) -> tuple[Fields, str]:
    """The object that holds `path`, as a copy of its own in `said`, and the name there."""
    *above, name = path.split(".")
    place = said
    for each in above:
        place[each] = dict(place[each])
        place = place[each]
    return place, name


def _message_misfits(fields: Fields) -> Iterator[str]:
    """The path of each value that the mapping would refuse, or change."""
    for name in WORDS:
        if not is_word(fields.get(name)):
            yield name
    if not _is_plain(fields["metadata"]):
        yield "metadata"
    for name, value in (fields["content"] or {}).items():
        if not (is_word(value) if name in ("value", "uri") else _is_plain(value)):
            yield f"content.{name}"
    if intent := fields.get("intent"):
        if not is_word(intent["name"]):
            yield "intent.name"
        if intent["confidence"] is not None and not _is_number(intent["confidence"]):
            yield "intent.confidence"
    if not _is_plain(fields.get("entities")):
        yield "entities"


def _log_misfits(log: Fields) -> Iterator[str]:
    for name in _LOG_WORDS:
        if not is_word(log.get(name)):
            yield name
    if (metadata := log.get("metadata")) is not None:
        searched = isinstance(metadata, dict) and all(is_word(metadata.get(name)) for name in ("userId", "eventId"))
        if not (searched and _is_plain(metadata)):
            yield "metadata"


def _readable(moment: datetime) -> datetime:
    """The same instant with an offset that the cluster reads: itself, if it does."""
    offset = moment.utcoffset()
    if offset is None or (abs(offset.total_seconds()) <= _WIDEST and not offset.microseconds):
        return moment
    return (aware(moment) - offset).replace(tzinfo=UTC)


def is_word(value: Any) -> bool:
    """Whether a keyword takes it."""
    if type(value) is str:
        return is_text(value)
    return value is None or isinstance(value, (int, float))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    """Whether a field that is not looked into takes it, and gives it back as it is."""
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for each in level:
            kind = type(each)
            if kind is dict:
                for name in each:
                    if len(name) > _LONGEST_NAME or not is_text(name):
                        return False
                inner += each.values()
            elif kind is list:
                inner += each
            elif kind is Number or (kind is str and not is_text(each)):
                return False
        if not inner:
            return True
        level = inner
    return False


def _has_numbers(value: Any) -> bool:
    """Whether there is a `Number` in it, which orjson would write as a text."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, Number):
            return True
        if isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list):
            left += one
    return False


def digest(value: Any) -> str:
    """An id made of all that `value` says, whatever the order of its keys."""
    return hashlib.sha256(exact.dumps(value, in_order=True)).hexdigest()
