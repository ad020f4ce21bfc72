"""A cache with a time to live: Redis, or the process's own memory when there is no Redis.

Two shapes are kept: plain values, and small hashes (a key with fields), which Redis packs tightly. Every call moves
many keys in one round trip.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Protocol

from cachetools import TLRUCache

from harvesters import redis_client

Hashes = Mapping[str, Mapping[str, bytes]]

_ALONE = (
    "going on with a cache in this process; documents that were delivered before may be delivered again, under the "
    "same id"
)


class Cache(Protocol):
    """Values that may vanish at any time. Keys are prefixed by whoever uses it."""

    @property
    def volatile(self) -> bool:
        """True when it ends with this process."""

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The values of those `keys` that are there."""

    def put(self, values: Mapping[str, bytes], ttl: float) -> None:
        """Store values for `ttl` seconds."""

    def get_fields(self, wanted: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], bytes]:
        """Of the hashes `wanted` (key to fields), the values that are there, by (key, field)."""

    def put_fields(self, hashes: Hashes, ttl: float) -> None:
        """Add fields to hashes; a hash lives `ttl` seconds from the last addition."""

    def close(self) -> None:
        """Drop the connections, if there are any; the next use makes them anew."""


class MemoryCache:
    """In this process, bounded to `size` values, each field of a hash being one: what was used longest ago goes first.

    Safe to share: a page is mapped in one thread while the one before is marked as delivered in another.
    """

    volatile = True

    def __init__(self, size: int = 20_000, timer: Callable[[], float] = time.monotonic) -> None:
        def expiry(_key: str, value: tuple[float, Any], now: float) -> float:
            return now + value[0]

        def count(value: tuple[float, Any]) -> int:
            return max(1, len(value[1])) if isinstance(value[1], dict) else 1

        self._values: TLRUCache[str, tuple[float, Any]] = TLRUCache(size, ttu=expiry, timer=timer, getsizeof=count)
        self._lock = Lock()

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The values of those `keys` that are there."""
        with self._lock:
            found = [(key, self._values.get(key)) for key in keys]
        return {key: entry[1] for key, entry in found if entry is not None}

    def put(self, values: Mapping[str, bytes], ttl: float) -> None:
        """Store values for `ttl` seconds."""
        with self._lock:
            for key, value in values.items():
                self._values[key] = (ttl, value)

    def get_fields(self, wanted: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], bytes]:
        """Of the hashes `wanted`, the values that are there."""
        found: dict[tuple[str, str], bytes] = {}
        for key, fields in wanted.items():
            with self._lock:
                entry = self._values.get(key)
            if entry is not None:
                found.update({(key, field): entry[1][field] for field in fields if field in entry[1]})
        return found

    def put_fields(self, hashes: Hashes, ttl: float) -> None:
        """Add fields to hashes."""
        with self._lock:
            for key, fields in hashes.items():
                entry = self._values.get(key)
                with suppress(ValueError):  # a hash of more than all there is room for
                    self._values[key] = (ttl, {**(entry[1] if entry is not None else {}), **fields})

    def close(self) -> None:
        """Nothing is open."""


class RedisCache(redis_client.Client):
    """In Redis; see `FallbackCache`."""

    volatile = False

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The values of those `keys` that are there: one MGET."""
        names = list(keys)
        if not names:
            return {}
        values: Any = self.redis.mget(names)
        return {key: value for key, value in zip(names, values, strict=True) if value is not None}

    def put(self, values: Mapping[str, bytes], ttl: float) -> None:
        """Store values for `ttl` seconds: one pipeline."""
        with self.redis.pipeline(transaction=False) as pipe:
            for key, value in values.items():
                pipe.set(key, value, px=_milliseconds(ttl))
            pipe.execute()

    def get_fields(self, wanted: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], bytes]:
        """Of the hashes `wanted`, the values that are there: one pipeline of HMGET."""
        asked = {key: list(fields) for key, fields in wanted.items()}
        with self.redis.pipeline(transaction=False) as pipe:
            for key, fields in asked.items():
                pipe.hmget(key, fields)
            answers: list[list[bytes | None]] = pipe.execute()
        return {
            (key, field): value
            for (key, fields), values in zip(asked.items(), answers, strict=True)
            for field, value in zip(fields, values, strict=True)
            if value is not None
        }

    def put_fields(self, hashes: Hashes, ttl: float) -> None:
        """Add fields to hashes: one pipeline of HSET and PEXPIRE."""
        with self.redis.pipeline(transaction=False) as pipe:
            for key, fields in hashes.items():
                pipe.hset(key, items=[part for field in fields.items() for part in field])
                pipe.pexpire(key, _milliseconds(ttl))
            pipe.execute()


class FallbackCache:
    """Redis until it fails; then one warning, and memory for the rest of the run."""

    def __init__(self, redis_cache: RedisCache, memory: MemoryCache | None = None) -> None:
        self._redis = redis_cache
        alone = memory if memory is not None else MemoryCache()
        self._either: redis_client.RedisOr[Cache] = redis_client.RedisOr(redis_cache, alone, redis_cache.url, _ALONE)

    @property
    def volatile(self) -> bool:
        """True once Redis has failed."""
        return self._either.used.volatile

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The values of those `keys` that are there."""
        names = list(keys)
        return self._either(lambda cache: cache.get(names))

    def put(self, values: Mapping[str, bytes], ttl: float) -> None:
        """Store values for `ttl` seconds."""
        self._either(lambda cache: cache.put(values, ttl))

    def get_fields(self, wanted: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], bytes]:
        """Of the hashes `wanted`, the values that are there."""
        asked = {key: list(fields) for key, fields in wanted.items()}
        return self._either(lambda cache: cache.get_fields(asked))

    def put_fields(self, hashes: Hashes, ttl: float) -> None:
        """Add fields to hashes."""
        self._either(lambda cache: cache.put_fields(hashes, ttl))

    def close(self) -> None:
        """Drop the connections to Redis."""
        self._redis.close()


def open_cache(url: str) -> FallbackCache:
    """The cache at `url`; connects when first used."""
    return FallbackCache(RedisCache(url))


def _milliseconds(ttl: float) -> int:
    return max(1, int(ttl * 1000))
