"""Who may move a checkpoint: a lease with a time to live, in a blob beside it."""

from __future__ import annotations

import logging
import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

import orjson

from harvesters.clock import Clock
from harvesters.errors import ConfigError, HarvestError, LeaseHeld, RaceLost
from harvesters.process import Process
from harvesters.stores.blob import Blob, Conflict, Version, no_conditions
from harvesters.timespan import iso

log = logging.getLogger(__name__)

_PROVEN_FOR = timedelta(days=1)


@dataclass(frozen=True)
class Holder:
    """What the lease object says.

    Attributes:
        expires: by the store's clock, which all who want the lease share.
        proven: when the store was last seen to honour conditions.
    """

    token: str
    owner: Process
    expires: datetime
    generation: int
    released: bool = False
    proven: datetime | None = None

    def __str__(self) -> str:
        return f"process {self.owner.pid} on {self.owner.host} until {iso(self.expires)}"

    def encode(self) -> bytes:
        """As JSON, for the object and for people."""
        return orjson.dumps(
            {
                "owner": {
                    "host": self.owner.host,
                    "system": self.owner.system,
                    "pid": self.owner.pid,
                    "started": self.owner.started,
                },
                "expires": iso(self.expires),
                "generation": self.generation,
                "released": self.released,
                "token": self.token,
                **({"proven": iso(self.proven)} if self.proven is not None else {}),
            }
        )

    @classmethod
    def decode(cls, content: bytes, name: str) -> Holder:
        """Read it back.

        Raises:
            ConfigError: the object is no lease.
        """
        try:
            data: dict[str, Any] = orjson.loads(content)
            expires = datetime.fromisoformat(data["expires"])
            proven = datetime.fromisoformat(data["proven"]) if data.get("proven") else None
            if expires.tzinfo is None or (proven is not None and proven.tzinfo is None):
                raise ValueError("a time has no time zone")
            return cls(
                token=str(data["token"]),
                owner=Process(**data["owner"]),
                expires=expires,
                generation=int(data["generation"]),
                released=bool(data["released"]),
                proven=proven,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{name} is no lease of ours; look at it, and delete it if nobody needs it") from error


@dataclass
class Lease:
    """Exclusive right to move the checkpoint beside `blob`, for as long as it is renewed. A context manager.

    Entering takes it, or raises `LeaseHeld` at once; while inside, a thread renews it every third of `ttl` seconds.
    Whether somebody else's has expired is judged by the store's clock, whether ours has by how long ago we renewed it.
    """

    blob: Blob
    clock: Clock
    ttl: float = 60.0
    generation: int = field(default=0, init=False)  # how often it was taken; whoever has it later has a higher one
    _held: tuple[Holder, str] | None = None
    _since: tuple[float, datetime] | None = None  # when it was last ours for certain: elapsed and wall-clock time
    _lost: str = ""
    _done: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.acquire()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join(self.ttl / 3)
        self.release()

    def acquire(self) -> Holder:
        """Take the lease: a new one, a released one, an expired one, or that of a dead process of this host.

        Raises:
            LeaseHeld: somebody else has it; the message says who, and until when.
            ConfigError: the store writes whatever the condition, so that it can hold no lease.
        """
        version = self.blob.read()
        before = Holder.decode(version.content, self.blob.name) if version is not None else None
        now = self._now()
        if before is not None and not _free(before, now):
            raise LeaseHeld(self._held_by(before))
        if before is not None and not before.released:
            log.warning("taking over the lease %s of %s", self.blob.name, before)
        proven = before.proven if before is not None else None
        doubtful = self.blob.doubtful and (proven is None or not now - _PROVEN_FOR < proven <= now)
        mine = Holder(
            token=uuid.uuid4().hex,
            owner=Process.current(),
            expires=now + timedelta(seconds=self.ttl),
            generation=before.generation + 1 if before is not None else 1,
            proven=None if doubtful else proven,
        )
        since = self._moment()
        try:
            etag = self.blob.write(mine.encode(), version.etag if version is not None else None)
        except Conflict:
            current = self.blob.read()
            holder = Holder.decode(current.content, self.blob.name) if current is not None else None
            if current is None or holder is None or holder.token != mine.token:
                raise LeaseHeld(self._held_by(holder)) from None
            etag = current.etag  # it was written, and we did not hear of it
        self._held, self._since = (mine, etag), since
        self.generation = mine.generation
        if doubtful:
            self._prove(mine)
            mine = replace(mine, proven=now)  # written with the next renewal, or when the lease is given back
            self._held = (mine, etag)
        return mine

    @property
    def since(self) -> tuple[float, datetime] | None:
        """When it was last ours for certain: elapsed and wall-clock time."""
        return self._since if self._held is not None else None

    def renew(self) -> None:
        """Push the expiry out.

        Raises:
            RaceLost: somebody else took the lease over.
            Unavailable: the store did not answer; the lease is ours until it expires.
        """
        with self._lock:
            if self._held is None:
                return
            mine, _ = self._held
            since = self._moment()
            later = replace(mine, expires=self._now() + timedelta(seconds=self.ttl))
            try:
                self._held, self._since = (later, self._rewrite(later)), since
            except Conflict:
                holder = self._look()
                self._held = None
                self._lost = f"the lease {self.blob.name} was {f'lost to {holder}' if holder else 'deleted'}"
                raise RaceLost(self._lost) from None

    def check(self) -> None:
        """Raise `RaceLost` unless the lease is still ours; called before every send and every commit.

        A process that was frozen finds here how long that was. The elapsed time alone would not do: it stands still
        while a machine is suspended.
        """
        if self._held is not None and self._since is not None and not self._lost:
            elapsed, wall = self._since
            if max(self.clock.monotonic() - elapsed, (self.clock.now() - wall).total_seconds()) >= self.ttl:
                self._lost = f"the lease {self.blob.name} could not be renewed in time"
        if self._lost:
            raise RaceLost(f"{self._lost}; what was delivered since the last commit will be read again")

    def explain_race(self, error: RaceLost) -> RaceLost:
        """The same loss, with the name of whoever holds the lease now."""
        holder, mine = self._look(), self._held
        if holder is None:
            return RaceLost(str(error))
        if mine is not None and holder.token == mine[0].token:
            return RaceLost(f"{error}, although it had lost the lease {self.blob.name}, which is ours")
        return RaceLost(f"{error}; the lease {'was last' if holder.released else 'is'} held by {holder}")

    def release(self) -> None:
        """Give it back, so that the next run need not wait. Losing it first is no error here."""
        with self._lock:
            if self._held is None:
                return
            mine, _ = self._held
            try:
                self._rewrite(replace(mine, released=True))
            except Conflict:
                log.warning("the lease %s was taken over before it was released", self.blob.name)
            except HarvestError as error:
                log.warning("the lease could not be released and will expire by itself: %s", error)
            self._held = None

    def _rewrite(self, later: Holder) -> str:
        """Replace what we hold, also where an earlier write of ours was carried out and its answer never came."""
        assert self._held is not None
        mine, etag = self._held
        try:
            return self.blob.write(later.encode(), etag)
        except Conflict:
            version = self.blob.read()
            if version is None or Holder.decode(version.content, self.blob.name).token != mine.token:
                raise
            return self.blob.write(later.encode(), version.etag)

    def _prove(self, mine: Holder) -> None:
        """See that the store refuses what it has to: to make the object again, and to replace a version it is not."""
        intruder = replace(mine, token="an attempt that has to fail", released=True).encode()
        for etag in (None, '"00000000000000000000000000000000"'):
            try:
                self.blob.write(intruder, etag)
            except Conflict:
                continue
            except HarvestError:
                self.release()
                raise
            self._held = None  # what stands there now counts as released
            raise ConfigError(no_conditions(self.blob.name))

    def _keep(self) -> None:
        pause = self.ttl / 3
        while not self._done.wait(pause):
            try:
                self.renew()
                pause = self.ttl / 3
            except RaceLost:
                return  # `check` says so where it matters
            except HarvestError as error:
                pause = self.ttl / 12
                log.warning("the lease could not be renewed, and will be tried again: %s", error)

    def _now(self) -> datetime:
        return self.blob.now() or self.clock.now()

    def _moment(self) -> tuple[float, datetime]:
        return self.clock.monotonic(), self.clock.now()

    def _look(self) -> Holder | None:
        version: Version | None = self.blob.read()
        return Holder.decode(version.content, self.blob.name) if version is not None else None

    def _held_by(self, holder: Holder | None) -> str:
        who = str(holder) if holder is not None else "another run"
        return f"the lease {self.blob.name} is held by {who}; this run has done nothing and may be started again then"


def _free(holder: Holder, now: datetime) -> bool:
    return holder.released or holder.expires <= now or holder.owner.dead
