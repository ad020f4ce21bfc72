"""What is due each day, and is sent once: however many beats there are, and whenever one of them is killed.

Which due time was sent last stands in Redis. Whoever finds an earlier one there takes a lock, sends, and then writes
it down. Killed in between it leaves the lock, which ends by itself; whoever comes next sends again, under the same
name, by which a worker knows what it has done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

from harvesters.clock import Clock
from harvesters.errors import ConfigError
from harvesters.privacy import redact
from harvesters.redis_client import client, failures, library
from harvesters.retry import RetryPolicy, Transient
from harvesters.settings import Settings
from harvesters.timespan import iso

if TYPE_CHECKING:
    import redis

log = logging.getLogger(__name__)

AT, ZONE = "MESSAGES_BEAT", "MESSAGES_TIMEZONE"
_KEY, _LOCK = "harvest.beat.sent", "harvest.beat.lock"
_HELD = 5  # seconds after which the lock of a beat that was killed ends
_LOOK = 5.0  # seconds between two looks, also at whether Redis is there
_SOON = 0.5  # seconds, while another beat is at it
_AHEAD = timedelta(hours=1)  # a time in the future is one of a clock that was wrong; of two clocks one may be ahead
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Daily:
    """A time of day in a time zone. One that a day does not have, or has twice, is due once on that day."""

    at: time
    zone: ZoneInfo

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """By `MESSAGES_BEAT` and `MESSAGES_TIMEZONE`.

        Raises:
            ConfigError: it is no time of day, or no time zone.
        """
        text = settings.get(AT)
        try:
            at = datetime.strptime(text, "%H:%M").time()
        except ValueError as error:
            raise ConfigError(f"{AT}={text!r} cannot be read; it should be a time of day, such as 04:00") from error
        return cls(at, settings.timezone(ZONE))

    def on(self, day: date) -> datetime:
        """When it is due on that day: the first of two, and after a gap as many minutes as it is in it."""
        return datetime.combine(day, self.at, self.zone).astimezone(UTC)

    def last(self, now: datetime) -> datetime:
        """When it was due last."""
        return max(due for due in self._around(now) if due <= now)

    def next(self, now: datetime) -> datetime:
        """When it is due next."""
        return min(due for due in self._around(now) if due > now)

    def _around(self, now: datetime) -> list[datetime]:
        day = now.astimezone(self.zone).date()
        return [self.on(day + distance * _DAY) for distance in range(-2, 3)]


@dataclass
class Beat:
    """Sends what is due.

    Args:
        url: of the Redis that all beats share.
        send: queues what is due at that time; raises `HarvestError` when it cannot.
    """

    url: str
    daily: Daily
    send: Callable[[datetime], None]
    clock: Clock
    retry: RetryPolicy
    _sent: datetime | None = field(default=None, init=False)

    def run(self) -> None:
        """Until the clock's wait is interrupted.

        Raises:
            Interrupted: it was told to stop.
            Unavailable: Redis was away for longer than the budget.
        """
        while True:
            self.clock.sleep(self.tick())

    def tick(self) -> float:
        """Send what is due and was not sent; returns the seconds until it is to be looked again.

        Raises:
            Unavailable: Redis was away for longer than the budget.
        """
        return self.retry.call(self._tick, f"the broker {redact(self.url)}")

    def close(self) -> None:
        """Drop the connections."""
        if "_redis" in self.__dict__:
            self._redis.close()

    def _tick(self) -> float:
        try:
            if self._due() is not None and not self._turn():
                return _SOON
        except failures() as error:
            raise Transient(redact(f"{type(error).__name__}: {error}")) from error
        now = self.clock.now()
        return min(_LOOK, max(0.0, (self.daily.next(now) - now).total_seconds()))

    def _turn(self) -> bool:
        """Send what is due; False while another beat is at it."""
        lock = self._redis.lock(_LOCK, timeout=_HELD, thread_local=False)
        if not lock.acquire(blocking=False):
            return False
        try:
            due = self._due()  # another beat may have sent it since
            if due is not None:
                self.send(due)
                self._redis.set(_KEY, iso(due))
                log.info("sent what was due at %s", iso(due))
        finally:
            with suppress(library().exceptions.LockError):  # it took so long that it ended by itself
                lock.release()
        return True

    def _due(self) -> datetime | None:
        """What is due and not written down as sent."""
        now = self.clock.now()
        due, sent = self.daily.last(now), self._read(now)
        return due if sent is None or sent < due else None

    def _read(self, now: datetime) -> datetime | None:
        kept: Any = self._redis.get(_KEY)
        try:
            sent = datetime.fromisoformat(kept.decode())
            return sent if sent <= now + _AHEAD else None
        except (AttributeError, ValueError, TypeError):  # nothing, or nothing of ours
            return None

    @cached_property
    def _redis(self) -> redis.Redis:
        return client(self.url)
