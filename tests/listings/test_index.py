"""``listings index`` on the real Kafka and the real Elasticsearch."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

from tests.listings.conftest import Market
from tests.operate.receivers import collecting

SOME = [{"id": n, "title": f"Desk {n}", "description": "oak", "price": n / 4} for n in range(30)]


def test_listings_are_indexed_and_committed(market: Market) -> None:
    market.send(*SOME)
    result = market.run("index")
    assert (result.code, result.counts) == (0, (30, 30, 0, 0, 0))
    assert result.report["messages_per_second"] > 0
    assert market.documents() == {str(each["id"]): each for each in SOME}
    assert market.caught_up()
    assert market.run("index").counts == (0, 0, 0, 0, 0)


def test_its_span_has_the_parts_of_a_run(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.send(*SOME)
    with collecting(monkeypatch) as collector:
        market.run("index")
    assert collector.parts == {"fetch", "deliver", "commit"}
    assert collector.gauges["harvest_last_run_delivered", "listings-index"] == 30


def test_the_index_is_made_as_the_template_has_it(market: Market) -> None:
    market.send(
        {"id": "a", "title": {"not": "text"}}, {"id": "b", "price": {"amount": 1}}, {"id": "c", "price": "dear"}
    )
    assert market.run("index").counts == (3, 2, 0, 0, 1)
    mapping = market.cluster.ask("GET", f"/{market.index}/_mapping")[market.index]["mappings"]
    assert mapping["dynamic"] == "false"
    assert {name: field.get("type", "object") for name, field in mapping["properties"].items()} == {
        "id": "keyword",
        "title": "text",
        "description": "text",
        "created": "date",
        "visits": "long",
        "hot": "double",
        "origin": "object",
    }


def test_where_a_listing_came_from_stands_in_it(market: Market) -> None:
    (message,) = market.kafka.send(market.kafka.listings, [("7", {"id": 7})])
    market.run("index")
    found = market.kafka.topics.find(market.kafka.listings)
    assert found is not None
    assert market.document("7")["origin"] == {
        "topic": market.kafka.listings,
        "topic_id": found.id,
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
    }


class TestVersions:
    """Which version stays."""

    def test_a_later_version_replaces_all_but_what_is_ours(self, market: Market) -> None:
        market.send({"id": 1, "title": "Desk", "old": True}, timestamp=1_700_000_000_000)
        market.run("index")
        market.cluster.ask("POST", f"/{market.index}/_update/1", {"doc": {"visits": 99, "hot": 12.5}})
        market.send({"id": 1, "title": "Table", "visits": 5, "origin": "x"})
        assert market.run("index").counts == (1, 1, 0, 0, 0)
        found = market.document("1")
        assert found.pop("origin")["offset"] == 1
        assert found == {"id": 1, "title": "Table", "visits": 99, "hot": 12.5, "created": "2023-11-14T22:13:20Z"}

    def test_created_is_that_of_the_first_version(self, market: Market) -> None:
        market.send({"id": 1, "created": "2020-01-01T00:00:00Z"}, {"id": 2})
        market.run("index")
        first = market.document("2")["created"]
        market.send({"id": 1, "title": "x"}, {"id": 2, "title": "y"})
        market.run("index")
        assert market.document("1")["created"] == "2020-01-01T00:00:00Z"
        assert (market.document("2")["created"], market.document("2")["title"]) == (first, "y")

    def test_versions_of_one_batch(self, market: Market) -> None:
        market.send(*({"id": 1, "n": n, "only": n} if n < 9 else {"id": 1, "n": n} for n in range(10)))
        assert market.run("index").counts == (10, 1, 9, 0, 0)
        assert market.documents() == {"1": {"id": 1, "n": 9}}

    @pytest.mark.parametrize("later_first", [False, True])
    def test_between_partitions_the_later_timestamp_wins(self, market: Market, later_first: bool) -> None:
        both = [({"id": 1, "n": "old"}, 0, 1_700_000_000_000), ({"id": 1, "n": "new"}, 1, 1_700_000_009_000)]
        for value, partition, timestamp in reversed(both) if later_first else both:
            market.send(value, partition=partition, timestamp=timestamp)
            assert market.run("index").code == 0
        assert market.documents()["1"] == {"id": 1, "n": "new"}
        assert market.document("1")["created"] == "2023-11-14T22:13:20Z"  # the time of the first, whoever came first

    def test_in_a_partition_the_offset_counts_and_not_the_clock(self, market: Market) -> None:
        market.send({"id": 1, "n": 1}, timestamp=1_700_000_009_000)
        market.send({"id": 1, "n": 2}, timestamp=1_700_000_000_000)
        market.run("index")
        assert market.documents()["1"]["n"] == 2

    def test_a_listing_that_we_did_not_index_is_replaced_and_keeps_its_views(self, market: Market) -> None:
        market.run("index")
        market.cluster.create("listings", {"dynamic": False, "properties": {"visits": {"type": "long"}}})
        market.cluster.ask("PUT", f"/{market.index}/_doc/1", {"id": 1, "title": "seed", "visits": 3})
        market.send({"id": 1, "title": "Desk"})
        assert market.run("index").counts == (1, 1, 0, 0, 0)
        assert market.documents()["1"] == {"id": 1, "title": "Desk", "visits": 3}

    def test_reading_it_all_again_changes_nothing(self, market: Market) -> None:
        market.send(*SOME, *({**each, "title": "new"} for each in SOME), ("3", None), {"id": 4, "n": "last"})
        market.run("index")
        before = market.cluster.documents("listings")
        result = market.run("index", env={"LISTINGS_GROUP": f"{market.kafka.prefix}-another"})
        assert (result.code, result.report["received"]) == (0, 62)
        assert market.cluster.documents("listings") == before
        assert all(market.cluster.version("listings", id) == 1 for id in before)


class TestDeletions:
    """A key without a value."""

    def test_a_listing_is_deleted(self, market: Market) -> None:
        market.send(*SOME)
        market.run("index")
        market.send(("3", None), ("none", None))
        assert market.run("index").counts == (2, 0, 0, 2, 0)
        assert "3" not in market.documents()
        assert len(market.documents()) == 29

    def test_it_does_not_come_back_by_an_older_version(self, market: Market) -> None:
        market.send({"id": 1, "n": "old"}, partition=0, timestamp=1_700_000_000_000)
        market.send(("1", None), partition=1, timestamp=1_700_000_001_000)
        market.run("index")
        market.send({"id": 1, "n": "older"}, partition=2, timestamp=1_700_000_000_500)
        assert market.run("index").counts == (1, 0, 1, 0, 0)
        assert market.documents() == {}

    def test_it_comes_back_by_a_later_version_without_its_views(self, market: Market) -> None:
        market.send({"id": 1, "created": "2020-01-01"})
        market.run("index")
        market.cluster.ask("POST", f"/{market.index}/_update/1", {"doc": {"visits": 99}})
        market.send(("1", None), {"id": 1, "title": "again"})
        assert market.run("index").counts == (2, 1, 0, 1, 0)
        assert market.documents() == {"1": {"id": 1, "title": "again"}}
        assert market.document("1")["created"] > "2026"

    def test_one_that_is_older_than_what_is_there_is_superseded(self, market: Market) -> None:
        market.send({"id": 1}, partition=0, timestamp=1_700_000_001_000)
        market.run("index")
        market.send(("1", None), partition=1, timestamp=1_700_000_000_000)
        assert market.run("index").counts == (1, 0, 1, 0, 0)
        assert "1" in market.documents()

    def test_nothing_of_it_is_left_where_searches_look(self, market: Market) -> None:
        market.send({"id": 1}, ("1", None))
        market.run("index")
        assert market.cluster.ask("GET", f"/{market.cluster.prefix}*/_count")["count"] == 0


class TestPoison:
    """What can never be indexed."""

    def test_it_goes_to_the_dead_letters_and_is_committed(self, market: Market) -> None:
        market.send({"id": 1})
        poison = [("k", b"no json"), (None, b"[1]"), ("x", {"id": 2, "title": 5}), (None, b"\xff"), (None, None)]
        sent = [market.kafka.send(market.kafka.listings, [each], partition=2)[0] for each in poison]
        assert market.run("index").counts == (6, 1, 0, 0, 5)
        letters = {letter["id"]: letter for letter in market.letters()}
        topic = market.kafka.listings
        assert sorted(letters) == [f"{topic}/2/{message.offset()}" for message in sent]
        first = letters[f"{topic}/2/{sent[0].offset()}"]
        assert (first["kind"], first["reason"][:13]) == ("listings", "it is no JSON")
        row = first["row"]
        assert (row["topic"], row["partition"], row["offset"]) == (topic, 2, sent[0].offset())
        assert (row["timestamp"], row["key"], row["value"]) == (sent[0].timestamp()[1], "k", "no json")
        assert letters[f"{topic}/2/{sent[3].offset()}"]["row"]["value"] == {"base64": "/w=="}
        assert market.caught_up()

    def test_what_elasticsearch_refuses_for_good(self, market: Market) -> None:
        market.send({"id": 1, "": "a field without a name"}, {"id": 2})
        assert market.run("index").counts == (2, 1, 0, 0, 1)
        assert "refused it" in market.letters()[0]["reason"]

    def test_over_the_budget_it_is_65_once(self, market: Market) -> None:
        market.send({"id": 1}, *[("k", b"no json")] * 12, {"id": 2})
        result = market.run("index", env={"HARVEST_ERROR_BUDGET": "10"})
        assert (result.code, result.counts) == (65, (14, 2, 0, 0, 12))
        assert market.caught_up()
        again = market.run("index", env={"HARVEST_ERROR_BUDGET": "10"})
        assert (again.code, again.counts) == (0, (0, 0, 0, 0, 0))

    def test_an_index_of_another_form_is_78_and_nothing_is_lost(self, market: Market) -> None:
        market.cluster.create("listings", {"properties": {"id": {"type": "long"}}})
        market.send({"id": "a"})
        assert market.run("index").code == 78
        assert not market.caught_up()
        assert market.letters() == []

    @pytest.mark.parametrize("mapping", [{"dynamic": "strict"}, {"_routing": {"required": True}}])
    def test_an_index_that_wants_more_than_ours_is_78_and_nothing_is_lost(
        self, market: Market, mapping: dict[str, Any]
    ) -> None:
        market.cluster.create("listings", mapping)
        market.send({"id": "a", "price": 4})
        assert market.run("index").code == 78
        assert not market.caught_up()
        assert market.letters() == []

    @pytest.mark.parametrize("written", [None, True])
    def test_an_alias_of_two_indices_is_78_and_nothing_is_lost(self, market: Market, written: bool | None) -> None:
        others = [market.cluster.name(name) for name in ("one", "two")]
        for name in ("one", "two"):
            market.cluster.create(name, {})
        point(market, {"index": others[0], "is_write_index": written}, {"index": others[1]})
        market.send({"id": "a"})
        result = market.run("index")
        assert result.code == 78
        assert all(name in result.err for name in others)
        assert not market.caught_up()
        assert market.letters() == []

    def test_an_alias_that_is_not_for_writing_is_78_and_nothing_is_lost(self, market: Market) -> None:
        market.cluster.create("one", {})
        point(market, {"index": market.cluster.name("one"), "is_write_index": False})
        market.send({"id": "a"})
        assert market.run("index").code == 78
        assert not market.caught_up()

    def test_an_alias_of_one_index_is_as_good_as_that(self, market: Market) -> None:
        market.cluster.create("one", {})
        point(market, {"index": market.cluster.name("one")})
        market.send({"id": "a"})
        market.send({"id": "a", "title": "again"})
        assert market.run("index").code == 0
        assert market.cluster.documents("one")["a"]["title"] == "again"

    @pytest.mark.parametrize("name", ["_x", "a,b", "a*", "a:b", "..", "Upper"])
    def test_a_name_that_is_none_is_78_and_nothing_is_lost(self, market: Market, name: str) -> None:
        market.send({"id": "a"})
        assert market.run("index", env={"LISTINGS_INDEX": name}).code == 78
        assert not market.caught_up()
        assert market.letters() == []


def point(market: Market, *places: dict[str, Any]) -> None:
    """Make the name of the index an alias of these."""
    actions = [{"add": {"alias": market.index, **{k: v for k, v in each.items() if v is not None}}} for each in places]
    with closing(market.cluster.client()) as client:
        client.request("POST", "/_aliases", {"actions": actions})


class TestEnds:
    """When there is nothing more to read."""

    def test_an_empty_topic(self, market: Market) -> None:
        assert market.run("index").counts == (0, 0, 0, 0, 0)

    def test_transactions_leave_no_trace_and_no_wait(self, market: Market) -> None:
        producer = Producer({**market.kafka.client, "transactional.id": market.kafka.prefix})
        producer.init_transactions(30)
        for number, good in enumerate([True, False, True, False]):
            producer.begin_transaction()
            for id in range(number * 10, number * 10 + 10):
                producer.produce(market.kafka.listings, json.dumps({"id": id}).encode(), str(id), partition=number % 3)
            producer.flush(30)
            producer.commit_transaction(30) if good else producer.abort_transaction(30)
        assert market.run("index").counts == (20, 20, 0, 0, 0)
        assert set(market.documents()) == {str(id) for id in [*range(10), *range(20, 30)]}
        assert market.caught_up()
        assert market.run("index").counts == (0, 0, 0, 0, 0)

    def test_an_open_transaction_is_left_for_later(self, market: Market) -> None:
        producer = Producer({**market.kafka.client, "transactional.id": market.kafka.prefix})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(market.kafka.listings, b'{"id":1}', "1", partition=0)
        producer.flush(30)
        market.send({"id": 2}, partition=0)
        market.send({"id": 3}, partition=1)
        assert market.run("index").counts == (1, 1, 0, 0, 0)
        producer.commit_transaction(30)
        assert market.run("index").counts == (2, 2, 0, 0, 0)

    def test_no_topic_is_78_with_what_to_do(self, market: Market) -> None:
        result = market.run("index", env={"LISTINGS_TOPIC": f"{market.kafka.prefix}-none"})
        assert result.code == 78
        assert "listings send" in result.err
        assert market.kafka.topics.find(f"{market.kafka.prefix}-none") is None


class TestGaps:
    """Messages that Kafka removed before they were read."""

    def remove(self, market: Market, partition: int, before: int) -> None:
        wanted = [TopicPartition(market.kafka.listings, partition, before)]
        for future in market.kafka.admin.delete_records(wanted).values():
            future.result(30)

    def test_a_gap_is_said_kept_and_gone_on_from_once(self, market: Market) -> None:
        market.send(*SOME, partition=1)
        market.run("index")
        market.send(*({"id": f"x{n}"} for n in range(10)), partition=1)
        self.remove(market, 1, 36)
        result = market.run("index")
        assert (result.code, result.counts) == (65, (4, 4, 0, 0, 0))
        (letter,) = market.letters()
        topic = market.kafka.listings
        assert (letter["kind"], letter["id"]) == ("listings", f"{topic}/1/30")
        assert (letter["row"]["first"], letter["row"]["last"]) == (30, 35)
        for text in (letter["reason"], result.err):
            assert f"messages 30 to 35 of {topic}, partition 1" in text
        assert set(market.documents()) == {str(n) for n in range(30)} | {f"x{n}" for n in range(6, 10)}
        assert market.run("index").code == 0

    def test_a_gap_with_nothing_behind_it(self, market: Market) -> None:
        market.send(*SOME[:5], partition=1)
        market.run("index")
        market.send(*SOME[5:10], partition=1)
        self.remove(market, 1, 10)
        assert market.run("index").code == 65
        assert market.run("index").code == 0
        assert len(market.letters()) == 1

    def test_a_new_group_begins_at_what_is_there(self, market: Market) -> None:
        market.send(*SOME, partition=1)
        self.remove(market, 1, 20)
        result = market.run("index")
        assert (result.code, result.counts) == (0, (10, 10, 0, 0, 0))


class TestMadeAnew:
    """The topic, removed and made again under its name."""

    def test_its_messages_are_all_read_and_the_later_timestamp_wins(self, market: Market) -> None:
        market.send(*SOME)
        market.run("index")
        market.kafka.remove(market.kafka.listings)
        market.kafka.make(market.kafka.listings)
        market.send({"id": 1, "title": "new"})
        market.send({"id": 2, "title": "older than what is there"}, timestamp=1_600_000_000_000)
        assert market.run("index").counts == (2, 1, 1, 0, 0)
        assert market.documents()["1"] == {"id": 1, "title": "new"}
        assert market.documents()["2"] == SOME[2]

    def test_offsets_of_the_old_one_do_not_count(self, market: Market) -> None:
        """As where somebody committed at the very moment."""
        market.send(*SOME, partition=0)
        market.run("index")
        market.kafka.remove(market.kafka.listings)
        market.kafka.make(market.kafka.listings)
        market.kafka.commit(market.kafka.listings, {0: 30}, note="the id of the old one")
        market.send(*({"id": f"n{n}"} for n in range(40)), partition=0)
        assert market.run("index").counts == (40, 40, 0, 0, 0)

    def test_offsets_that_an_operator_set_count(self, market: Market) -> None:
        market.send(*SOME, partition=0)
        market.kafka.commit(market.kafka.listings, {0: 25})
        assert market.run("index").counts == (5, 5, 0, 0, 0)


class TestTrouble:
    """Who is not there, or does not want us."""

    def test_a_password_that_is_refused(self, market: Market) -> None:
        assert market.run("index", env=market.kafka.server.secured("wrong")).code == 77
        market.send(*SOME)
        assert market.run("index", env=market.kafka.server.secured()).counts == (30, 30, 0, 0, 0)

    @pytest.mark.parametrize("seconds", ["0.5", "3000"])
    def test_a_session_that_the_broker_does_not_allow(self, market: Market, seconds: str) -> None:
        market.send(*SOME)
        result = market.run("index", env={"KAFKA_SESSION_TIMEOUT": seconds})
        assert result.code == 78
        assert "KAFKA_SESSION_TIMEOUT" in result.err

    def test_kafka_is_away(self, market: Market) -> None:
        env = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0.5"}
        started = time.monotonic()
        assert market.run("index", env=env).code == 69
        assert time.monotonic() - started < 10

    def test_elasticsearch_is_away_and_nothing_is_committed(self, market: Market) -> None:
        market.send(*SOME)
        result = market.run("index", env={"ES_HOST": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0.5"})
        assert result.code == 69
        assert market.kafka.committed(market.kafka.listings) == {}
        assert market.run("index").counts == (30, 30, 0, 0, 0)

    def test_settings_that_make_no_sense(self, market: Market, tmp_path: Path) -> None:
        for env in (
            {"KAFKA_SECURITY_PROTOCOL": "WRONG"},
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CA_CERTS": str(tmp_path / "none")},
            {"KAFKA_SESSION_TIMEOUT": "soon"},
            {"LISTINGS_INDEX": "Upper Case"},
        ):
            market.send({"id": 1})
            result: Any = market.run("index", env=env)
            assert result.code == 78, env
            assert "Traceback" not in result.err
