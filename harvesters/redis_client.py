"""redis-py, imported and connected when it is first needed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from harvesters.collector import uncollected
from harvesters.errors import ConfigError
from harvesters.privacy import redact

if TYPE_CHECKING:
    import redis


def checked(url: str) -> str:
    """`url`, when it is one of Redis.

    Raises:
        ConfigError: it is none.
    """
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigError("REDIS_URL should read redis://[:password@]host:port/db, rediss://… or unix://…")
    return url


def client(url: str) -> redis.Redis:
    """A client of the Redis at `url`, which connects with the first command; errors are redis-py's own.

    Raises:
        ConfigError: the URL cannot be read.
    """
    try:
        made: redis.Redis = library().Redis.from_url(url, socket_connect_timeout=2, socket_timeout=5)
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
