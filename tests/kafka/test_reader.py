"""Readers of a topic: where they begin, what they notice, and what they commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import NewPartitions

from harvesters.clock import SystemClock
from harvesters.errors import ConfigError
from harvesters.kafka.consumer import GroupConsumer, left_behind
from harvesters.kafka.reader import Reader
from harvesters.kafka.records import Batch, Gap, Record
from harvesters.kafka.topics import Topic, Topics
from harvesters.kafka.whole import WholeTopic
from harvesters.retry import RetryPolicy
from tests.brokers import Broker


class Keeper:
    """A handler that handles nothing, and remembers."""

    def __init__(self) -> None:
        self.finished = 0
        self.gaps: list[Gap] = []
        self.then: Callable[[], object] = lambda: None

    def finish(self) -> None:
        self.finished += 1
        self.then()

    def gap(self, gap: Gap) -> None:
        self.gaps.append(gap)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def member(kafka: Broker, keeper: Keeper) -> Iterator[Callable[[], GroupConsumer]]:
    """Makes members of the group, which have joined."""
    made: list[GroupConsumer] = []

    def make() -> GroupConsumer:
        retry = RetryPolicy(SystemClock(), 20)
        made.append(GroupConsumer(kafka.settings, retry, kafka.listings, "LISTINGS_TOPIC", kafka.group, keeper))
        made[-1].open()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("anew", [False, True])
def test_partitions_that_come_while_the_topic_is_away_are_read_when_it_is_back(
    kafka: Broker, keeper: Keeper, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    kafka.make(kafka.listings)
    find, away = Topics.find, [True]
    consumer = GroupConsumer(
        kafka.settings, RetryPolicy(SystemClock(), 20), kafka.listings, "LISTINGS_TOPIC", kafka.group, keeper, False
    )
    with closing(consumer):

        def look(topics: Topics, name: str) -> Topic | None:
            found = None if away[0] else find(topics, name)
            return replace(found, id="anew") if found is not None and anew else found

        monkeypatch.setattr(Topics, "find", look)
        consumer.open()
        deadline = time.monotonic() + 30
        while not consumer._client.assignment() and time.monotonic() < deadline:
            consumer.poll(0.1)
        away[0] = False
        for partition in range(3):
            kafka.send(kafka.listings, [("k", {"id": partition})], partition=partition)
        assert {record.partition for record in read(consumer, 3)} == {0, 1, 2}


def whole(kafka: Broker, keeper: Keeper, left: Mapping[int, int]) -> WholeTopic:
    def where(topic: Topic) -> Mapping[int, int]:
        return left

    retry = RetryPolicy(SystemClock(), 20)
    reader = WholeTopic(kafka.settings, retry, kafka.views, "VIEWS_TOPIC", kafka.group, where, keeper.gap)
    reader.open()
    return reader


def read(reader: Reader, count: int, then: Callable[[Batch], object] = lambda batch: None) -> list[Record]:
    """So many records, and what comes with them."""
    records: list[Record] = []
    deadline = time.monotonic() + 30
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} records only"
        if batch := reader.poll(0.1):
            records += batch.records
            then(batch)
    assert len(records) == count
    return records


def until(done: Callable[[], bool], *members: GroupConsumer) -> None:
    """Have them poll until it is so."""
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        for each in members:
            each.poll(0.05)


def commits(consumer: GroupConsumer) -> bool:
    """Whether the brokers say that it is committed."""
    deadline = time.monotonic() + 30
    while not consumer.commit():
        assert time.monotonic() < deadline
        consumer.poll(0.01)
    return True


def remove_before(kafka: Broker, topic: str, partition: int, offset: int) -> None:
    for future in kafka.admin.delete_records([TopicPartition(topic, partition, offset)]).values():
        future.result(30)


class TestMember:
    """A member of a group."""

    def test_what_is_done_is_committed_with_the_id_of_the_topic(
        self, kafka: Broker, member: Callable[[], GroupConsumer]
    ) -> None:
        kafka.make(kafka.listings)
        kafka.send(kafka.listings, [b"a", b"b"], partition=1)
        consumer = member()
        assert consumer.behind()
        read(consumer, 2, consumer.done)
        assert commits(consumer)
        assert not consumer.behind()
        found = kafka.topics.find(kafka.listings)
        assert found is not None
        committed = kafka.topics.committed(kafka.group, found)
        assert {at: (each.offset, each.note) for at, each in committed.items()} == {1: (2, found.id)}

    def test_what_is_not_done_is_read_again(self, kafka: Broker, member: Callable[[], GroupConsumer]) -> None:
        kafka.make(kafka.listings, 1)
        kafka.send(kafka.listings, [b"a", b"b"])
        first = member()
        read(first, 2)
        assert first.commit()
        first.close()
        assert len(read(member(), 2)) == 2

    def test_messages_that_expire_while_it_reads(
        self, kafka: Broker, member: Callable[[], GroupConsumer], keeper: Keeper
    ) -> None:
        kafka.make(kafka.listings, 1)
        kafka.send(kafka.listings, [b"x"] * 10)
        consumer = member()
        read(consumer, 10, consumer.done)
        consumer.pause()
        kafka.send(kafka.listings, [b"y"] * 10)
        remove_before(kafka, kafka.listings, 0, 15)
        consumer.resume()
        assert [each.offset for each in read(consumer, 5, consumer.done)] == [*range(15, 20)]
        assert [(gap.partition, gap.first, gap.last) for gap in keeper.gaps] == [(0, 10, 14)]
        assert commits(consumer)
        assert kafka.committed(kafka.listings) == {0: 20}

    def test_what_expired_is_committed_though_nothing_comes_after_it(
        self, kafka: Broker, member: Callable[[], GroupConsumer], keeper: Keeper
    ) -> None:
        kafka.make(kafka.listings, 1)
        kafka.send(kafka.listings, [b"x"] * 10)
        kafka.commit(kafka.listings, {0: 3})
        remove_before(kafka, kafka.listings, 0, 10)
        consumer = member()
        while consumer.behind():
            if batch := consumer.poll(0.1):
                consumer.done(batch)
            consumer.commit()
        assert [(gap.first, gap.last) for gap in keeper.gaps] == [(3, 9)]
        assert kafka.committed(kafka.listings) == {0: 10}

    def test_partitions_go_to_another_one_when_all_is_finished(
        self, kafka: Broker, member: Callable[[], GroupConsumer], keeper: Keeper
    ) -> None:
        kafka.make(kafka.listings, 2)
        first = member()
        until(lambda: len(first.positions) == 2, first)
        second = member()
        until(lambda: len(second.positions) > 0, first, second)
        assert keeper.finished == 1
        assert {*first.positions, *second.positions} == {0, 1}

    def test_partitions_that_went_while_it_paused_are_read_when_they_come_back(
        self, kafka: Broker, member: Callable[[], GroupConsumer]
    ) -> None:
        kafka.make(kafka.listings)
        first = member()
        until(lambda: len(first.positions) == 3, first)
        first.pause()
        second = member()
        until(lambda: len(first.positions) < 3 and len(second.positions) > 0, first, second)
        first.resume()
        second.close()
        until(lambda: len(first.positions) == 3, first)
        for partition in range(3):
            kafka.send(kafka.listings, [("k", {"id": partition})], partition=partition)
        assert {record.partition for record in read(first, 3)} == {0, 1, 2}

    def test_what_is_finished_then_is_committed_before_they_are_the_other_one_s(
        self, kafka: Broker, member: Callable[[], GroupConsumer], keeper: Keeper
    ) -> None:
        kafka.make(kafka.listings, 2)
        for partition in (0, 1):
            kafka.send(kafka.listings, [b"x"] * 5, partition=partition)
        first = member()
        batches: list[Batch] = []
        read(first, 10, batches.append)
        keeper.then = lambda: [*map(first.done, batches)]
        second = member()
        while not second.positions:
            first.poll(0.1)
            assert second.poll(0.1) is None
        assert keeper.finished == 1
        assert second.poll(1) is None

    def test_a_commit_that_is_refused_while_the_group_changes_is_tried_again(
        self, kafka: Broker, member: Callable[[], GroupConsumer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kafka.make(kafka.listings, 1)
        kafka.send(kafka.listings, [b"a", b"b"])
        consumer = member()
        client: Any = consumer._client

        class Refusing:
            """The client, to whose first commit the broker says that the group has changed."""

            refused = False

            def __getattr__(self, name: str) -> Any:
                return getattr(client, name)

            def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
                if self.refused:
                    client.commit(offsets=offsets, asynchronous=asynchronous)
                else:
                    self.refused = True
                    consumer._heard(KafkaError(KafkaError.ILLEGAL_GENERATION), offsets)

        monkeypatch.setattr(consumer, "_client", Refusing())
        read(consumer, 2, consumer.done)
        assert not consumer.commit()
        assert commits(consumer)
        assert kafka.committed(kafka.listings) == {0: 2}

    def test_what_cannot_be_stored_while_partitions_are_given_up_is_read_again(
        self,
        kafka: Broker,
        member: Callable[[], GroupConsumer],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The client has no partitions any more when it is closed, and an error within its own call is nobody's."""
        kafka.make(kafka.listings, 1)
        kafka.send(kafka.listings, [b"a"])
        consumer = member()
        read(consumer, 1, consumer.done)
        client: Any = consumer._client

        class Refusing:
            """The client, which keeps no offset."""

            def __getattr__(self, name: str) -> Any:
                return getattr(client, name)

            def store_offsets(self, offsets: list[TopicPartition]) -> None:
                raise KafkaException(KafkaError(KafkaError._STATE))

        monkeypatch.setattr(consumer, "_client", Refusing())
        consumer._revoke(client, [TopicPartition(kafka.listings, 0)])
        assert "is read again" in caplog.text
        assert not consumer.positions

    def test_a_topic_that_is_removed_ends_it(self, kafka: Broker, member: Callable[[], GroupConsumer]) -> None:
        kafka.make(kafka.listings)
        consumer = member()
        kafka.remove(kafka.listings)
        with pytest.raises(ConfigError, match="no topic"):
            read(consumer, 1)


class TestWhole:
    """All partitions for one process."""

    def test_it_begins_where_it_is_told(self, kafka: Broker, keeper: Keeper) -> None:
        kafka.make(kafka.views, 2)
        kafka.send(kafka.views, [b"x"] * 5, partition=0)
        kafka.send(kafka.views, [b"y"] * 5, partition=1)
        reader = whole(kafka, keeper, {0: 3})
        assert sorted((each.partition, each.offset) for each in read(reader, 7)) == [
            (0, 3),
            (0, 4),
            *((1, offset) for offset in range(5)),
        ]
        assert not reader.behind()
        reader.commit(reader.positions)
        reader.settle(20)
        assert reader.committed() == {0: 5, 1: 5}
        reader.close()

    def test_partitions_that_are_added(self, kafka: Broker, keeper: Keeper) -> None:
        kafka.make(kafka.views, 1)
        reader = whole(kafka, keeper, {})
        for future in kafka.admin.create_partitions([NewPartitions(kafka.views, 3)]).values():
            future.result(30)
        kafka.send(kafka.views, [b"x"] * 4, partition=2)
        assert len(read(reader, 4)) == 4
        reader.close()

    @pytest.mark.parametrize("count", [3, 20])
    def test_a_topic_made_anew_is_read_from_its_beginning(self, kafka: Broker, keeper: Keeper, count: int) -> None:
        kafka.make(kafka.views, 1)
        kafka.send(kafka.views, [b"old"] * 10)
        reader = whole(kafka, keeper, {})
        read(reader, 10)
        before = reader.topic
        kafka.remove(kafka.views)
        kafka.make(kafka.views, 2)
        kafka.send(kafka.views, [b"new"] * count, partition=0)
        kafka.send(kafka.views, [b"new"], partition=1)
        seen: dict[str, set[tuple[int, int]]] = {}
        deadline = time.monotonic() + 30
        while len(seen.get(reader.topic.id, ())) < count + 1 or reader.topic == before:
            assert time.monotonic() < deadline
            if batch := reader.poll(0.1):
                seen.setdefault(batch.topic.id, set()).update((each.partition, each.offset) for each in batch.records)
        assert reader.topic.id != before.id
        assert dict(reader.positions) == {0: count, 1: 1}
        reader.close()

    def test_what_the_broker_lost_after_it_was_read_is_not_read_again(self, kafka: Broker, keeper: Keeper) -> None:
        kafka.make(kafka.views, 1)
        kafka.send(kafka.views, [b"x"] * 3)
        reader = whole(kafka, keeper, {0: 50})
        assert reader.positions == {0: 3}
        kafka.send(kafka.views, [b"y"])
        assert [each.value for each in read(reader, 1)] == [b"y"]
        assert keeper.gaps == []
        reader.close()


@pytest.mark.parametrize(
    ("left", "ends", "behind"),
    [
        ({}, {0: (0, 0)}, False),
        ({}, {0: (0, 5)}, True),
        ({}, {0: (5, 5)}, False),
        ({0: 4}, {0: (0, 5)}, True),
        ({0: 5}, {0: (0, 5)}, False),
        ({0: 3}, {0: (5, 5)}, True),  # what expired has to be said
        ({0: 9}, {0: (0, 5)}, True),
    ],
)
def test_who_is_left_behind(left: dict[int, int], ends: dict[int, tuple[int, int]], behind: bool) -> None:
    assert left_behind(left, ends, {at: high for at, (_, high) in ends.items()}) is behind
