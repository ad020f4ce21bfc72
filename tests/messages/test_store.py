"""Messages in a real cluster: each once, in time order, found and deleted, beside what dynamic mapping has made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from harvesters.elastic import bulk
from harvesters.errors import Unavailable
from harvesters.messages import posting, stored
from harvesters.messages.model import Message
from harvesters.messages.notes import SharedNotes
from harvesters.messages.posting import Draft, Poster, Rejected
from harvesters.messages.reading import Selection
from harvesters.messages.store import MessageStore
from tests.clocks import patient
from tests.messages.chats import Chats, message

DAY = "message-2021-01-22"
AT = "2021-01-22T17:55:33"


@pytest.fixture
def store(chats: Chats) -> Iterator[MessageStore]:
    with closing(chats.client(patient())) as client:
        yield MessageStore(client)


def post(store: MessageStore, *said: dict[str, Any]) -> list[str]:
    return store.post([Message.parse(each) for each in said])


def places(chats: Chats) -> set[tuple[str, str]]:
    """Index and id of every message."""
    chats.ask("POST", "/message-*/_refresh")
    hits = chats.ask("POST", "/message-*/_search", {"size": 10_000, "_source": False})["hits"]["hits"]
    return {(hit["_index"], hit["_id"]) for hit in hits}


def read(store: MessageStore, start: datetime | None = None, end: datetime | None = None) -> list[str]:
    store.client.request("POST", "/message-*/_refresh")
    return [each["messageId"] for each in store.between("wenet", start, end)]


def walk(store: MessageStore, size: int, words: dict[str, str] | None = None) -> list[str]:
    """Page by page."""
    found: list[str] = []
    after = None
    for _ in range(1000):
        hits, after = store.page(Selection(words or {"project": "wenet"}), size, after)
        assert len(hits) == size or after is None
        found += [hit.fields["messageId"] for hit in hits]
        if after is None:
            return found
    raise AssertionError("the pages do not end")


class TestEachOnce:
    def test_posted_again_it_is_one_document(self, chats: Chats, store: MessageStore) -> None:
        (trace,) = post(store, message("1"))
        assert post(store, message("1", channel="signal")) == [trace]
        assert places(chats) == {(DAY, trace)}
        assert chats.all("message-*")[trace]["channel"] == "signal"

    def test_of_two_in_one_batch_the_later_one_counts(self, chats: Chats, store: MessageStore) -> None:
        first, second = post(store, message("1"), message("1", timestamp="2021-01-23"))
        assert first == second
        assert places(chats) == {("message-2021-01-23", first)}

    def test_of_another_day_it_replaces_the_earlier_one(self, chats: Chats, store: MessageStore) -> None:
        (trace,) = post(store, message("1"), message("2"))[:1]
        chats.ask("POST", "/message-*/_refresh")
        other = MessageStore(store.client)  # of another process, which knows nothing of the first
        post(other, message("1", timestamp="2021-02-01"))
        assert len(places(chats)) == 2
        assert ("message-2021-02-01", trace) in places(chats)

    def test_at_once_too_in_one_process(self, chats: Chats, store: MessageStore) -> None:
        with chats.slow_refreshes():
            for day in (1, 2, 3, 1):
                (trace,) = post(store, message("1", timestamp=f"2021-02-0{day}"))
        assert places(chats) == {("message-2021-02-01", trace)}

    def test_at_every_moment(self, chats: Chats, store: MessageStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was there long ago is found when it is posted for another day, and there or here, however slow
        refreshes are."""
        deliver, found = bulk.deliver, list[list[str]]()

        def look(*arguments: Any, **options: Any) -> Any:
            refused = deliver(*arguments, **options)
            found.append([hit.index for hit in store.find(words={"messageId": "1"})])
            return refused

        with chats.slow_refreshes():
            post(store, message("1"), message("2", timestamp="2021-02-01"))
            chats.ask("POST", "/message-*/_refresh")
            monkeypatch.setattr(bulk, "deliver", look)
            post(store, message("1", timestamp="2021-02-01"))
        assert [sorted(each) for each in found] == [[DAY, "message-2021-02-01"], ["message-2021-02-01"]]

    def test_of_several_processes_too_while_no_search_finds_it(
        self, chats: Chats, store: MessageStore, redis_url: str
    ) -> None:
        """Each has just written it for another day; one starts only then."""
        posters = [Poster(store.forms, SharedNotes(redis_url)) for _ in range(3)]
        with chats.slow_refreshes():
            for day, poster in enumerate([*posters[:2], *posters], 1):
                draft = Draft.of(Message.parse(message("1", timestamp=f"2021-02-0{day}")))
                poster.post(store.client, [draft])
        assert places(chats) == {("message-2021-02-05", draft.trace_id)}

    def test_one_that_was_written_though_nobody_said_so(
        self, chats: Chats, store: MessageStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An answer was lost; the message is posted again for another day, before a search finds the first."""
        deliver = bulk.deliver

        def lose_the_answer(*arguments: Any, **options: Any) -> Any:
            deliver(*arguments, **options)
            raise Unavailable("the answer was lost")

        with chats.slow_refreshes():
            with monkeypatch.context() as patch:
                patch.setattr(bulk, "deliver", lose_the_answer)
                with pytest.raises(Unavailable):
                    post(store, message("1"))
            (trace,) = post(store, message("1", timestamp="2021-02-01"))
        assert places(chats) == {("message-2021-02-01", trace)}

    def test_beside_one_that_the_cluster_refuses(self, chats: Chats, store: MessageStore) -> None:
        """It is written for another day, so it is not on the earlier one any more, although all are posted again."""
        strict = {
            "mappings": {"dynamic": "strict", "properties": {"harvest": {"properties": {"id": {"type": "keyword"}}}}}
        }
        chats.ask("PUT", "/message-2021-02-02", strict)
        post(store, message("1"), message("2"))
        with pytest.raises(Rejected):
            post(store, *(message(str(day), timestamp=f"2021-02-0{day}") for day in (1, 2)))
        traces = {id: index for index, id in places(chats)}
        assert sorted(traces.values()) == [DAY, "message-2021-02-01"]
        assert len(places(chats)) == 2

    @pytest.mark.parametrize(
        "ids",
        [
            ("1", "anna", "wenet"),
            (5, 6, "wenet"),
            ("5", "6", "7"),
            ("x" * 300, "y" * 300, "z" * 300),
            ("2021-01-01", "2021-01-02", "2021-01-03"),
        ],
    )
    def test_what_the_old_service_left(self, chats: Chats, store: MessageStore, ids: tuple[Any, Any, Any]) -> None:
        """Under ids that Elasticsearch made, several times, as dynamic mapping took the first to be."""
        said = message("x", ids[1], messageId=ids[0], project=ids[2])
        chats.put("message-2020-11-02", {"auto1": said, "auto2": {**said, "channel": "signal"}})
        chats.put("message-2020-11-03", {"auto3": {**said, "userId": 77}})
        chats.put("message-2020-11-04", {"auto4": {**said, "project": 78}})
        (trace,) = post(store, said)
        assert places(chats) == {(DAY, trace), ("message-2020-11-03", "auto3"), ("message-2020-11-04", "auto4")}

    @pytest.mark.parametrize("ids", [("1", "anna", "wenet"), (5, 6, 7), ("5", 6.5, "7")])
    def test_what_the_old_service_wrote_into_our_index(
        self, chats: Chats, store: MessageStore, ids: tuple[Any, Any, Any]
    ) -> None:
        """Beside messages of others with ids like that."""
        post(store, message("before"))
        said = message("x", ids[1], messageId=ids[0], project=ids[2])
        others = {"auto3": {**said, "userId": 77}, "auto4": {**said, "project": 78}, "auto5": {**said, "messageId": 79}}
        chats.put(DAY, {"auto1": said, "auto2": {**said, "channel": "signal"}, **others})
        store.forms.forget()
        (trace,) = post(store, said)
        assert {id for _, id in places(chats)} >= {trace, *others}
        assert len(places(chats)) == 5

    def test_more_of_it_than_a_question_finds(
        self, chats: Chats, store: MessageStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each user has a message of each number: of a few triples, most hits are others'."""
        monkeypatch.setattr(posting, "MOST", 12)
        monkeypatch.setattr(posting, "_FEW", 1)
        post(store, message("before"))
        said = [message(str(number), user) for user in "abcdef" for number in range(6)]
        chats.put(DAY, {f"auto{number}": each for number, each in enumerate(said)})
        store.forms.forget()
        traces = post(store, *(message(str(number), user) for number, user in enumerate("abcdef")))
        assert {id for _, id in places(chats)} >= {*traces}
        assert len(places(chats)) == 1 + 36

    def test_what_was_migrated(self, chats: Chats, store: MessageStore) -> None:
        said = Message.parse(message("1"))
        post(store, message("2"))
        client = chats.client()
        client.request("PUT", f"/{DAY}/_doc/auto", stored.document(said, "auto"))
        client.request("POST", f"/{DAY}/_refresh")
        client.close()
        (trace,) = post(store, message("1"))
        assert len(places(chats)) == 2
        assert (DAY, trace) in places(chats)

    def test_a_version_that_somebody_else_wrote_meanwhile_stays(
        self, chats: Chats, store: MessageStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two services post one message with two days at once: none of them may delete what is acknowledged."""
        (trace,) = post(store, message("1"))
        chats.ask("POST", "/message-*/_refresh")
        other = MessageStore(store.client)
        deliver = bulk.deliver

        def meanwhile(client: Any, actions: Any, **options: Any) -> Any:
            monkeypatch.setattr(bulk, "deliver", deliver)
            post(store, message("1", channel="signal"))
            return deliver(client, actions, **options)

        monkeypatch.setattr(bulk, "deliver", meanwhile)
        post(other, message("1", timestamp="2021-02-01"))
        assert (DAY, trace) in places(chats)
        assert chats.ask("GET", f"/{DAY}/_doc/{trace}")["_source"]["channel"] == "signal"


class TestIndices:
    def test_are_made_by_our_template_which_is_put_where_there_is_none(self, chats: Chats, store: MessageStore) -> None:
        post(store, message("1"))
        template = chats.ask("GET", "/_index_template/messages")["index_templates"][0]["index_template"]
        assert template["index_patterns"] == ["message-*"]
        mapping = chats.ask("GET", f"/{DAY}/_mapping")[DAY]["mappings"]
        assert mapping["properties"]["userId"]["fields"]["keyword"]["type"] == "keyword"
        assert mapping["properties"]["timestamp"]["type"] == "date_nanos"

    def test_one_that_dynamic_mapping_made_keeps_nothing_from_being_stored(
        self, chats: Chats, store: MessageStore
    ) -> None:
        chats.put(DAY, {"auto": message("0", metadata={"score": 5}, channel={"a": 1})})
        post(store, message("1", metadata={"score": {"any": "thing"}}, channel="telegram"))
        assert {index for index, _ in places(chats)} == {DAY, f"{DAY}-2"}
        assert sorted(read(store)) == ["0", "1"]

    def test_one_that_is_removed_meanwhile_is_made_again(self, chats: Chats, store: MessageStore) -> None:
        post(store, message("1"))
        chats.ask("DELETE", f"/{DAY}")
        post(store, message("2"))
        assert read(store) == ["2"]
        assert "harvest" in chats.ask("GET", f"/{DAY}/_mapping")[DAY]["mappings"]["properties"]


class TestOrder:
    def test_to_the_microsecond_over_old_and_new_indices(self, chats: Chats, store: MessageStore) -> None:
        times = [f"{AT}.{micros:06}" for micros in (429203, 429500, 429999, 428999, 430000, 429001)]
        for number, time in enumerate(times):
            if number % 2:
                chats.put(DAY, {f"auto{number}": message(str(number), timestamp=time)})
        for number, time in enumerate(times):
            if not number % 2:
                post(store, message(str(number), timestamp=f"{time}+00:00"))
        in_order = [str(times.index(time)) for time in sorted(times)]
        assert read(store) == in_order
        assert walk(store, 1) == walk(store, 4) == in_order
        start, end = datetime.fromisoformat(times[5]), datetime.fromisoformat(times[2])
        assert read(store, start, end) == in_order[1:4]

    def test_what_the_service_of_old_writes_beside_our_template(self, chats: Chats, store: MessageStore) -> None:
        post(store, message("1", timestamp=f"{AT}.000001"))
        chats.put(DAY, {"a": message("0", timestamp=AT), "b": message("2", timestamp=f"{AT}.000002")})
        store.forms.forget()
        assert read(store) == walk(store, 1) == ["0", "1", "2"]
        post(store, message("2"))
        assert (DAY, "b") not in places(chats)

    def test_what_it_has_just_written_there(self, chats: Chats, store: MessageStore) -> None:
        """A moment after it was looked for."""
        post(store, message("1"))
        assert read(store) == ["1"]
        chats.put(DAY, {f"auto{number}": message(f"o{number}") for number in range(9)})
        assert sorted(walk(store, 2)) == ["1", *(f"o{number}" for number in range(9))]

    @pytest.mark.parametrize("form", ["ours", "old"])
    def test_a_message_whose_index_was_replaced_meanwhile(self, chats: Chats, store: MessageStore, form: str) -> None:
        """As a migration does: the place of the last page is in an index of another name."""
        if form == "ours":
            post(store, message("1"), message("2"))
        else:
            chats.put(DAY, {"a": message("1"), "b": message("2")})
        chats.ask("POST", "/message-*/_refresh")
        (first,), place = store.page(Selection({"project": "wenet"}), 1)
        assert place is not None
        (second,), end = store.page(Selection({"project": "wenet"}), 1, (*place[:2], "a-name-before-all-others"))
        assert first.id != second.id
        assert end is None

    def test_twenty_thousand_of_one_moment(self, chats: Chats, store: MessageStore) -> None:
        chats.put(DAY, {f"auto{number}": message(f"o{number}", timestamp=AT) for number in range(5000)})
        for start in range(0, 15_000, 5000):
            post(store, *(message(f"n{number}", timestamp=AT) for number in range(start, start + 5000)))
        found = read(store)
        assert len(found) == len({*found}) == 20_000
        assert walk(store, 7000) == found

    def test_a_message_that_arrives_behind_the_cursor_moves_nothing(self, chats: Chats, store: MessageStore) -> None:
        post(store, *(message(str(number), timestamp=f"{AT}.{number:06}") for number in range(1, 9)))
        chats.ask("POST", "/message-*/_refresh")
        hits, after = store.page(Selection({"project": "wenet"}), 4)
        post(store, message("0", timestamp=f"{AT}.000000"))
        chats.ask("POST", "/message-*/_refresh")
        rest, after = store.page(Selection({"project": "wenet"}), 4, after)
        assert [hit.fields["messageId"] for hit in (*hits, *rest)] == list("12345678")
        assert after is None

    def test_copies_that_the_old_service_made_are_each_read(self, chats: Chats, store: MessageStore) -> None:
        chats.put(DAY, {f"auto{number}": message("1") for number in range(5)})
        assert walk(store, 2) == ["1"] * 5

    def test_bounds_beyond_what_the_cluster_holds(self, store: MessageStore) -> None:
        post(store, message("1"))
        assert read(store, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)) == ["1"]

    def test_no_index_at_all(self, store: MessageStore) -> None:
        assert read(store) == []


class TestFindingAndDeleting:
    def test_of_an_index_that_took_ids_for_numbers(self, chats: Chats, store: MessageStore) -> None:
        chats.put("message-2020-11-02", {"auto": message("x", 6, messageId=5, project="wenet")})
        post(store, message("5", "7"))
        chats.ask("POST", "/message-*/_refresh")
        assert [hit.id for hit in store.find(words={"messageId": "5", "userId": "6"})] == ["auto"]
        assert [hit.fields["userId"] for hit in store.find(words={"messageId": "5", "userId": "7"})] == ["7"]

    def test_words_of_an_id_are_not_the_id(self, chats: Chats, store: MessageStore) -> None:
        chats.put("message-2020-11-02", {"auto": message("1 and more", "5 friends")})
        assert store.find(words={"messageId": "1", "userId": "5"}) == []
        assert store.delete(words={"userId": "5"}) == 0

    def test_what_was_posted_a_moment_ago_in_every_project(self, chats: Chats, store: MessageStore) -> None:
        post(store, message("1"), message("1", project="other"), message("2"))
        assert store.delete(words={"messageId": "1", "userId": "anna", "project": "other"}) == 1
        assert store.delete(words={"messageId": "1", "userId": "anna"}) == 1
        assert read(store) == ["2"]

    def test_what_was_deleted_is_found_by_nobody(self, chats: Chats, store: MessageStore) -> None:
        with chats.slow_refreshes():
            post(store, message("1"))
            assert store.delete(words={"messageId": "1", "userId": "anna"}) == 1
            assert store.find(words={"messageId": "1"}) == []

    def test_more_than_a_search_gives(self, chats: Chats, store: MessageStore) -> None:
        chats.put(DAY, ((f"auto{number}", message("1")) for number in range(12_000)))
        assert store.delete(words={"messageId": "1", "userId": "anna"}) == 12_000
        assert places(chats) == set()

    def test_by_trace_id(self, store: MessageStore) -> None:
        first, second = post(store, message("1"), message("2"))
        store.client.request("POST", "/message-*/_refresh")
        assert [hit.fields["messageId"] for hit in store.find(trace=second)] == ["2"]
        assert store.find(trace=second, words={"project": "other"}) == []
        assert store.delete(trace=first) == 1
        assert read(store) == ["2"]
