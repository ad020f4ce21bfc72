"""What goes to Kafka: listings, which are waited for, and page views, for which no page waits."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import count

from harvesters.clock import SystemClock
from harvesters.errors import BadInput, HarvestError, TryLater, Unavailable
from harvesters.kafka import producer
from harvesters.kafka.producer import TooLarge
from harvesters.kafka.sent import Sent
from harvesters.listings.message import parse_listing
from harvesters.listings.send import Sender
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings
from harvesters.web.problems import Problem

log = logging.getLogger(__name__)

_THREADS = 16  # that wait for Kafka to acknowledge a listing
_WAITING = 10_000  # page views under way; while Kafka is away, more are not sent
_LAST = 5.0  # seconds that the end waits for what is under way


class Outbox:
    """Sends in threads of its own, so that nothing else waits while Kafka is away.

    Args:
        patience: seconds after which a listing counts as not acknowledged.
    """

    def __init__(self, settings: Settings, patience: float) -> None:
        self._patience = patience
        self._stop = threading.Event()
        self._sender = Sender(settings, RetryPolicy(SystemClock(self._stop), settings.number("HARVEST_RETRY_BUDGET")))
        self._posts = ThreadPoolExecutor(_THREADS, "post")
        self._views = ThreadPoolExecutor(1, "view")
        self._under_way: dict[int, tuple[str, str]] = {}
        self._numbers = count()
        self._changed = threading.Condition()

    async def listing(self, value: bytes) -> tuple[str, Sent]:
        """Send a listing; its id, and where it is.

        Raises:
            Problem: 422, it is none; 413, it is larger than Kafka takes; 503, Kafka has not acknowledged it.
        """
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.get_running_loop().run_in_executor(self._posts, self._send, value)
        except TimeoutError:
            raise self._later() from None
        except TooLarge as error:
            raise Problem(413, f"It is too large: {error}.") from None
        except BadInput as error:
            raise Problem(422, f"It is no listing: {error}.") from None
        except HarvestError as error:
            log.warning("503: %s", error)
            if isinstance(error, Unavailable | TryLater):
                raise self._later() from None
            raise self._broken() from None

    def view(self, user: str, item: str) -> None:
        """Send that `user` looked at `item`. Returns at once; what cannot be sent is logged."""
        number, full = next(self._numbers), False
        with self._changed:
            full = len(self._under_way) >= _WAITING
            if not full:
                self._under_way[number] = user, item
        if full:
            _log_lost(user, item, f"{_WAITING:,} others wait for Kafka already")
        else:
            self._views.submit(self._send_view, number, user, item)

    def close(self) -> None:
        """Wait a while for what is under way, and log what is left."""
        deadline = time.monotonic() + _LAST
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, _LAST)
            left, self._under_way = self._under_way, {}
        for user, item in left.values():
            _log_lost(user, item, "Kafka has not acknowledged it, and serve ends")
        self._stop.set()
        self._posts.shutdown(wait=False, cancel_futures=True)
        self._views.shutdown(wait=False, cancel_futures=True)
        producer.close(max(0.0, deadline - time.monotonic()))

    def _send(self, value: bytes) -> tuple[str, Sent]:
        return parse_listing(value).id, self._sender.encoded(value, self._patience)

    def _send_view(self, number: int, user: str, item: str) -> None:
        told = partial(self._told, number)
        try:
            self._sender.view_soon(user, item, told)
        except HarvestError as error:
            told(error)
        except Exception as error:  # nobody waits for this thread
            log.exception("a bug")
            told(HarvestError(f"a bug: {type(error).__name__}"))

    def _told(self, number: int, answer: Sent | HarvestError) -> None:
        with self._changed:
            view = self._under_way.pop(number, None)
            self._changed.notify_all()
        if view is not None and isinstance(answer, HarvestError):
            _log_lost(*view, str(answer))

    def _later(self) -> Problem:
        after = {"Retry-After": str(max(1, math.ceil(self._patience)))}
        return Problem(503, "Kafka has not acknowledged the listing. It may come all the same; try again later.", after)

    def _broken(self) -> Problem:
        after = {"Retry-After": "60"}
        if find_spec("confluent_kafka") is None:
            return Problem(503, "The server lacks an extra: pip install 'harvest[kafka]'.", after)
        return Problem(503, "Kafka cannot be asked; the server's log says why.", after)


def _log_lost(user: str, item: str, reason: str) -> None:
    log.error("the page view of %r by %r was not sent: %s", item, user, reason)
