"""``messages erase`` as an operator gives it: its numbers, its exit codes, and what becomes of a run that is killed."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing
from typing import Any

import pytest

from harvesters.elastic.client import SearchClient
from harvesters.messages import erasure
from harvesters.messages.erasure import Erased
from tests.cli.conftest import Command, harvest  # noqa: F401 - fixture
from tests.clocks import patient
from tests.messages.chats import Chats, log, message
from tests.migration.chatting import Dying
from tests.migration.migrating import exit_code
from tests.way import way

DAY = "message-2021-01-22"


def erase_and_die(chats: Chats, at: int, after: bool) -> None:
    client = Dying(chats.url, patient())
    client.at, client.after = at, after
    erasure.erase(client, "anna")


def fill(chats: Chats, count: int) -> None:
    for name in (DAY, "message-wenet-2020-11-02", "message-history"):
        chats.put(name, {f"m{number}": message(str(number)) for number in range(count // 3)}, refresh=False)
    chats.put("logging-wenet-2021-1-2", {f"l{number}": log(str(number)) for number in range(count // 30)})
    chats.put(DAY, {"other": message("1", "bert")})


class TestNumbers:
    def test_they_are_printed(self, harvest: Command, chats: Chats) -> None:  # noqa: F811
        fill(chats, 60)
        dry = harvest("messages", "erase", "anna", "--dry-run")
        assert (dry.code, dry.out) == (0, "would erase 60 messages and 2 logs\n")
        assert len(chats.all(DAY)) == 21
        result = harvest("messages", "erase", "anna", "--json")
        assert (result.code, json.loads(result.out)) == (0, {"messages": 60, "logs": 2})
        again = harvest("messages", "erase", "anna")
        assert (again.code, again.out) == (0, "erased 0 messages and 0 logs\n")
        assert set(chats.all("message-*")) == {"other"}

    def test_an_empty_user_is_a_mistake(self, harvest: Command) -> None:  # noqa: F811
        assert harvest("messages", "erase", "").code == 2
        assert harvest("messages", "erase").code == 2

    def test_on_failure_they_are_those_until_then(self, harvest: Command, chats: Chats) -> None:  # noqa: F811
        fill(chats, 60)
        chats.ask("POST", "/message-history/_close")
        result = harvest("messages", "erase", "anna")
        assert (result.code, result.out) == (69, "erased 40 messages and 2 logs\n")
        assert "closed indices cannot be searched, so open them: message-history" in result.err
        chats.ask("POST", "/message-history/_open", params={"wait_for_active_shards": 1})
        assert harvest("messages", "erase", "anna").out == "erased 20 messages and 0 logs\n"

    def test_nobody_there(self, harvest: Command) -> None:  # noqa: F811
        result = harvest("messages", "erase", "anna", "-e", "127.0.0.1:1", env={"HARVEST_RETRY_BUDGET": "0"})
        assert (result.code, result.out) == (69, "erased 0 messages and 0 logs\n")

    def test_answers_that_are_lost_do_not_make_them_wrong(self, chats: Chats) -> None:
        fill(chats, 60)
        lost: list[str] = []

        def losing(path: str, asked: bytes, answer: bytes) -> int | None:
            if "_bulk" in path and len(lost) < 2:
                lost.append(path)
                return 503
            return None

        with (
            way(chats.url, losing, after=True) as elasticsearch,
            closing(SearchClient(elasticsearch.url, patient())) as client,
        ):
            assert erasure.erase(client, "anna") == Erased(60, 2)
        assert len(lost) == 2


class TestKilled:
    def test_the_same_command_finishes(self, harvest: Command, chats: Chats) -> None:  # noqa: F811
        fill(chats, 9000)
        for at in (4, 9, 12):
            assert exit_code(erase_and_die, chats, at, at % 2 == 0) == -9
        result = harvest("messages", "erase", "anna")
        assert result.code == 0
        assert set(chats.all("message-*")) == {"other"}
        assert chats.number("logging-*") == 0

    def test_one_that_is_told_to_stop_says_how_far_it_was(
        self,
        harvest: Command,  # noqa: F811
        chats: Chats,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fill(chats, 9000)
        attempt, bulks = SearchClient.attempt, list[str]()

        def attempted(self: SearchClient, method: str, path: str, *rest: Any, **options: Any) -> Any:
            answer = attempt(self, method, path, *rest, **options)
            if path == "/_bulk":
                bulks.append(path)
                if len(bulks) == 2:
                    os.kill(os.getpid(), signal.SIGTERM)
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(SearchClient, "attempt", attempted)
            result = harvest("messages", "erase", "anna")
        assert (result.code, result.out) == (75, "erased 2000 messages and 0 logs\n")
        assert harvest("messages", "erase", "anna").out == "erased 7000 messages and 300 logs\n"


def test_thirty_thousand(harvest: Command, chats: Chats) -> None:  # noqa: F811
    fill(chats, 30_000)
    result = harvest("messages", "erase", "anna", "--json")
    assert (result.code, json.loads(result.out)) == (0, {"messages": 30_000, "logs": 1000})
    assert set(chats.all("message-*")) == {"other"}
