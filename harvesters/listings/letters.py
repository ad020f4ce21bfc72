"""Dead letters of the topics' messages and gaps, and how they are named."""

from __future__ import annotations

import base64
from typing import Any

from harvesters.kafka.records import Gap, Record
from harvesters.kafka.topics import Topic
from harvesters.sinks.deadletters import DeadLetter


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


def _text(value: bytes | None) -> str | dict[str, Any] | None:
    """Bytes as JSON can hold them: what is no UTF-8 as base64."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
