"""A migration that is killed around the swap, over five shards: every document once, at every moment."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from harvesters.clock import SystemClock
from harvesters.elastic.client import Answer, SearchClient
from harvesters.migration.ledger import Ledger
from harvesters.migration.run import Migrator
from tests.clocks import patient
from tests.migration.migrating import NEWEST, exit_code, sources
from tests.migration.test_run import Watcher, old
from tests.nodes import Node

pytestmark = pytest.mark.slow

KILLS = 12


class DyingAtTheSwap(SearchClient):
    """Kills its own process at its request number `at` after the copy is filled: before it, or when it is answered."""

    at = 0
    after = False
    filled = False
    steps = 0

    def attempt(self, method: str, path: str, body: Any = None, **named: Any) -> Answer:
        self.filled = self.filled or (method == "PUT" and "refresh_interval" in str(body))
        self.at -= self.filled
        self.steps += self.filled
        if self.at == 0 and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = super().attempt(method, path, body, **named)
        if self.at == 0 and self.filled:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def migrate(node: Node, at: int, after: bool) -> int:
    """Migrate what there is; how many requests that took from when the copy was filled."""
    client = DyingAtTheSwap(node.url, patient())
    client.at, client.after = at, after
    ledger = Ledger(client, SystemClock(), f"{node.prefix}migrations")
    ledger.prepare()
    with ledger.lease(60) as lease:
        Migrator(client, ledger, lambda line: None, lease, known=[node.template("useractions")]).run()
    return client.steps


def test_twelve_kills_over_five_shards(node: Node) -> None:
    kills = steps = 0
    for number in range(KILLS + 1):
        day = f"useractions-2017.10.{number + 1:02d}"
        node.ask("PUT", f"/{node.prefix}{day}", {"settings": {"number_of_shards": 5, "number_of_replicas": 0}})
        node.fill(day, [old(id) for id in range(100)])
        if not number:  # which requests there are to be killed at
            steps = migrate(node, -1, False)
            node.ask("DELETE", f"/migrated-{NEWEST}-{node.prefix}{day}")
            continue
        last = 1 + (number - 1) * (steps - 1) // (KILLS - 1)
        with Watcher(node, {"useractions-*": 100, day: 100}) as watcher:
            kills += exit_code(migrate, node, last, number % 2 == 0) == -signal.SIGKILL
            assert exit_code(migrate, node, -1, False) == 0
        assert watcher.seen == []
        found = sources(node, day)
        assert len(found) == 100
        assert all(source["episode"]["crn"] == "13001" for source in found.values())
        node.ask("DELETE", f"/migrated-{NEWEST}-{node.prefix}{day}")
    assert kills == KILLS
