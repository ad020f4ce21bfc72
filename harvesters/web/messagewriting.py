"""What writes messages and logs, and erases people: patient, for who posts would rather wait than post again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial

from harvesters.assembly import Assembly
from harvesters.clock import SystemClock
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused
from harvesters.errors import HarvestError
from harvesters.messages import erasure
from harvesters.messages.erasure import Erased, EraseFailed
from harvesters.messages.forms import Forms
from harvesters.messages.logs import LogWriter
from harvesters.messages.notes import SharedNotes
from harvesters.messages.posting import Draft, Poster
from harvesters.retry import RetryPolicy
from harvesters.web.backend import REDIS_PATIENCE, Backend
from harvesters.web.gathering import Gatherer
from harvesters.web.problems import Problem

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds without progress after which a post, or an erasure, is answered with 503."""

_FIRST, _CAP = 0.1, 0.5  # seconds between two tries
_ERASURES = 4  # at once
_CONNECTIONS = 16
_REDIS_AGAIN = 10.0  # seconds after which a Redis that hangs is tried again


class Writing:
    """Writes to the cluster of `backend`.

    Attributes:
        forms: what is known of the indices of messages.
    """

    def __init__(self, backend: Backend, patience: float = PATIENCE) -> None:
        self._backend, self._patience = backend, patience
        self.forms = Forms()
        self._notes = SharedNotes(Assembly(backend.settings).redis_url, _REDIS_AGAIN, REDIS_PATIENCE)
        self._poster = Poster(self.forms, self._notes)
        self._log_writer = LogWriter()
        self._messages = Gatherer(partial(self._write, self._poster.post), patience)
        self._logs = Gatherer(partial(self._write, self._log_writer.post), patience)
        self._erasures = ThreadPoolExecutor(_ERASURES, "erase")

    async def messages(self, drafts: Sequence[Draft]) -> None:
        """Store messages.

        Raises:
            Problem: 503.
        """
        await self._posted(self._messages, drafts)

    async def logs(self, drafts: Sequence[Draft]) -> None:
        """Store logs.

        Raises:
            Problem: 503.
        """
        await self._posted(self._logs, drafts)

    async def erase(
        self, user: str, *, project: str | None = None, message: str | None = None, trace: str | None = None
    ) -> dict[str, int]:
        """Erase a person's messages, and logs; the numbers as they are told.

        Raises:
            Problem: 503, with those so far.
        """

        def work() -> Erased:
            client = self._client.under(self._retry(self._patience))
            return erasure.erase(client, user, project=project, message=message, trace=trace)

        try:
            erased = await asyncio.get_running_loop().run_in_executor(self._erasures, work)
        except EraseFailed as error:
            raise self._later(error, {"deleted": error.erased.messages, "deletedLogs": error.erased.logs}) from None
        return {"deleted": erased.messages, "deletedLogs": erased.logs}

    def close(self) -> None:
        """Let go of threads, and of Redis."""
        self._messages.close()
        self._logs.close()
        self._erasures.shutdown(wait=False, cancel_futures=True)
        self._notes.close()

    async def _posted(self, gatherer: Gatherer, drafts: Sequence[Draft]) -> None:
        try:
            await gatherer.post(drafts)
        except HarvestError as error:
            raise self._later(error) from None

    def _later(self, error: HarvestError, more: dict[str, int] | None = None) -> Problem:
        words = f"Elasticsearch answered {error.status}" if isinstance(error, Refused) else str(error)
        log.warning("503: %s", words)
        detail = "Elasticsearch did not take it. Nothing that was acknowledged is lost; do it again later."
        return Problem(503, detail, {"Retry-After": "5"}, more)

    def _write(
        self,
        post: Callable[[SearchClient, Sequence[Draft], Callable[[], None]], None],
        drafts: Sequence[Draft],
        seconds: float,
        progress: Callable[[], None],
    ) -> None:
        post(self._client.under(self._retry(seconds)), drafts, progress)

    def _retry(self, seconds: float) -> RetryPolicy:
        clock = SystemClock(self._backend.stop)
        return RetryPolicy(clock, max(0.0, seconds), _FIRST, _CAP, setting="time of a post", since_progress=True)

    @cached_property
    def _client(self) -> SearchClient:
        client = SearchClient.from_settings(self._backend.settings, self._retry(self._patience), _CONNECTIONS)
        client.timeout = self._patience
        self._backend.closing(client.close)
        return client
