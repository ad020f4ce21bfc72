"""Days of one time zone: the periods of the answers are local."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = date(1970, 1, 1).toordinal()
_SPANS = (6 * 3_600_000, 3_600_000, 900_000)  # milliseconds
_SEVERAL = -(2**40)


@dataclass(frozen=True)
class Calendar:
    """The days of `zone`, counted from 1970-01-01."""

    zone: ZoneInfo
    _known: dict[tuple[int, int], int] = field(default_factory=dict)

    def local(self, at: int) -> datetime:
        """The instant `at` (milliseconds since 1970) as clocks of the zone show it."""
        return (_EPOCH + timedelta(milliseconds=at)).astimezone(self.zone)

    def iso(self, at: int) -> str:
        """The same as ISO 8601, with milliseconds and offset."""
        return self.local(at).isoformat(timespec="milliseconds")

    def day(self, at: int) -> date:
        """The day that holds `at`."""
        return self.local(at).date()

    def numbers(self, at: NDArray[numpy.int64], span: int = 0) -> NDArray[numpy.int64]:
        """The number of the day of each instant.

        Instants are looked at in spans of time that lie within one day; what is left in shorter ones, then one by one.
        """
        import numpy as np

        if span == len(_SPANS):
            return np.array([self._number(int(one)) for one in at], dtype=np.int64)
        length = _SPANS[span]
        parts, where = np.unique(at // length, return_inverse=True)
        numbers = np.array([self._of_span(int(part) * length, length) for part in parts], dtype=np.int64)[where]
        left = numbers == _SEVERAL
        if left.any():
            numbers[left] = self.numbers(at[left], span + 1)
        return numbers

    def _of_span(self, start: int, length: int) -> int:
        """The day that a span of time lies in, if it does and no clock is set in it."""
        if (start, length) not in self._known:
            first, last = self.local(start), self.local(start + length - 1)
            one = first.date() == last.date() and first.utcoffset() == last.utcoffset()
            self._known[start, length] = first.toordinal() - _FIRST if one else _SEVERAL
        return self._known[start, length]

    def _number(self, at: int) -> int:
        return self.day(at).toordinal() - _FIRST
