"""A person is erased: everywhere, whatever the index maps, and the numbers are true."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from harvesters.elastic import bulk
from harvesters.elastic.answers import Answer
from harvesters.elastic.client import SearchClient
from harvesters.errors import Exit
from harvesters.messages import erasure
from harvesters.messages.erasure import Erased, EraseFailed
from tests.clocks import patient
from tests.messages.chats import Chats, log, message

DAY = "message-2021-01-22"
LONG = "x" * 300  # dynamic mapping keeps no keyword of that
LONGEST = "é" * 512
TOO_LONG = "x" * 9000  # our mapping keeps no keyword of that
NEW = {
    "_meta": {"harvest": "messages", "version": 1},
    "dynamic": False,
    "properties": {"userId": {"type": "keyword", "ignore_above": 8191}, "harvest": {"properties": {}}},
}
NEW_LOGS = {
    "_meta": {"harvest": "logging", "version": 1},
    "dynamic": False,
    "properties": {
        "metadata": {"dynamic": False, "properties": {"userId": {"type": "keyword", "ignore_above": 8191}}},
        "harvest": {"properties": {"user": {"type": "keyword", "ignore_above": 8191}}},
    },
}


def erase(chats: Chats, user: str, **options: Any) -> Erased:
    timeout = options.pop("timeout", 60.0)
    with closing(chats.client(patient(budget=options.pop("budget", 120.0)), timeout=timeout)) as client:
        return erasure.erase(client, user, **options)


class TestWhatGoes:
    def test_every_project_and_every_index_and_the_logs(self, chats: Chats) -> None:
        chats.ask("PUT", "/message-2026-02-01", {"mappings": NEW})
        chats.put("message-2026-02-01", {"n1": message("1"), "n2": message("2", "bert")})
        chats.put(DAY, {"o1": message("1", project="other"), "o2": message("2", "bert")})
        chats.put("message-wenet-2020-11-02", {"p1": message("1")})
        chats.put("message-history", {"h1": message("1")})
        chats.put("logging-wenet-2021-1-2", {"l1": log("1"), "l2": log("2", "bert")})
        assert erase(chats, "anna", dry_run=True) == Erased(4, 1)
        assert len(chats.all("message-*")) == 6
        assert erase(chats, "anna") == Erased(4, 1)
        assert set(chats.all("message-*")) == {"n2", "o2"}
        assert set(chats.all("logging-*")) == {"l2"}
        assert erase(chats, "anna") == Erased(0, 0)

    def test_nothing_is_there(self, chats: Chats) -> None:
        assert erase(chats, "anna") == Erased()

    def test_what_was_posted_just_before_goes_too(self, chats: Chats) -> None:
        chats.ask("PUT", f"/{DAY}", {"settings": {"index.refresh_interval": -1}})
        chats.put(DAY, {"a": message("1")})
        chats.put(DAY, {f"m{number}": message(str(number)) for number in range(50)}, refresh=False)
        assert erase(chats, "anna") == Erased(51, 0)
        assert chats.number(DAY) == 0

    def test_what_comes_meanwhile_goes_too(self, chats: Chats, monkeypatch: pytest.MonkeyPatch) -> None:
        chats.put(DAY, {"a": message("1")})
        deliver, posted = bulk.deliver, list[bool]()

        def delivered(*arguments: Any, **options: Any) -> Any:
            if not posted:
                posted.append(True)
                chats.put(DAY, {"b": message("2")})
            return deliver(*arguments, **options)

        monkeypatch.setattr(bulk, "deliver", delivered)
        assert erase(chats, "anna") == Erased(2, 0)
        assert chats.number(DAY) == 0

    @pytest.mark.parametrize("user", [LONG, LONGEST, "ann a", "ANNA", 'an"na', "*", "2021-01-01", "\U0001f600" * 130])
    def test_any_id(self, chats: Chats, user: str) -> None:
        chats.put(DAY, {"a": message("1", "anna"), "b": message("2", user), "c": message("3", user.lower() + "!")})
        chats.put("logging-wenet-2021-1-2", {"l1": log("1"), "l2": log("2", user)})
        chats.ask("PUT", "/message-2026-02-01", {"mappings": NEW})
        chats.put("message-2026-02-01", {"d": message("1", user), "e": message("2")})
        assert erase(chats, user) == Erased(2, 1)
        assert set(chats.all("message-*")) == {"a", "c", "e"}

    @pytest.mark.parametrize("first", [7, 7.5, "7", True, "2021-01-01", {"id": 1}, None, ["7", "8"]])
    def test_text_and_number_are_the_same(self, chats: Chats, first: Any) -> None:
        """The first document has Elasticsearch guess the type."""
        chats.put(DAY, {"first": message("1", first)})
        chats.put("logging-wenet-2021-1-2", {"first": log("1", first)})
        refused = isinstance(first, bool | dict) or first == "2021-01-01"
        later = {} if refused else {"a": message("2", 5), "b": message("3", "5"), "c": message("4", 55)}
        chats.put("message-2021-01-23", {"d": message("5", "5"), "e": message("6", 5), "f": message("7", "x5")})
        chats.put("message-2021-01-24", {"g": message("8", 5), "h": message("9", "5"), "i": message("10", 50)})
        if later:
            chats.put(DAY, later)
        assert erase(chats, "5") == Erased(4 if refused else 6, 0)
        assert {"first", "f", "i"} <= set(chats.all("message-*"))

    def test_one_that_is_mapped_as_something_else_is_found(self, chats: Chats) -> None:
        chats.put("message-2021-01-01", {"a": message("1", 7.5), "b": message("2", "7.5")})
        chats.put("message-2021-01-02", {"c": message("1", 7), "d": message("2", "7.5")})  # of a long, cut to 7
        chats.put("message-2021-01-03", {"e": message("1", "2021-01-01")})
        assert erase(chats, "7.5") == Erased(3, 0)
        assert erase(chats, "2021-01-01") == Erased(1, 0)
        assert set(chats.all("message-*")) == {"c"}

    @pytest.mark.parametrize(
        "mapping",
        [
            {"dynamic": False},
            {"enabled": False},
            {"dynamic": False, "properties": {"userId": {"type": "text"}}},
            {"properties": {"userId": {"type": "keyword", "index": False, "doc_values": False}}},
            {"properties": {"userId": {"type": "keyword", "ignore_above": 2}}},
        ],
    )
    def test_what_cannot_be_searched_is_read(self, chats: Chats, mapping: dict[str, Any]) -> None:
        chats.ask("PUT", f"/{DAY}", {"mappings": mapping})
        chats.put(DAY, {"a": message("1"), "b": message("2", "bert")})
        inner = {"dynamic": True, "properties": {"metadata": {"type": "object", **mapping}}}
        chats.ask("PUT", "/logging-wenet-2021-01-02", {"mappings": inner})
        chats.put("logging-wenet-2021-01-02", {"a": log("1"), "b": log("2", "bert"), "c": log("3", metadata={})})
        assert erase(chats, "anna") == Erased(1, 1)
        assert set(chats.all("message-*")) == {"b"}
        assert set(chats.all("logging-*")) == {"b", "c"}

    def test_fields_beyond_the_limit_of_an_index_are_read(self, chats: Chats) -> None:
        if chats.product.distribution != "elasticsearch":
            return  # which refuses a document instead
        limit = {"index.mapping.total_fields": {"limit": 8, "ignore_dynamic_beyond_limit": True}}
        chats.ask("PUT", f"/{DAY}", {"settings": limit})
        chats.put(DAY, {"a": {"0": 1, "1": 1, "2": 1, "3": 1, "4": 1, "5": 1, "6": 1, "7": 1, "userId": "anna"}})
        assert "userId" not in chats.ask("GET", f"/{DAY}/_mapping")[DAY]["mappings"]["properties"]
        assert erase(chats, "anna") == Erased(1, 0)

    def test_new_logs_are_found_by_the_field_of_ours(self, chats: Chats) -> None:
        chats.ask("PUT", "/logging-wenet-2026-02-01", {"mappings": NEW_LOGS})
        users: list[Any] = ["anna", "bert", 5, "5", LONGEST]
        documents = {
            str(place): log(str(place), user, harvest={"user": [str(user)]}) for place, user in enumerate(users)
        }
        verbatim = {"metadata": f'{{"userId":"{TOO_LONG}"}}'}
        documents["long"] = log("long", metadata=None, harvest={"verbatim": verbatim})
        documents["service of old"] = log("old", "5")
        chats.put("logging-wenet-2026-02-01", documents)
        assert erase(chats, "5") == Erased(0, 3)
        assert erase(chats, LONGEST) == Erased(0, 1)
        assert set(chats.all("logging-*")) == {"0", "1", "long"}
        assert erase(chats, TOO_LONG) == Erased(0, 1)

    def test_other_indices_stay(self, chats: Chats) -> None:
        other = f"{chats.prefix}messages"
        chats.put(other, {"a": message("1")})
        try:
            assert erase(chats, "anna") == Erased()
            assert chats.number(other) == 1
        finally:
            chats.ask("DELETE", f"/{other}")


class TestNarrowed:
    @pytest.fixture
    def some(self, chats: Chats) -> Chats:
        first = {"a": message("1"), "b": message("2"), "c": message("1", project="other"), "d": message("1", "bert")}
        chats.put(DAY, first)
        chats.put("message-2021-01-23", {"e": message("1"), "f": message(1, "anna")})  # type: ignore[arg-type]
        chats.put("logging-wenet-2021-1-2", {"l": log("1")})
        return chats

    @pytest.mark.parametrize(
        ("options", "gone"),
        [
            ({"project": "wenet"}, "abef"),
            ({"message": "1"}, "acef"),
            ({"message": "1", "project": "wenet"}, "aef"),
            ({"trace": "a"}, "a"),
            ({"trace": "d"}, ""),
            ({"trace": "a", "message": "2"}, ""),
            ({"project": "Wenet"}, ""),
            ({"project": ""}, ""),
        ],
    )
    def test_only_what_all_of_it_is_true_of_goes_and_no_logs(
        self, some: Chats, options: dict[str, str], gone: str
    ) -> None:
        assert erase(some, "anna", dry_run=True, **options) == Erased(len(gone), 0)
        assert erase(some, "anna", **options) == Erased(len(gone), 0)
        assert set(some.all("message-*")) == {*"abcdef"} - {*gone}
        assert some.number("logging-*") == 1


class TestFailure:
    @pytest.mark.parametrize("block", ["read_only", "write", "read"])
    def test_a_block_is_an_error_after_the_rest_is_erased(self, chats: Chats, block: str) -> None:
        chats.put("message-2021-01-01", {"a": message("1")})
        chats.put("message-2021-01-02", {"b": message("1")})
        chats.ask("PUT", "/message-2021-01-01/_settings", {f"index.blocks.{block}": True})
        with pytest.raises(EraseFailed, match="Erased until then: 1 messages, 0 logs") as failed:
            erase(chats, "anna")
        assert failed.value.erased == Erased(1, 0)
        assert failed.value.code is Exit.UNAVAILABLE
        chats.ask("PUT", "/message-2021-01-01/_settings", {f"index.blocks.{block}": None})
        assert set(chats.all("message-*")) == {"a"}
        assert erase(chats, "anna") == Erased(1, 0)

    def test_a_closed_index_is_an_error_after_the_rest_is_erased(self, chats: Chats) -> None:
        chats.put("message-2021-01-01", {"a": message("1")})
        chats.put("message-2021-01-02", {"b": message("1")})
        chats.put("logging-wenet-2021-1-2", {"l": log("1")})
        chats.ask("POST", "/message-2021-01-01/_close")
        with pytest.raises(EraseFailed, match=r"closed indices .*: message-2021-01-01") as failed:
            erase(chats, "anna")
        assert failed.value.erased == Erased(1, 1)
        with pytest.raises(EraseFailed):
            erase(chats, "anna", dry_run=True)
        chats.ask("POST", "/message-2021-01-01/_open", params={"wait_for_active_shards": 1})
        assert erase(chats, "anna") == Erased(1, 0)

    def test_a_shard_that_does_not_answer_is_an_error(self, chats: Chats) -> None:
        chats.put("message-2021-01-02", {"b": message("1")})
        away = {"index.routing.allocation.require._name": "nobody", "index.number_of_replicas": 0}
        body = {"settings": away, "mappings": NEW}
        chats.ask("PUT", "/message-2021-01-01", body, params={"wait_for_active_shards": 0})
        with pytest.raises(EraseFailed):  # the cluster waits for it for a minute
            erase(chats, "anna", timeout=2.0, budget=0.0)

    def test_a_shard_that_was_not_refreshed_is_one_too(self, chats: Chats, monkeypatch: pytest.MonkeyPatch) -> None:
        """As the cluster says when it has waited for one long enough."""
        chats.put(DAY, {"a": message("1")})
        request = SearchClient.request

        def one_failed(client: SearchClient, method: str, path: str, *rest: Any, **options: Any) -> Answer:
            answer = request(client, method, path, *rest, **options)
            if path.endswith("/_refresh"):
                answer.body["_shards"]["failed"] = 1
            return answer

        monkeypatch.setattr(SearchClient, "request", one_failed)
        with pytest.raises(EraseFailed, match="did not refresh every shard"):
            erase(chats, "anna")

    def test_one_without_a_source_whose_documents_nobody_can_tell(self, chats: Chats) -> None:
        chats.ask("PUT", f"/{DAY}", {"mappings": {"_source": {"enabled": False}}})
        chats.put(DAY, {"a": message("1"), "b": message("2", LONG)})
        assert erase(chats, "anna") == Erased(1, 0)
        with pytest.raises(EraseFailed, match="_source"):
            erase(chats, LONG)

    def test_two_that_erase_at_once_count_each_document_once(
        self, chats: Chats, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chats.put(DAY, {f"m{number}": message(str(number)) for number in range(2500)})
        deliver, others = bulk.deliver, []

        def delivered(*arguments: Any, **options: Any) -> Any:
            monkeypatch.setattr(bulk, "deliver", deliver)
            others.append(erase(chats, "anna"))
            return deliver(*arguments, **options)

        monkeypatch.setattr(bulk, "deliver", delivered)
        assert erase(chats, "anna") == Erased(0, 0)
        assert others == [Erased(2500, 0)]

    def test_one_whose_messages_never_end(self, chats: Chats, monkeypatch: pytest.MonkeyPatch) -> None:
        chats.put(DAY, {"a": message("1")})
        deliver = bulk.deliver

        def delivered(*arguments: Any, **options: Any) -> Any:
            found = deliver(*arguments, **options)
            chats.put(DAY, {"a": message("1")})
            return found

        monkeypatch.setattr(bulk, "deliver", delivered)
        with pytest.raises(EraseFailed, match="go on arriving"):
            erase(chats, "anna")


def test_copies_of_a_migration_that_was_killed_are_erased_and_not_counted(chats: Chats) -> None:
    chats.put(DAY, {"a": message("1"), "b": message("2", "bert")})
    chats.put(f"migrated-0099-{DAY}", {"a": message("1")})
    assert erase(chats, "anna") == Erased(1, 0)
    assert chats.number(f"migrated-0099-{DAY}") == 0


def test_more_indices_than_a_url_has_room_for(chats: Chats) -> None:
    many = [f"message-{'long-name-' * 20}{number:02d}" for number in range(25)]
    for name in many:
        chats.put(name, {"a": message("1")}, refresh=False)
    assert erase(chats, "anna") == Erased(25, 0)


def test_a_client_is_asked_for_no_more_than_the_core_has(chats: Chats, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    attempt = SearchClient.attempt

    def attempted(self: SearchClient, method: str, path: str, *rest: Any, **options: Any) -> Any:
        asked.append(path)
        return attempt(self, method, path, *rest, **options)

    chats.put(DAY, {"a": message("1")})
    monkeypatch.setattr(SearchClient, "attempt", attempted)
    erase(chats, "anna")
    assert not [path for path in asked if "_by_query" in path or "_reindex" in path]
