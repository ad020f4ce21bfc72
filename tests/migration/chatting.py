"""What tests of the migration of messages and analytics share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harvesters.clock import SystemClock
from harvesters.elastic.client import Answer, SearchClient
from harvesters.migration.chats import ChatMigrator
from harvesters.migration.ledger import Ledger
from tests.clocks import patient
from tests.messages.chats import Chats

LEDGER = "harvest-migrations-of-chats"


@contextmanager
def migrator(
    chats: Chats, client: SearchClient | None = None, **options: Any
) -> Iterator[tuple[ChatMigrator, list[str]]]:
    """A migrator that holds the lease, and what it says."""
    client = client if client is not None else chats.client()
    ledger = Ledger(client, SystemClock(), LEDGER)
    said: list[str] = []
    try:
        ledger.prepare()
        with ledger.lease(60) as lease:
            yield ChatMigrator(client, ledger, said.append, lease, **options), said
    finally:
        client.close()


def migrate(chats: Chats, **options: Any) -> list[str]:
    """Migrate all there is; what was said."""
    with migrator(chats, **options) as (it, said):
        it.run()
    return said


def analytic(id: str, metric: str, dimension: str = "message", **more: Any) -> dict[str, Any]:
    """An analytic of version 2."""
    timespan = {"type": "moving", "value": "7D"}
    descriptor = {"type": "count", "project": "wenet", "timespan": timespan, "dimension": dimension, "metric": metric}
    return {"id": id, "descriptor": descriptor, "result": None, **more}


class Dying(SearchClient):
    """Kills its own process at its request number `at`: before it, or when it is answered."""

    at = 0
    after = False
    steps = 0

    def attempt(self, method: str, path: str, body: Any = None, **named: Any) -> Answer:
        self.steps += 1
        if self.steps == self.at and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = super().attempt(method, path, body, **named)
        if self.steps == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def dying_migration(chats: Chats, at: int, after: bool) -> int:
    """Migrate what there is with such a client; how many requests that took."""
    client = Dying(chats.url, patient())
    client.at, client.after = at, after
    with migrator(chats, client) as (it, _):
        it.run()
    return client.steps
