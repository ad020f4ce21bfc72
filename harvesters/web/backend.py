"""What answers are made with: the cluster, threads to ask it in, and a limit of time."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

from harvesters.clock import SystemClock
from harvesters.elastic.errors import Refused
from harvesters.errors import HarvestError, TryLater, Unavailable
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings
from harvesters.web.problems import Problem

if TYPE_CHECKING:
    from harvesters.elastic.client import SearchClient

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = "HARVEST_SEARCH_TIMEOUT"

REDIS_PATIENCE = 1.0
"""Seconds for one answer of Redis: requests wait for it."""

_THREADS = 32


class Missing(Exception):
    """A part cannot answer until somebody does something; the text says what, without names of hosts."""


class Backend:
    """Asks in threads of its own, so that what needs no cluster is answered at once however many requests wait.

    Attributes:
        patience: seconds that one answer may take as a whole (``HARVEST_SEARCH_TIMEOUT``).
        stop: set when the server ends; waits end with it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.patience = settings.number(PATIENCE, minimum=0.001)
        self.stop = threading.Event()
        self._threads = ThreadPoolExecutor(_THREADS, "answer")
        self._open = ExitStack()

    @cached_property
    def client(self) -> SearchClient:
        """The cluster, asked within `patience`, retries inside."""
        from harvesters.elastic.client import SearchClient

        retry = RetryPolicy(SystemClock(self.stop), self.patience, setting=PATIENCE)
        client = SearchClient.from_settings(self.settings, retry, _THREADS)
        client.timeout = self.patience
        self._open.callback(client.close)
        return client

    def closing(self, close: Callable[[], None]) -> None:
        """Have `close` called when the server ends."""
        self._open.callback(close)

    async def answer(self, work: Callable[[], T]) -> T:
        """What `work` returns, which may ask the cluster.

        Raises:
            Problem: 503, with the reason.
        """
        async with self._within_patience():
            return await self._in_a_thread(work)

    async def answer_with(self, ready: Future[R], work: Callable[[R], T]) -> T:
        """As `answer`, where `work` takes what is first to be waited for.

        Raises:
            Problem: 503, with the reason.
        """
        async with self._within_patience():
            thing = await asyncio.wrap_future(ready)
            return await self._in_a_thread(partial(work, thing))

    async def _in_a_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @asynccontextmanager
    async def _within_patience(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.patience):
                yield
        except TimeoutError:
            log.warning("503: no answer within %g seconds", self.patience)
            raise later(f"There was no answer within {self.patience:g} seconds.", self.patience) from None
        except Missing as error:
            raise Problem(503, str(error), {"Retry-After": "60"}) from None
        except HarvestError as error:
            raise self._problem(error) from None

    def close(self) -> None:
        """Let go of threads and connections."""
        self.stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._open.close()

    def _problem(self, error: HarvestError) -> Problem:
        """503; the log says what the other side said, unless its words may quote what was searched."""
        words = f"Elasticsearch answered {error.status}" if isinstance(error, Refused) else str(error)
        log.warning("503: %s", words)
        if isinstance(error, Unavailable | TryLater):
            return later("Elasticsearch does not answer.", self.patience)
        return Problem(503, "Elasticsearch cannot be asked; the server's log says why.", {"Retry-After": "60"})


def later(detail: str, seconds: float) -> Problem:
    """503: it is to be tried again after so many seconds."""
    return Problem(503, f"{detail} Try again later.", {"Retry-After": str(max(1, math.ceil(seconds)))})
