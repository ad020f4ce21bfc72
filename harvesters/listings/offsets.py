"""What the offsets beside an access log say: how much of it is there for good, and which messages that is.

The two change together, as one small file that is replaced whole after the lines are on the disk. Whatever the log
holds beyond that was cut off in the middle, and its messages are read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from harvesters.errors import ConfigError


@dataclass(frozen=True)
class Offsets:
    """How far an access log is.

    Attributes:
        log: which log it is; one that was begun anew has another.
        size: bytes of the file that is written now.
        closed: bytes of each file that was closed before it, the oldest first.
        times: bytes of the file with the times of the lines.
        minute: of the last lines, whose time does not stand in that file yet, as minutes since 1970.
        lines: how many lines that are.
        topics: by the id of a topic, the offset of each partition that comes next.
    """

    log: str
    size: int = 0
    closed: tuple[int, ...] = ()
    times: int = 0
    minute: int = 0
    lines: int = 0
    topics: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The number that the file gets which is written now, once it is closed."""
        return len(self.closed) + 1

    def encode(self) -> bytes:
        """As JSON, for the file and for people."""
        topics = {
            id: {str(partition): offset for partition, offset in each.items()} for id, each in self.topics.items()
        }
        return (
            orjson.dumps(
                {
                    "log": self.log,
                    "bytes": self.size,
                    "closed": self.closed,
                    "times": {"bytes": self.times, "minute": self.minute, "lines": self.lines},
                    "offsets": topics,
                }
            )
            + b"\n"
        )

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Read it back.

        Raises:
            ConfigError: it is none of ours.
        """
        try:
            data: dict[str, Any] = orjson.loads(content)
            times = data["times"]
            return cls(
                str(data["log"]),
                _number(data["bytes"]),
                tuple(_number(size) for size in data["closed"]),
                _number(times["bytes"]),
                _number(times["minute"]),
                _number(times["lines"]),
                {
                    id: {int(partition): _number(offset) for partition, offset in each.items()}
                    for id, each in data["offsets"].items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"what it holds is no offsets of an access log: {error}") from error


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no number of bytes, lines or messages")
    return value
