"""Services, and the workers of one, tell each other through Redis what they have just written."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from harvesters import redis_client
from harvesters.messages.recent import Notes, Places, Silence

_KEY = "harvest:messages:written"
_BY, _PLACES = b"by", b"places"
_BEGINNING = b"0"
_KEPT = 30_000  # milliseconds
_SOON = 1.0  # seconds after which a Redis that is away is asked again
_READER = msgspec.json.Decoder(dict[str, list[str]])
_ALONE = (
    "what was just written is known to each process alone; of several that take posts under load, a message that was "
    "posted for another day a moment later may be there twice, until it is posted again"
)


class RedisNotes(redis_client.Client):
    """A stream, of what was written in the last half minute; takes Redis 6.2. See `SharedNotes`."""

    def __init__(self, url: str, patience: float) -> None:
        super().__init__(url, patience)
        self._me = secrets.token_bytes(8)
        self._heard = _BEGINNING
        self._oldest = 0  # milliseconds of Redis's clock

    def tell(self, places: Places) -> None:
        """One entry; those that are too old go."""
        by_index: dict[str, list[str]] = {}
        for id, place in places.items():
            by_index.setdefault(place, []).append(id)
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.xadd(_KEY, {_BY: self._me, _PLACES: msgspec.json.encode(by_index)}, minid=self._oldest)
            pipe.pexpire(_KEY, _KEPT)
            entry, _ = pipe.execute()
        self._oldest = int(entry.partition(b"-")[0]) - _KEPT

    def hear(self) -> list[Places]:
        """Those of others behind the last one that was heard; from the beginning after a failure, for it may be another
        Redis."""
        last, self._heard = self._heard, _BEGINNING
        answer: Any = self.redis.xread({_KEY: last})
        entries = answer[0][1] if answer else []
        self._heard = entries[-1][0] if entries else last
        return [_read(fields) for _, fields in entries if fields.get(_BY) != self._me]


class SharedNotes:
    """Redis, until it fails; then one warning, and nothing is told, until it answers again.

    Args:
        url: of Redis.
        again: seconds after which it is tried again; one where it is away, which costs nobody time.
        patience: seconds for one answer.
        elapsed: what the seconds in between are measured by.
    """

    def __init__(
        self,
        url: str,
        again: float = math.inf,
        patience: float = redis_client.PATIENCE,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = RedisNotes(url, patience)
        self._either: redis_client.RedisOr[Notes] = redis_client.RedisOr(
            self._redis, Silence(), url, _ALONE, again, elapsed, _SOON
        )

    def tell(self, places: Places) -> None:
        """Tell the others, if they can be reached."""
        self._either(lambda notes: notes.tell(places))

    def hear(self) -> list[Places]:
        """What the others told, if they can be reached."""
        return self._either(lambda notes: notes.hear())

    def close(self) -> None:
        """Drop the connections."""
        self._redis.close()


def _read(fields: Mapping[bytes, bytes]) -> Places:
    """What an entry says; nothing where it is none of ours, as another version may write them."""
    try:
        by_index = _READER.decode(fields.get(_PLACES, b"{}"))
    except msgspec.MsgspecError:
        return {}
    return {id: place for place, ids in by_index.items() for id in ids}
