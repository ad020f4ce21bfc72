"""How far a harvest has got, as the loop sees it: something to write down, read back, and compare.

A window of time is one kind, the keys of a Firebase database are another. The loop knows neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Protocol

from harvesters.timespan import floor_second, format_checkpoint, parse_checkpoint


class Cursor(Protocol):
    """A place in a source: everything up to it has been read."""

    def encode(self) -> str:
        """The text of a checkpoint, which a person can read and write."""

    def passes(self, other: Any) -> bool:
        """True when this place lies beyond `other`, which is of the same kind."""


class CursorKind(Protocol):
    """Reads the text of a checkpoint back."""

    @property
    def remedy(self) -> str:
        """What to do about a text that cannot be read, beside correcting it; the end of a sentence."""

    def decode(self, text: str) -> Cursor:
        """The cursor that `text` says.

        Raises:
            ValueError: it says none; the message quotes it.
        """


@dataclass(frozen=True)
class TimeCursor:
    """A whole second of a source's time: ``YYYYMMDDHHmmssZ``; the fraction of a second is dropped."""

    moment: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "moment", floor_second(self.moment))

    def encode(self) -> str:
        return format_checkpoint(self.moment)

    def passes(self, other: TimeCursor) -> bool:
        return self.moment > other.moment


@dataclass(frozen=True)
class Times:
    """Checkpoints that are times; one without ``Z``, as older installations wrote it, is of `zone`."""

    zone: tzinfo
    remedy: str = "delete it and harvest what was missed with --start/--end"

    def decode(self, text: str) -> TimeCursor:
        return TimeCursor(parse_checkpoint(text, self.zone))


@dataclass(frozen=True)
class KeyCursor:
    """A key of a source whose keys are in the order in which they were made."""

    key: str

    def encode(self) -> str:
        return self.key

    def passes(self, other: KeyCursor) -> bool:
        return self.key > other.key
