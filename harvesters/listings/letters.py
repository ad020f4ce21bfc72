"""Dead letters of the topics' messages and gaps: how they are named, and what message one is of."""

from __future__ import annotations

import base64
from typing import Any

from harvesters.errors import BadInput
from harvesters.kafka.records import Gap, Record
from harvesters.kafka.topics import Topic
from harvesters.listings.place import Place
from harvesters.sinks.deadletters import DeadLetter

LISTINGS = "listings"
"""The kind of those of `listings index`; those of the access log are not read back."""


def of_record(kind: str, topic: Topic, record: Record, reason: str) -> DeadLetter:
    """The letter of a message that can never be handled: all that is needed to handle it again."""
    row = {
        "topic": topic.name,
        "topic_id": topic.id,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": _text(record.key),
        "value": _text(record.value),
    }
    return DeadLetter(kind, f"{topic.name}/{record.partition}/{record.offset}", reason, row)


def of_gap(kind: str, gap: Gap) -> DeadLetter:
    """The letter of messages that were removed before they were read."""
    row = {
        "topic": gap.topic.name,
        "topic_id": gap.topic.id,
        "partition": gap.partition,
        "first": gap.first,
        "last": gap.last,
    }
    return DeadLetter(kind, f"{gap.topic.name}/{gap.partition}/{gap.first}", str(gap), row)


def message_of(letter: DeadLetter) -> tuple[Topic, Record]:
    """The message that the letter is of, where it was.

    Raises:
        BadInput: none that could be indexed; the message says why.
    """
    if letter.kind != LISTINGS:
        raise BadInput(f"{letter.id}: {letter.kind} cannot be replayed: the access log is written in the topic's order")
    row = letter.row if isinstance(letter.row, dict) else {}
    if "first" in row:
        raise BadInput(f"{letter.id}: a gap cannot be replayed: Kafka has removed these messages")
    place = Place.read(row)
    try:
        key, value = (_bytes(row[name]) for name in ("key", "value"))
    except (KeyError, TypeError, ValueError):
        place = None
    if place is None:
        raise BadInput(f"{letter.id}: it cannot be replayed: its row is none that listings index has written")
    topic = Topic(place.topic, place.topic_id, place.partition + 1)
    return topic, Record(place.partition, place.offset, place.timestamp, key, value)


def _text(value: bytes | None) -> str | dict[str, Any] | None:
    """Bytes as JSON can hold them: what is no UTF-8 as base64."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _bytes(text: Any) -> bytes | None:
    """What `_text` was given."""
    if isinstance(text, dict):
        return base64.b64decode(text["base64"], validate=True)
    return None if text is None else str.encode(text)
