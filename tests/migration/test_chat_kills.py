"""A migration of messages that is killed anywhere: every message is counted once, at every moment, and none is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from harvesters.clock import SystemClock
from harvesters.elastic import bulk
from harvesters.elastic.client import SearchClient
from harvesters.errors import Interrupted
from harvesters.messages import erasure, hits, posting
from harvesters.messages.erasure import Erased
from harvesters.messages.model import Message
from harvesters.messages.store import MessageStore
from harvesters.migration.renames import Rename, Renames
from harvesters.retry import RetryPolicy
from tests.messages.chats import Chats, message
from tests.migration.chatting import analytic, dying_migration, migrate, migrator
from tests.migration.migrating import exit_code
from tests.migration.test_chats import DAY, given_out, names

KILLED = -9
_PAUSE = 0.02  # seconds between two counts, which the migration needs the processor for


def fill(chats: Chats) -> int:
    """Two projects and a service of a day; how many messages that are."""
    chats.put("message-a-2021-01-22", {f"a{n}": message(str(n), project="a") for n in range(30)})
    chats.put("message-b-2021-01-22", {f"b{n}": message(str(n), project="b") for n in range(30)})
    chats.put(DAY, {f"c{n}": message(str(n), project="c") for n in range(10)})
    return 70


def beside_a_migration(chats: Chats, call: Callable[..., Any], before: bool) -> Callable[..., Any]:
    """`call`, which a migration comes before, or after, when it is called first."""
    migrations: list[bool] = []

    def migrate_once(now: bool) -> None:
        if now and not migrations:
            migrations.append(True)
            migrate(chats)

    def called(*arguments: Any, **options: Any) -> Any:
        migrate_once(before)
        found = call(*arguments, **options)
        migrate_once(not before)
        return found

    return called


class Counting:
    """Counts what `message-*` holds, again and again, while a block runs."""

    def __init__(self, chats: Chats) -> None:
        self._chats, self._stop = chats, threading.Event()
        self._thread = threading.Thread(target=self._count)
        self.counts: set[int] = set()
        self.times = 0

    def __enter__(self) -> Counting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _count(self) -> None:
        client = self._chats.client()
        body = {"size": 0, "track_total_hits": True}
        while not self._stop.is_set():
            found = client.request("POST", "/message-*/_search", body, params={"allow_partial_search_results": "false"})
            self.counts.add(int(found.body["hits"]["total"]["value"]))
            self.times += 1
            self._stop.wait(_PAUSE)
        client.close()


def test_every_message_is_counted_once_throughout(chats: Chats) -> None:
    total = fill(chats)
    with Counting(chats) as counting:
        migrate(chats)
    assert counting.counts == {total}
    assert counting.times > 10
    assert names(chats) == {DAY}


@pytest.mark.slow
@pytest.mark.parametrize("joined_before", [False, True])
def test_a_kill_at_every_eleventh_request(chats: Chats, joined_before: bool) -> None:
    at = 1 if joined_before else 6
    kills = 0
    while True:
        chats.clean()
        filled = fill(chats)
        if joined_before:
            migrate(chats)
            chats.put("message-d-2021-01-22", {f"d{n}": message(str(n), project="d") for n in range(30)})
            filled += 30
        with Counting(chats) as counting:
            ends = [exit_code(dying_migration, chats, at, at % 2 == 0, page=20)]
            if ends == [KILLED]:
                ends.append(exit_code(dying_migration, chats, max(1, at // 2), at % 2 == 1, page=20))
                migrate(chats)
        kills += ends.count(KILLED)
        assert counting.counts == {filled}, at
        assert len(given_out(chats)) == filled, at
        assert names(chats) == {DAY}, at
        assert len(chats.indices()) == 1, at
        if ends == [0]:
            break
        at += 11
    assert kills > 6


def test_what_an_operator_had_blocked_stays_so_after_a_kill(chats: Chats) -> None:
    chats.put("message-a-2021-01-22", {"a": message("1")})
    chats.ask("PUT", "/message-a-2021-01-22/_settings", {"index.blocks.write": True})
    assert exit_code(dying_migration, chats, 30, False) == KILLED
    with migrator(chats) as (it, _):
        it.run()
    chats.put("message-2021-01-23", {"b": message("1")})
    assert set(given_out(chats)) == {"a", "b"}


def test_one_that_is_told_to_stop_lets_writers_go_on_and_loses_nothing(chats: Chats) -> None:
    chats.put("message-a-2021-01-22", {f"a{n}": message(str(n)) for n in range(1500)})

    class Stopping(SystemClock):
        calls = 0

        def sleep(self, seconds: float) -> None:
            self.calls += seconds == 0
            if self.calls == 2:
                raise Interrupted("told to stop")

    with migrator(chats) as (it, said):
        it.ledger.clock = Stopping()
        with pytest.raises(Interrupted):
            it.run()
    chats.put("message-a-2021-01-22", {"late": message("late")})
    assert not any("write-blocked" in line for line in said)
    said = migrate(chats)
    assert "going on" in said[0]
    assert len(given_out(chats)) == 1501
    assert len(chats.indices()) == 1


def test_writers_go_on_meanwhile_and_what_they_had_acknowledged_is_there(chats: Chats) -> None:
    fill(chats)
    acknowledged: set[str] = set()
    stop = threading.Event()

    def write() -> None:
        store = MessageStore(chats.client(RetryPolicy(SystemClock(), 60, first=0.05, cap=0.1)))
        number = 0
        while not stop.is_set():
            said = message(f"w{number}", project="w", timestamp=f"2021-01-22T10:00:00.{number:06d}")
            acknowledged.update(store.post([Message.parse(said)]))
            number += 1
        store.client.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(acknowledged) < 5:
            stop.wait(0.05)
        migrate(chats)
        while len(acknowledged) < 25:
            stop.wait(0.05)
    finally:
        stop.set()
        writer.join()
    migrate(chats)
    found = set(given_out(chats))
    assert acknowledged < found
    assert len(found) == 70 + len(acknowledged)
    assert names(chats) == {DAY}


def test_a_triple_posted_again_replaces_what_was_migrated_and_renamed(chats: Chats) -> None:
    chats.put("message-wenet-2021-01-22", {"old": message("1"), "other": message("2")})
    renames = Renames((Rename(1, "wenet", "app-1"),))
    migrate(chats, renames=renames)
    with closing(chats.client()) as client:
        store = MessageStore(client)
        (trace,) = store.post([Message.parse(message("1", project="app-1", timestamp="2021-02-02T10:00:00"))])
        (same,) = store.post([Message.parse(message("2", project="app-1", channel="web"))])
    found = given_out(chats)
    assert set(found) == {trace, same}
    assert found[same]["channel"] == "web"


def test_a_triple_posted_again_while_its_index_is_migrated_is_there_once(
    chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was beside the old index, where the post is to write over it, and is elsewhere when that writes."""
    chats.put(DAY, {"old": message("1")})
    delivered = beside_a_migration(chats, bulk.deliver, before=True)
    with closing(chats.client()) as client:
        store = MessageStore(client)
        for number in ("2", "3"):
            store.post([Message.parse(message(number))])
        monkeypatch.setattr(bulk, "deliver", delivered)
        MessageStore(client).post([Message.parse(message("2", channel="web")), Message.parse(message("4"))])
    found = given_out(chats)
    assert sorted((each["messageId"], each["channel"]) for each in found.values()) == [
        ("1", "telegram"),
        ("2", "web"),
        ("3", "telegram"),
        ("4", "telegram"),
    ]
    assert len(found) == chats.number("message-*") == 4


@pytest.mark.parametrize("ours", [False, True])
def test_one_posted_again_for_another_day_while_its_index_is_migrated_is_there_once(
    ours: bool, chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was found beside the old index, or in one of ours, and is in the migrated one when it is to be deleted."""
    delivered = beside_a_migration(chats, bulk.deliver, before=True)
    with closing(chats.client()) as client:
        if not ours:
            chats.put(DAY, {"old": message("1")})
        for number in ("2", "3", "2", "3"):  # so that the copy has other sequence numbers
            MessageStore(client).post([Message.parse(message(number))])
        chats.put(DAY, {"old": message("1")})
        chats.ask("POST", "/message-*/_refresh")
        monkeypatch.setattr(bulk, "deliver", delivered)
        MessageStore(client).post([Message.parse(message("3", channel="web", timestamp="2021-02-01"))])
    found = given_out(chats)
    assert sorted((each["messageId"], each["channel"]) for each in found.values()) == [
        ("1", "telegram"),
        ("2", "telegram"),
        ("3", "web"),
    ]
    assert len(found) == chats.number("message-*") == 3


def test_one_posted_again_while_an_old_index_is_migrated_between_two_searches_is_there_once(
    chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    chats.put(DAY, {"old": message("1"), "other": message("2")})
    monkeypatch.setattr(posting, "search", beside_a_migration(chats, hits.search, before=False))
    with closing(chats.client()) as client:
        MessageStore(client).post([Message.parse(message("1", channel="web", timestamp="2021-02-01"))])
    found = given_out(chats)
    assert sorted((each["messageId"], each["channel"]) for each in found.values()) == [("1", "web"), ("2", "telegram")]


def test_an_erasure_reaches_what_a_killed_migration_left(chats: Chats) -> None:
    fill(chats)
    chats.put("message-a-2021-01-22", {"p": message("1", "person"), "q": message("2", "person")})
    at = 20
    while exit_code(dying_migration, chats, at, True, page=20) == KILLED and not any(
        name.startswith("migrated") and chats.number(name) > 40 for name in chats.indices()
    ):
        at += 5
    for name in chats.indices():
        chats.ask("PUT", f"/{name}/_settings", {"index.blocks.write": None})
    with closing(chats.client()) as client:
        assert erasure.erase(client, "person") == Erased(2, 0)
    for name in chats.indices():
        chats.ask("POST", f"/{name}/_refresh")
        query = {"query": {"term": {"userId.keyword": "person"}}}
        assert chats.ask("POST", f"/{name}/_search", query)["hits"]["total"]["value"] == 0, name
    migrate(chats)
    assert len(given_out(chats)) == 70


def test_an_index_that_somebody_makes_meanwhile_is_joined_by_the_next_run(
    chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"creationDt": "2021-05-05T04:00:00", "fromDt": None, "toDt": None, "count": 1, "type": "count"}
    chats.put("analytic-wenet-message", {"a": analytic("a", "requests", result=result)})
    deliver, others = bulk.deliver, list[bool]()

    def delivered(client: SearchClient, *arguments: Any, **options: Any) -> Any:
        found = deliver(client, *arguments, **options)
        others.append(True)
        return found

    attempt = SearchClient.attempt

    def attempted(self: SearchClient, method: str, path: str, body: Any = None, **options: Any) -> Any:
        if path == "/_aliases" and "swap" in str(body) and "must_exist" in str(body) and len(others) == 1:
            others.append(True)
            chats.put("analytic-2021-05-05", {"b": analytic("b", "responses", result=result)})
        return attempt(self, method, path, body, **options)

    monkeypatch.setattr(bulk, "deliver", delivered)
    monkeypatch.setattr(SearchClient, "attempt", attempted)
    said = migrate(chats)
    assert any("somebody has made it meanwhile" in line for line in said)
    assert set(chats.all("analytic-*")) == {"a", "b"}
    migrate(chats)
    assert set(chats.all("analytic-*")) == {"a", "b"}
    assert names(chats, "analytic-*") == {"analytic-2021-05-05"}
