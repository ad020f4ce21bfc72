"""What a reader of a topic gives: records, batches of them, and gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from harvesters.kafka.topics import Topic


class Record(NamedTuple):
    """A message; `timestamp` is in milliseconds since 1970, and -1 where there is none."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, eq=False)
class Batch:
    """Records of `topic` as they came, in the order of each partition.

    Attributes:
        ends: of the partitions that got on, the offset that comes next. That is beyond the last record where a
            transaction was aborted, or left its mark; so there may be ends without records.
        age: of the reader's partitions, when it was read: one that it lost since is not committed.
    """

    topic: Topic
    records: list[Record]
    ends: dict[int, int]
    age: int


@dataclass(frozen=True)
class Gap:
    """Messages that the broker removed before they were read: from offset `first` to `last`."""

    topic: Topic
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        return (
            f"messages {self.first} to {self.last} of {self.topic.name}, partition {self.partition}, were removed by "
            "Kafka before they were read (retention.ms, retention.bytes)"
        )
