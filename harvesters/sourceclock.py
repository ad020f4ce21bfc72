"""What time it is at a source, by the ``Date`` of its answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from harvesters.clock import Clock
from harvesters.timespan import as_utc

_CUT = timedelta(milliseconds=999)  # a ``Date`` has whole seconds: the source's clock may be so much further


class SourceClock:
    """Goes on from the last ``Date`` that was heard of, however our own clock is set meanwhile.

    Args:
        clock: ours.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: tuple[datetime, float] | None = None

    def hear(self, date: str | None) -> None:
        """Take the ``Date`` header of an answer that has just come; one that is missing or no date says nothing."""
        try:
            moment = as_utc(parsedate_to_datetime(date or ""), UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            return
        self._heard = moment, self._clock.monotonic()

    def now(self) -> datetime | None:
        """The source's time; None as long as it has not told it."""
        if self._heard is None:
            return None
        moment, since = self._heard
        return moment + timedelta(seconds=self._clock.monotonic() - since)

    def earlier(self) -> datetime:
        """The earlier of our now and the source's: what lies behind it has not happened yet."""
        ours, theirs = self._clock.now(), self.now()
        return ours if theirs is None else min(ours, theirs + _CUT)
