"""Who may move a checkpoint: a lease with a time to live, in a blob beside it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import orjson

from harvesters.clock import Clock
from harvesters.errors import ConfigError, HarvestError, LeaseHeld, RaceLost
from harvesters.stores.blob import Blob, Conflict, Version
from harvesters.timespan import iso

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Process:
    """This process, so that another one of the same host can tell whether it still lives.

    `system` is the boot id and the pid namespace: two containers share the one, but their pids are not comparable.
    """

    host: str
    system: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Process:
        """This very process."""
        return cls(socket.gethostname(), _system(), os.getpid(), _started(os.getpid()))

    @property
    def dead(self) -> bool:
        """True only when it certainly is: it ran under this kernel, in this pid namespace, and is gone."""
        here = Process.current()
        if not self.system or (self.host, self.system) != (here.host, here.system):
            return False
        return _started(self.pid) != self.started


@dataclass(frozen=True)
class Holder:
    """What the lease object says."""

    token: str
    owner: Process
    expires: datetime
    generation: int
    released: bool = False

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
            if expires.tzinfo is None:
                raise ValueError("the expiry has no time zone")
            return cls(
                token=str(data["token"]),
                owner=Process(**data["owner"]),
                expires=expires,
                generation=int(data["generation"]),
                released=bool(data["released"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{name} is no lease of ours; look at it, and delete it if nobody needs it") from error


@dataclass
class Lease:
    """Exclusive right to move the checkpoint beside `blob`, for as long as it is renewed. A context manager.

    Entering takes it, or raises `LeaseHeld` at once; while inside, a thread renews it every third of `ttl` seconds.
    """

    blob: Blob
    clock: Clock
    ttl: float = 60.0
    generation: int = field(default=0, init=False)  # how often it was taken; whoever has it later has a higher one
    _held: tuple[Holder, str] | None = None
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
        """
        version = self.blob.read()
        before = Holder.decode(version.content, self.blob.name) if version is not None else None
        if before is not None and not self._free(before):
            raise LeaseHeld(self._held_by(before))
        if before is not None and not before.released:
            log.warning("taking over the lease %s of %s", self.blob.name, before)
        mine = Holder(
            token=uuid.uuid4().hex,
            owner=Process.current(),
            expires=self._expiry(),
            generation=before.generation + 1 if before is not None else 1,
        )
        try:
            etag = self.blob.write(mine.encode(), version.etag if version is not None else None)
        except Conflict:
            raise LeaseHeld(self._held_by(self._look())) from None
        self._held = (mine, etag)
        self.generation = mine.generation
        return mine

    def renew(self) -> None:
        """Push the expiry out.

        Raises:
            RaceLost: somebody else took the lease over.
        """
        with self._lock:
            if self._held is None:
                return
            mine, etag = self._held
            later = replace(mine, expires=self._expiry())
            try:
                self._held = (later, self.blob.write(later.encode(), etag))
            except Conflict:
                self._held = None
                self._lost = f"the lease {self.blob.name} was lost to {self._look()}"
                raise RaceLost(self._lost) from None

    def check(self) -> None:
        """Raise `RaceLost` unless the lease is still ours; called before every commit."""
        with self._lock:
            if self._held is not None and self.clock.now() >= self._held[0].expires:
                self._lost = f"the lease {self.blob.name} could not be renewed in time"
        if self._lost:
            raise RaceLost(f"{self._lost}; what was delivered since the last commit will be read again")

    def explain_race(self, error: RaceLost) -> RaceLost:
        """The same loss, with the name of whoever holds the lease now."""
        holder = self._look()
        return RaceLost(f"{error}; the lease is held by {holder}" if holder is not None else str(error))

    def release(self) -> None:
        """Give it back, so that the next run need not wait. Losing it first is no error here."""
        with self._lock:
            if self._held is None:
                return
            mine, etag = self._held
            self._held = None
            try:
                self.blob.write(replace(mine, released=True).encode(), etag)
            except Conflict:
                log.warning("the lease %s was taken over before it was released", self.blob.name)
            except HarvestError as error:
                log.warning("the lease could not be released and will expire by itself: %s", error)

    def _keep(self) -> None:
        while not self._done.wait(self.ttl / 3):
            try:
                self.renew()
            except RaceLost:
                return  # `check` says so where it matters
            except HarvestError as error:
                log.warning("the lease could not be renewed: %s", error)

    def _expiry(self) -> datetime:
        return self.clock.now() + timedelta(seconds=self.ttl)

    def _free(self, holder: Holder) -> bool:
        return holder.released or holder.expires <= self.clock.now() or holder.owner.dead

    def _look(self) -> Holder | None:
        version: Version | None = self.blob.read()
        return Holder.decode(version.content, self.blob.name) if version is not None else None

    def _held_by(self, holder: Holder | None) -> str:
        who = str(holder) if holder is not None else "another run"
        return f"the lease {self.blob.name} is held by {who}; this run has done nothing and may be started again then"


def _system() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""  # no Linux: leases of dead processes expire by themselves


def _started(pid: int) -> str:
    try:
        # proc(5) stat, from field 3 on: the command in field 2 may hold blanks and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]  # a zombie works no more
    except (OSError, IndexError):
        return ""
