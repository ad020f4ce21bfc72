"""How a run moves the checkpoint: forward only, and only if it may."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from harvesters.clock import Clock
from harvesters.cursor import Cursor
from harvesters.errors import RaceLost
from harvesters.stores.checkpoint import Beginning, Checkpoint, Owner
from harvesters.stores.lease import Lease

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How a run moves the checkpoint: forward only, and only if it may.

    Args:
        checkpoint: None for a run that leaves it alone.
        lease: checked before each delivery and each commit.
        cursor: the checkpoint as it was read; None when there is none yet.
        etag: its tag.
        beginning: emptied with the first checkpoint, or with the next one where a kill came between.
        owner, address: whose the checkpoint becomes with the first commit, where that is not known already.
        also: checked with the lease, by whoever has it for several runs.
        clock, pause: seconds from one commit to the next at least, for a run that never ends; `flush` does not wait.
    """

    checkpoint: Checkpoint | None = None
    lease: Lease | None = None
    cursor: Cursor | None = None
    etag: str | None = None
    beginning: Beginning | None = None
    owner: Owner | None = None
    address: str = ""
    clock: Clock | None = None
    pause: float = 0.0
    also: Callable[[], None] = lambda: None
    _waiting: Cursor | None = None
    _committed: float | None = None

    def advance(self, cursor: Cursor) -> None:
        """Commit `cursor`, if that is further than what is stored, now or when the pause is over.

        Raises:
            RaceLost: the lease or the checkpoint is somebody else's now.
        """
        if self._waiting is None or cursor.passes(self._waiting):
            self._waiting = cursor
        if self.clock is None or self._committed is None or self.clock.monotonic() - self._committed >= self.pause:
            self.flush()

    def flush(self) -> None:
        """Commit what waits."""
        cursor, self._waiting = self._waiting, None
        if self.checkpoint is None or cursor is None or (self.cursor is not None and not cursor.passes(self.cursor)):
            return
        self.check()
        self.claim()
        try:
            self.etag = self.checkpoint.commit(cursor, self.etag)
        except RaceLost as error:
            raise (self.lease.explain_race(error) if self.lease is not None else error) from error
        self.cursor = cursor
        if self.beginning is not None:
            self.beginning.store(None)
        self.beginning = None
        self._committed = self.clock.monotonic() if self.clock is not None else None
        log.debug("checkpoint %s is now %s", self.checkpoint.name, cursor.encode())

    def claim(self) -> None:
        """Write down whose the checkpoint is from now on: before it moves, for what a crash leaves between must not
        look as if the output that owned it before had got what this one did."""
        if self.owner is not None:
            self.owner.store(self.address)
            self.owner = None

    def check(self) -> None:
        """Raise `RaceLost` unless the lease, where there is one, is still ours."""
        self.also()
        if self.lease is not None:
            self.lease.check()
