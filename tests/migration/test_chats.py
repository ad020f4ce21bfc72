"""Messages of older versions become one index a day, in today's mapping: each is counted once all the time."""

from __future__ import annotations

from typing import Any

import pytest

from harvesters.errors import TooManyDead
from harvesters.messages import dated, stored
from harvesters.messages.ids import trace_id
from harvesters.messages.model import Message
from tests.messages.chats import Chats, message
from tests.migration.chatting import migrate, migrator

DAY = "message-2021-01-22"
ODD: list[dict[str, Any]] = [
    message("1", None),
    message("1", {"id": 1}),
    message(None, project=None),  # type: ignore[arg-type]
    message("1", channel={"a": [1]}),
    message("1", content={"type": "teleport", "to": "Mars"}),
    message("1", content=None, metadata=None, extra={"kept": True}),
    message("1", timestamp="2021-01-22"),
    message("1", timestamp="1960-01-22T10:00:00"),
    message("1", timestamp="2021-01-22T10:00:00.000001+02:00"),
    message("1", timestamp="yesterday"),
    {"something": "else"},
    {"metadata": {"score": 5}, "timestamp": 5},
    message("1", type="REQUEST"),
    message("1", intent={"name": 5, "confidence": "high"}),
    message("1", content={"type": "text", "value": "x" * 40_000}, metadata={str(n): n for n in range(900)}),
]


def given_out(chats: Chats, pattern: str = "message-*") -> dict[str, dict[str, Any]]:
    """What each message says, by its `_id`."""
    return {id: stored.original(body) for id, body in chats.all(pattern).items()}


def names(chats: Chats, pattern: str = "message-*") -> set[str]:
    """What indices are called by: their own names, or those of aliases."""
    found = chats.ask("GET", f"/_resolve/index/{pattern}", params={"expand_wildcards": "all"})
    return {each["name"] for kind in ("indices", "aliases") for each in found[kind]}


class TestMessages:
    def test_indices_of_projects_become_one_a_day_and_keep_ids(self, chats: Chats) -> None:
        old = {
            "message-a-2021-01-22": {"a1": message("1", project="a"), "a2": message("2", project="a")},
            "message-b-c-2021-01-22": {"b1": message("1", project="b-c")},
            DAY: {"t1": message("3", project="a")},
            "message-a-2021-01-23": {"a3": message("4", project="a")},
            "message-history": {"h1": message("5")},
            "message-a-history": {"h2": message("6")},
        }
        for name, documents in old.items():
            chats.put(name, documents)
        before = given_out(chats)
        said = migrate(chats)
        assert given_out(chats) == before
        assert names(chats) == {DAY, "message-2021-01-23", "message-history"}
        assert set(chats.all(DAY)) == {"a1", "a2", "b1", "t1"}
        assert set(chats.all("message-history")) == {"h1", "h2"}
        assert f"{DAY}: joined" in " ".join(said)
        assert migrate(chats) == []

    def test_they_are_found_as_new_ones_are(self, chats: Chats) -> None:
        intent = {"name": "greet", "confidence": 0.75}
        chats.put(
            "message-a-2021-01-22", {"m": message("1", intent=intent, metadata={"score": 7, "deep": {"er": "x"}})}
        )
        migrate(chats)
        ours = chats.all(DAY)["m"]["harvest"]
        assert ours["id"] == "m"
        assert ours["triple"] == trace_id("wenet", "anna", "1")
        inner = {"term": {"harvest.values.path": "metadata.score"}}
        query = {"query": {"nested": {"path": "harvest.values", "query": inner}}}
        assert chats.ask("POST", "/message-*/_search", query)["hits"]["total"]["value"] == 1
        query = {"query": {"term": {"intent.name.keyword": "greet"}}}
        assert chats.ask("POST", "/message-*/_search", query)["hits"]["total"]["value"] == 1
        mapping = next(iter(chats.ask("GET", f"/{DAY}/_mapping").values()))["mappings"]
        assert mapping["_meta"]["harvest"] == "messages"

    def test_what_is_no_message_by_todays_rules_is_given_out_as_it_was(self, chats: Chats) -> None:
        chats.ask("PUT", "/message-a-2021-01-22", {"mappings": {"dynamic": False}})
        old = {str(place): body for place, body in enumerate(ODD)}
        chats.put("message-a-2021-01-22", old)
        migrate(chats)
        for id, found in given_out(chats).items():
            assert {name: found.get(name) for name in old[id]} == old[id]
            assert found.keys() - old[id].keys() <= {"intent", "entities", "domain", "language", "conversationId"}
        assert not any("odd" in body for body in chats.all(DAY).values())

    def test_ones_of_today_stay_where_they_are(self, chats: Chats) -> None:
        template = next(each for each in dated.ours() if each.name == "messages")
        chats.ask("PUT", "/_index_template/messages", template.body)
        today = stored.loads(stored.document(Message.parse(message("1"))))
        chats.put(DAY, {"m": today})
        chats.put("message-board", {"m2": message("1")})
        assert migrate(chats) == []
        assert chats.indices() == {DAY, "message-board"}

    def test_what_the_service_of_old_writes_beside_our_template_is_migrated(self, chats: Chats) -> None:
        template = next(each for each in dated.ours() if each.name == "messages")
        chats.ask("PUT", "/_index_template/messages", template.body)
        today = stored.loads(stored.document(Message.parse(message("1"))))
        chats.put(DAY, {"m": today, "n": message("2", metadata={"score": 5})})
        chats.put(f"{DAY}-2", {"o": today})
        migrate(chats)
        assert names(chats) == {DAY}
        assert set(given_out(chats)) == {"m", "n", "o"}
        assert chats.all(DAY)["n"]["harvest"]["values"] == [{"path": "metadata.score", "number": 5}]
        assert migrate(chats) == []

    def test_a_dry_run_says_it_and_does_nothing(self, chats: Chats) -> None:
        chats.put("message-a-2021-01-22", {"a": message("1")})
        with migrator(chats) as (it, said):
            assert it.plan() == 1
        assert said[0].startswith(f"{DAY}: would join message-a-2021-01-22 into {DAY}: 1 documents, and change 1")
        assert chats.indices() == {"message-a-2021-01-22"}

    def test_documents_that_the_former_migrator_copied_and_did_not_remove_are_there_once(self, chats: Chats) -> None:
        chats.put("message-a-2021-01-22", {"a": message("1"), "b": message("2")})
        chats.put(DAY, {"a": message("1")})
        migrate(chats)
        assert set(given_out(chats)) == {"a", "b"}

    def test_what_came_under_an_old_name_later_is_joined_too(self, chats: Chats) -> None:
        for number in range(3):
            chats.put("message-a-2021-01-22", {f"a{number}": message(str(number))})
            migrate(chats)
            assert names(chats) == {DAY}
            assert len(given_out(chats)) == number + 1

    def test_aliases_come_along(self, chats: Chats) -> None:
        chats.put("message-a-2021-01-22", {"a": message("1")})
        chats.ask("PUT", "/message-a-2021-01-22/_alias/dashboard-of-a-test")
        migrate(chats)
        assert chats.number("dashboard-of-a-test") == 1

    @pytest.mark.parametrize("block", ["read_only", "read"])
    def test_a_blocked_one_is_named_and_does_not_keep_the_next_from_its_turn(self, chats: Chats, block: str) -> None:
        chats.put("message-a-2021-01-22", {"a": message("1")})
        chats.put("message-a-2021-01-23", {"b": message("2")})
        chats.ask("PUT", "/message-a-2021-01-22/_settings", {f"index.blocks.{block}": True})
        with pytest.raises(TooManyDead, match=f"index.blocks.{block}"):
            migrate(chats)
        chats.ask("PUT", "/message-a-2021-01-22/_settings", {f"index.blocks.{block}": None})
        assert names(chats) == {"message-a-2021-01-22", "message-2021-01-23"}
        migrate(chats)
        assert set(given_out(chats)) == {"a", "b"}

    def test_a_closed_one_is_named_and_stays(self, chats: Chats) -> None:
        chats.put("message-a-2021-01-22", {"a": message("1")})
        chats.ask("POST", "/message-a-2021-01-22/_close")
        assert "is closed: open it" in migrate(chats)[0]
        assert chats.indices() == {"message-a-2021-01-22"}
