"""Which messages of tasks are not to be done any more.

A task comes a second time when its worker was at it for longer than the broker waits, or was killed before it could
say that it is done.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from harvesters.redis_client import client, failures

if TYPE_CHECKING:
    import redis

log = logging.getLogger(__name__)

_KEPT = 2 * 24 * 3600  # seconds
_OVER = b"over"


@dataclass
class Ledger:
    """Which message of a task is the latest, and which tasks are over, in the Redis of the broker at `url`."""

    url: str

    def stale(self, task: str, message: int) -> bool:
        """Whether the task is over, or a later message of it is under way."""
        try:
            known = self._redis.get(_key(task))
        except failures() as error:
            log.debug("the ledger of tasks does not answer: %s", error)
            return False  # twice is better than never
        return known is not None and (known == _OVER or int(known) > message)

    def sent(self, task: str, message: int) -> None:
        """That message is under way; earlier ones are not to be."""
        self._write(task, str(message).encode())

    def over(self, task: str) -> None:
        """The task is done, or given up."""
        self._write(task, _OVER)

    def close(self) -> None:
        """Drop the connections."""
        if "_redis" in self.__dict__:
            self._redis.close()
            del self.__dict__["_redis"]

    def _write(self, task: str, value: bytes) -> None:
        try:
            self._redis.set(_key(task), value, ex=_KEPT)
        except failures() as error:
            log.debug("the ledger of tasks does not answer: %s", error)

    @cached_property
    def _redis(self) -> redis.Redis:
        return client(self.url)


class NoLedger(Ledger):
    """Of a broker that is no Redis."""

    def stale(self, task: str, message: int) -> bool:
        return False

    def _write(self, task: str, value: bytes) -> None:
        pass


def ledger_of(url: str) -> Ledger:
    """The one of that broker."""
    return Ledger(url) if is_redis(url) else NoLedger(url)


def is_redis(url: str) -> bool:
    """Whether it is the URL of a Redis that redis-py knows, too."""
    return url.startswith(("redis://", "rediss://", "unix://"))


def _key(task: str) -> str:
    return f"harvest.task.{task}"
