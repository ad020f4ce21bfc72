"""redis-py, imported and connected when it is first needed."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from harvesters.collector import uncollected
from harvesters.errors import ConfigError
from harvesters.privacy import redact

if TYPE_CHECKING:
    import redis

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for one answer of Redis."""

_AT_ONCE = 0.1  # seconds

T = TypeVar("T")
R = TypeVar("R")


class RedisOr(Generic[T]):
    """`shared`, which is in Redis, until that fails; then one warning, and `alone`, which is in this process.

    Args:
        consequence: what the operator should know then.
        again: seconds after which Redis is tried again; by default it is not.
        elapsed: what they are measured by.
        soon: seconds after which it is tried again where a connection was refused or cut off at once.
    """

    def __init__(
        self,
        shared: T,
        alone: T,
        url: str,
        consequence: str,
        again: float = math.inf,
        elapsed: Callable[[], float] = time.monotonic,
        soon: float = math.inf,
    ) -> None:
        self._used = shared
        self._again, self._elapsed, self._due = again, elapsed, math.inf
        self._soon = min(soon, again)
        self._shared = shared
        self._alone = alone
        self._where = redact(url)
        self._consequence = consequence

    @property
    def used(self) -> T:
        """The one in use now."""
        return self._used

    def __call__(self, use: Callable[[T], R]) -> R:
        """What `use` returns for the one in use, or for the other when Redis fails it."""
        now = self._elapsed()
        if self._used is self._alone:
            if now < self._due:
                return use(self._alone)
            self._due = now + self._again  # one tries, the others need not wait for it
        try:
            answer = use(self._shared)
        except failures() as error:
            failed = self._elapsed()
            away = isinstance(error, library().ConnectionError | OSError) and failed - now < _AT_ONCE
            self._due = failed + (self._soon if away else self._again)
            if self._used is not self._alone:  # several threads may fail at once
                self._used = self._alone
                log.warning("no Redis at %s (%s): %s", self._where, redact(str(error)), self._consequence)
            return use(self._alone)
        if self._used is self._alone:
            self._used = self._shared
            log.info("Redis at %s answers again", self._where)
        return answer


class Client:
    """A client of the Redis at `url`, connected with the first command; errors are redis-py's own, see `RedisOr`.

    Args:
        patience: seconds for one answer.

    Raises:
        ConfigError: the URL is none.
    """

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self.url = checked(url)
        self.patience = patience

    @cached_property
    def redis(self) -> redis.Redis:
        """redis-py's client."""
        return client(self.url, self.patience)

    def close(self) -> None:
        """Drop the connections."""
        if "redis" in self.__dict__:
            self.redis.close()


def checked(url: str) -> str:
    """`url`, when it is one of Redis.

    Raises:
        ConfigError: it is none.
    """
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigError("REDIS_URL should read redis://[:password@]host:port/db, rediss://… or unix://…")
    return url


def client(url: str, patience: float = PATIENCE) -> redis.Redis:
    """A client of the Redis at `url`, which connects with the first command; errors are redis-py's own.

    Args:
        patience: seconds for one answer.

    Raises:
        ConfigError: the URL cannot be read.
    """
    try:
        made: redis.Redis = library().Redis.from_url(
            url, socket_connect_timeout=min(2.0, patience), socket_timeout=patience
        )
    except ValueError as error:
        raise ConfigError(f"REDIS_URL cannot be read: {redact(str(error))}") from error
    return made


def failures() -> tuple[type[Exception], ...]:
    """What says that Redis cannot be used: for an ``except`` clause."""
    return (library().RedisError, OSError)


@cache
def library() -> Any:
    """The module, imported once."""
    with uncollected():
        import redis

    return redis
