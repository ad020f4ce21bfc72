"""Logs of older versions in today's mapping."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from harvesters.clock import SystemClock
from harvesters.elastic import bulk
from harvesters.elastic.client import SearchClient
from harvesters.messages import dated, erasure, stored
from harvesters.messages.erasure import Erased
from harvesters.messages.logs import LogWriter, draft
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


@pytest.mark.parametrize("meanwhile", [True, False])
def test_one_that_is_written_again_after_a_migration_is_there_once(
    chats: Chats, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    """It stood beside the old index, which is migrated before it is written again, or just then."""
    chats.put(DAY.replace("2021-1-2", "2021-01-22"), {"old": log("1")})
    deliver = bulk.deliver

    def delivered(client: SearchClient, *arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(bulk, "deliver", deliver)
        migrate(chats)
        return deliver(client, *arguments, **options)

    with closing(chats.client()) as client:
        LogWriter().post(client, [draft(log("2"))])
        if meanwhile:
            monkeypatch.setattr(bulk, "deliver", delivered)
        else:
            migrate(chats)
        for _ in range(2):
            LogWriter().post(client, [draft(log("2")), draft(log("3"))])
    found = [stored.original(body)["logId"] for body in chats.all("logging-*").values()]
    assert sorted(found) == ["1", "2", "3"]
    assert migrate(chats) == 0
