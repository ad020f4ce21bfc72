"""What is due each day, as tasks: `operate.beat` says when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery.beat import Scheduler as CelerysScheduler

from harvesters.clock import Clock, SystemClock
from harvesters.errors import ConfigError
from harvesters.messages.windows import MOVING
from harvesters.operate.beat import Beat, Daily
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings
from harvesters.tasks.app import broker_url
from harvesters.tasks.ledger import is_redis
from harvesters.tasks.messages import UPDATE_ALL, UPDATE_FIXED, send

if TYPE_CHECKING:
    from celery import Celery


def beat_of(app: Celery, settings: Settings, clock: Clock) -> Beat:
    """The one by these settings.

    Raises:
        ConfigError: one cannot be read, or the broker is no Redis, where the state of beats is.
    """
    url, daily = broker_url(settings), Daily.of(settings)
    if not is_redis(url):
        raise ConfigError("beat keeps its state in Redis: name one in CELERY_BROKER_URL, as redis://host:port/db")

    def queue(due: datetime) -> None:
        which = due.astimezone(UTC).strftime("beat.%Y%m%dT%H%M%SZ")
        send(app, [(UPDATE_ALL, [MOVING], f"{which}.moving"), (UPDATE_FIXED, [], f"{which}.fixed")])

    return Beat(url, daily, queue, clock, RetryPolicy(clock, settings.number("HARVEST_RETRY_BUDGET")))


class Scheduler(CelerysScheduler):  # type: ignore[misc]
    """For ``celery -A harvesters.tasks:app beat``: the same, in Celery's loop and without a file."""

    def setup_schedule(self) -> None:
        """There are no entries: what is due is asked for."""
        self._beat = beat_of(self.app, self.app.harvest_settings, SystemClock())

    def tick(self, *arguments: Any, **named: Any) -> float:
        """Send what is due; returns the seconds until the next look."""
        return self._beat.tick()
