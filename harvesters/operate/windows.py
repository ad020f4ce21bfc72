"""The windows of a back-fill: a range in steps from its start on, without what is done already. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from harvesters.intervals import Intervals
from harvesters.timespan import Window, day_window

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Steps:
    """How a range is cut.

    Args:
        length: of a window, counted from the range's start.
        days: the zone whose days cut instead, as many at once as are in `length`; None for a source that can be
            asked for any time.
    """

    length: timedelta
    days: tzinfo | None = None

    def cut(self, whole: Window) -> Iterator[Window]:
        """The windows of `whole`; the last one ends where it ends."""
        length = min(self.length, whole.end - whole.start + DAY)
        start = whole.start
        while start < whole.end:
            end = min(self._end(start, length), whole.end)
            yield Window(start, end)
            start = end

    def left(self, whole: Window, done: Intervals) -> Iterator[Window]:
        """The windows of `whole` without what is `done`: of one that is done in part, each part that is not."""
        left = deque(Intervals.of([whole]) - done)
        for window in self.cut(whole) if left else ():
            while left and left[0].start < window.end:
                part = left[0].intersection(window)
                if part is not None:
                    yield part
                if left[0].end > window.end:
                    break
                left.popleft()

    def _end(self, start: datetime, length: timedelta) -> datetime:
        if self.days is None:
            return start + length
        day = start.astimezone(self.days).date() + max(length // DAY, 1) * DAY
        return day_window(day, self.days).start


def whole_days(whole: Window) -> bool:
    """Whether it begins and ends at midnight, UTC."""
    return all(moment.astimezone(UTC).time() == datetime.min.time() for moment in (whole.start, whole.end))
