"""Which tasks are to be done, in the Redis of the broker: so that none is lost, and none is done twice.

A task comes a second time when its worker was at it for longer than the broker waits, or was killed before it could
say that it is done. And one is lost that Redis gives to a worker in the moment in which that is killed: it is in no
queue any more, and the worker has not yet said that it has it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from harvesters.redis_client import client, failures

log = logging.getLogger(__name__)

_TASKS = "harvest.tasks"  # what is to be done, by id
_HEARD = "harvest.tasks.heard"  # when that was sent, or begun
_OVER = "harvest.task.over."
_KEPT = 2 * 24 * 3600  # seconds for which it is known that a task is over
_UNACKED = "unacked"  # kombu's, of what workers have in hand
_MOST = 1000  # tasks in a line that is looked through


@dataclass(frozen=True)
class Sent:
    """A message of a task; a later one of the same task has a higher `number`."""

    id: str
    name: str
    arguments: list[Any]
    keywords: dict[str, Any]
    headers: dict[str, Any]
    number: int = 0


@dataclass
class Ledger:
    """The one of the broker at `url`. Where it cannot be asked, a task is rather done twice than not."""

    url: str

    def write(self, *messages: Sent) -> None:
        """These are the latest messages of their tasks, sent or begun now."""

        def write(redis: Any) -> None:
            with redis.pipeline() as pipe:
                for one in messages:
                    pipe.hset(_TASKS, one.id, json.dumps(asdict(one)))
                    pipe.zadd(_HEARD, {one.id: time.time()})
                pipe.execute()

        self._try(write)

    def over(self, id: str) -> None:
        """The task is done, or given up."""

        def write(redis: Any) -> None:
            with redis.pipeline() as pipe:
                pipe.set(f"{_OVER}{id}", b"", ex=_KEPT)
                pipe.hdel(_TASKS, id)
                pipe.zrem(_HEARD, id)
                pipe.execute()

        self._try(write)

    def stale(self, id: str, number: int) -> bool:
        """Whether the task is over, or a later message of it under way."""
        found: list[Any] = []
        self._try(lambda redis: found.extend((redis.exists(f"{_OVER}{id}"), redis.hget(_TASKS, id))))
        return bool(found) and (bool(found[0]) or (found[1] is not None and json.loads(found[1])["number"] > number))

    def lost(self, queue: str, silent: float) -> list[Sent]:
        """What nobody has begun for so many seconds, and is neither in the queue nor in any hands."""
        found: list[Sent] = []

        def look(redis: Any) -> None:
            ids = redis.zrange(_HEARD, 0, time.time() - silent, byscore=True, offset=0, num=_MOST)
            if not ids or redis.llen(queue) > _MOST:
                return
            with redis.pipeline() as pipe:
                waiting, held = pipe.lrange(queue, 0, -1).hvals(_UNACKED).execute()
            there = b"\n".join([*waiting, *held])
            told = [one for one in redis.hmget(_TASKS, ids) if one is not None]
            found.extend(one for one in (Sent(**json.loads(each)) for each in told) if one.id.encode() not in there)

        self._try(look)
        return found

    def close(self) -> None:
        """Drop the connections."""
        if "_redis" in self.__dict__:
            self._redis.close()
            del self.__dict__["_redis"]

    def _try(self, ask: Callable[[Any], None]) -> None:
        try:
            ask(self._redis)
        except failures() as error:
            log.debug("the ledger of tasks does not answer: %s", error)

    @cached_property
    def _redis(self) -> Any:
        return client(self.url)


class NoLedger(Ledger):
    """Of a broker that is no Redis, which loses none."""

    def _try(self, ask: Callable[[Any], None]) -> None:
        pass


def ledger_of(url: str) -> Ledger:
    """The one of that broker."""
    return Ledger(url) if is_redis(url) else NoLedger(url)


def is_redis(url: str) -> bool:
    """Whether it is the URL of a Redis that redis-py knows, too."""
    return url.startswith(("redis://", "rediss://", "unix://"))
