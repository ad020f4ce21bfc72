"""Logs of older versions in today's mapping."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from harvesters.clock import SystemClock
from harvesters.messages import dated, erasure, stored
from harvesters.messages.erasure import Erased
from harvesters.migration.ledger import Ledger
from harvesters.migration.run import Migrator
from tests.messages.chats import Chats, log
from tests.migration.chatting import LEDGER

DAY = "logging-wenet-2021-1-2"


def migrate(chats: Chats) -> int:
    with closing(chats.client()) as client:
        ledger = Ledger(client, SystemClock(), LEDGER)
        ledger.prepare()
        with ledger.lease(60) as lease:
            return Migrator(client, ledger, lambda line: None, lease, known=dated.ours()).run()


def test_they_say_the_same_and_whom_they_name(chats: Chats) -> None:
    chats.ask("PUT", f"/{DAY}", {"mappings": {"dynamic": False}})
    users: list[Any] = ["anna", 5, "x" * 300, None, ["anna", 5], {"a": 1}, True]
    odd: list[dict[str, Any]] = [
        {"metadata": None},
        {"metadata": "a text"},
        {"metadata": [{"userId": "anna"}]},
        {"timestamp": "22 Jan 2021"},
        {"timestamp": 5},
        {"logContent": {"an": "object"}, "severity": [1, "x"], "more": {"of": "it"}},
    ]
    documents = {f"u{place}": log("1", user) for place, user in enumerate(users)}
    documents |= {f"o{place}": log("1", **more) for place, more in enumerate(odd)}
    documents["empty"] = {}
    chats.put(DAY, documents)
    assert migrate(chats) == 1
    found = chats.all("logging-*")
    assert {id: stored.original(body) for id, body in found.items()} == documents
    assert not any("odd" in body for body in found.values())
    assert found["u1"]["harvest"]["user"] == ["5"]
    assert migrate(chats) == 0
    with closing(chats.client()) as client:
        assert erasure.erase(client, "5") == Erased(0, 2)
        assert erasure.erase(client, "anna") == Erased(0, 5)
        assert erasure.erase(client, "x" * 300) == Erased(0, 1)
