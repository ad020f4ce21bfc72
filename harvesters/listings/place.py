"""Where a message is, and which of two is the later one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import orjson


class Place(NamedTuple):
    """Where a message is in Kafka; `timestamp` is in milliseconds, and -1 where it has none."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    timestamp: int

    def after(self, other: Place) -> bool:
        """Whether this message counts as later than `other`.

        In a partition it is the one with the higher offset. Between partitions, and between a topic and one that was
        made anew under its name, it is the one with the later timestamp.
        """
        if self.partition == other.partition and self.topic_id == other.topic_id:
            return self.offset > other.offset
        return self[:0:-1] > other[:0:-1] if self.timestamp == other.timestamp else self.timestamp > other.timestamp

    def encoded(self) -> bytes:
        """As JSON, which `read` reads."""
        return b'{"topic":%b,"topic_id":%b,"partition":%d,"offset":%d,"timestamp":%d}' % (
            _text(self.topic),
            _text(self.topic_id),
            self.partition,
            self.offset,
            self.timestamp,
        )

    @classmethod
    def read(cls, fields: Any) -> Place | None:
        """The place in a document; None for anything else, such as a document that is not ours."""
        if not isinstance(fields, dict):
            return None
        values = [fields.get(name) for name in cls._fields]
        texts, numbers = values[:2], values[2:]
        if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
            return None
        return cls(*values)  # type: ignore[arg-type]


@lru_cache(100)
def _text(text: str) -> bytes:
    return orjson.dumps(text)
