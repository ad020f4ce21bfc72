"""Where the state of a back-fill is: beside the live checkpoint, replaced only by whoever read it last."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import orjson

from harvesters.clock import Clock
from harvesters.errors import ConfigError, RaceLost
from harvesters.operate.backfillstate import BackfillState
from harvesters.stores.blob import Blob, Conflict

_TRIES = 200
_PAUSE = 0.25  # seconds at most before another try

Change = Callable[[BackfillState | None], BackfillState | None]


@dataclass
class StateStore:
    """The state in `blob`."""

    blob: Blob
    clock: Clock

    def now(self) -> datetime:
        """What time it is for all who share the state."""
        return self.blob.now() or self.clock.now()

    def load(self) -> BackfillState | None:
        """The state; None when there is none yet.

        Raises:
            ConfigError: the object holds something else; it is left as it is.
        """
        return self._read()[0]

    def change(self, change: Change) -> BackfillState | None:
        """Replace the state by what `change` makes of it, of a newer one where somebody was quicker; the new one.

        `change` may be called several times. When it returns what it was given nothing is written.

        Raises:
            RaceLost: others were quicker every time.
        """
        for number in range(_TRIES):
            state, etag = self._read()
            changed = change(state)
            if changed is None or changed is state:
                return state
            try:
                self.blob.write(orjson.dumps(changed.encode()), etag)
            except Conflict:
                self.clock.sleep(random.random() * min(_PAUSE, 0.01 * 2 ** min(number, 10)))
                continue
            return changed
        raise RaceLost(f"{self.blob.name} was written by others {_TRIES} times in a row; run the same command again")

    def _read(self) -> tuple[BackfillState | None, str | None]:
        version = self.blob.read()
        if version is None:
            return None, None
        try:
            return BackfillState.decode(orjson.loads(version.content)), version.etag
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"{self.blob.name} cannot be read as the state of a back-fill ({error}). It was left as it is; delete "
                "it, and the back-fill begins again."
            ) from error
