"""How far the events are harvested: the last push id, kept as a plain text, and what an output already got.

The pipeline speaks in instants; the instant of a push id is that of its milliseconds, and `Positions` knows the id.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from harvesters.clock import Clock
from harvesters.errors import ConfigError, RaceLost
from harvesters.firebase.documents import EPOCH
from harvesters.firebase.keys import time_of
from harvesters.firebase.pushid import is_push_id, push_floor, push_ms
from harvesters.pipeline import Progress
from harvesters.stores.blob import Blob, Conflict
from harvesters.stores.delivered import DAY, DeliveredLog, Mark
from harvesters.timespan import parse_checkpoint

log = logging.getLogger(__name__)

FOREVER = datetime.max.replace(tzinfo=UTC)
"""The end of a window that has none."""


@dataclass
class EventCheckpoint:
    """The last push id, in `blob`. A time, ``YYYYMMDDHHmmssZ``, is read too: for a person who wants to go back."""

    blob: Blob

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return self.blob.name

    def load(self) -> tuple[str | None, str | None]:
        """The push id and the tag to commit against; both None when there is no checkpoint yet.

        Raises:
            ConfigError: the object holds something else; it is left as it is.
        """
        version = self.blob.read()
        if version is None:
            return None, None
        text = version.content.decode("utf-8", "replace").strip()
        if is_push_id(text):
            return text, version.etag
        try:
            moment = parse_checkpoint(text, UTC)
            return push_floor(milliseconds(moment)), version.etag
        except ValueError as error:
            raise ConfigError(
                f"the checkpoint {self.name} holds {text[:40]!r}, which is no push id and no time such as "
                "20160101000000Z. It was left as it is; correct it, or delete it to read everything again."
            ) from error

    def commit(self, key: str, etag: str | None) -> str:
        """Store a push id, if the checkpoint is still the version tagged `etag`; the new tag.

        Raises:
            RaceLost: somebody else moved, made or deleted it.
        """
        try:
            return self.blob.write(key.encode(), etag)
        except Conflict as error:
            raise RaceLost(f"another run moved the checkpoint {self.name} while this one worked") from error


class Positions:
    """The push ids that stand behind instants, until they are committed."""

    def __init__(self) -> None:
        self._keys: dict[datetime, str] = {}

    def put(self, key: str) -> datetime:
        """The instant of a push id, which `take` will give back."""
        moment = EPOCH + timedelta(milliseconds=push_ms(key))
        self._keys[moment] = max(key, self._keys.get(moment, key))
        return moment

    def take(self, moment: datetime) -> str | None:
        """The last push id put, up to `moment`; those up to it are forgotten."""
        known = [known for known in list(self._keys) if known <= moment]
        keys = [self._keys.pop(known) for known in known]
        return max(keys, default=None)


@dataclass
class EventProgress(Progress):
    """Moves the checkpoint to push ids; at most every `pause` seconds, but `flush` does it at once.

    Args:
        checkpoint: None for a run that leaves it alone.
        key, etag: the checkpoint as it was read.
    """

    checkpoint: EventCheckpoint | None = None
    positions: Positions = field(default_factory=Positions)
    key: str | None = None
    clock: Clock | None = None
    pause: float = 0.0
    _waiting: str | None = None
    _last: float | None = None

    def advance(self, moment: datetime) -> None:
        """Commit the last push id up to `moment`, if it is later than what is stored.

        Raises:
            RaceLost: the lease or the checkpoint is somebody else's now.
        """
        key = self.positions.take(moment)
        if key is not None and (self._waiting is None or key > self._waiting):
            self._waiting = key
        if self.clock is not None and self._last is not None and self.clock.monotonic() - self._last < self.pause:
            return
        self.flush()

    def flush(self) -> None:
        """Commit what waits."""
        key, self._waiting = self._waiting, None
        if self.checkpoint is None or key is None or (self.key is not None and key <= self.key):
            return
        if self.lease is not None:
            self.lease.check()
        try:
            self.etag = self.checkpoint.commit(key, self.etag)
        except RaceLost as error:
            raise (self.lease.explain_race(error) if self.lease is not None else error) from error
        self.key = key
        self._last = self.clock.monotonic() if self.clock is not None else None
        log.debug("checkpoint %s is now %s", self.checkpoint.name, key)


@dataclass
class EventLog(DeliveredLog):
    """What an output already got of the events: for good what each run reads again, for two days what it passes.

    Read again are keys that are no push ids, or of a clock ahead of time, and the last `lookback` seconds.
    """

    ttl: float = 3650 * DAY
    lookback: float = 60.0
    clock: Clock | None = None

    def add(self, marks: Sequence[Mark]) -> None:
        """Remember rows that the output has acknowledged."""
        now = milliseconds(self.clock.now()) if self.clock is not None else 0
        times = {mark.id: time_of(mark.id, now) for mark in marks}
        last = max((time for time in times.values() if time is not None), default=0)
        passed = {id for id, time in times.items() if time is not None and time < last - self.lookback * 1000}
        kept = self.ttl
        super().add([mark for mark in marks if mark.id not in passed])
        self.ttl = 2 * DAY
        try:
            super().add([mark for mark in marks if mark.id in passed])
        finally:
            self.ttl = kept


def milliseconds(moment: datetime) -> int:
    """Milliseconds from 1970 to `moment`."""
    return (moment - EPOCH) // timedelta(milliseconds=1)
