"""Windows as the platform's services take them: whole seconds of the epoch, both ends included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Bounds:
    """The window ``[start, end)`` of aware times; None leaves that side open."""

    start: datetime | None = None
    end: datetime | None = None

    def around(self) -> tuple[int | None, int | None]:
        """First and last second that have a part in it: what to ask for where `holds` sorts out the rest."""
        first = (self.start - _EPOCH) // _SECOND if self.start is not None else None
        last = _ceiling(self.end) if self.end is not None else None
        return first, last

    def whole(self) -> tuple[int | None, int | None]:
        """First and last whole second that lie in it: what to ask for where answers have no times."""
        first = _ceiling(self.start) if self.start is not None else None
        last = _ceiling(self.end) - 1 if self.end is not None else None
        return first, last

    def holds(self, seconds: Any) -> bool:
        """Whether a moment lies in it; what is no number says nothing against it."""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            return True
        after = self.start is None or seconds >= (self.start - _EPOCH) / _SECOND
        return after and (self.end is None or seconds < (self.end - _EPOCH) / _SECOND)


def _ceiling(moment: datetime) -> int:
    return -((_EPOCH - moment) // _SECOND)
