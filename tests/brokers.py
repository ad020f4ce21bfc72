"""A corner of the test run's Kafka for one test: topics and groups of its own, filled and read as tests need it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harvesters.kafka.topics import Topics
from harvesters.settings import Settings
from harvesters.standins.kafka import Kafka
from tests.clocks import patient


@dataclass
class Broker:
    """The broker `server`; what begins with `prefix` is this test's."""

    server: Kafka
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")

    @property
    def listings(self) -> str:
        """The topic of the listings."""
        return f"{self.prefix}-listings"

    @property
    def views(self) -> str:
        """The topic of the page views."""
        return f"{self.prefix}-views"

    @property
    def group(self) -> str:
        """The consumer group of `listings index`."""
        return f"{self.prefix}-indexer"

    @property
    def environment(self) -> dict[str, str]:
        """Settings that point a harvester at this test's topics and groups."""
        return {
            **self.server.environment(),
            "LISTINGS_TOPIC": self.listings,
            "LISTINGS_GROUP": self.group,
            "VIEWS_TOPIC": self.views,
            "VIEWS_GROUP": f"{self.prefix}-logger",
            "KAFKA_SESSION_TIMEOUT": "2",
        }

    @property
    def settings(self) -> Settings:
        """The same, as settings."""
        return Settings(self.environment)

    @property
    def client(self) -> dict[str, Any]:
        """The options of a client that is none of ours."""
        return {"bootstrap.servers": self.server.url, "log_level": 0}

    @cached_property
    def topics(self) -> Topics:
        """What the code under test asks about topics."""
        return Topics(self.settings, patient())

    @cached_property
    def admin(self) -> AdminClient:
        """An administrator's client."""
        return AdminClient({**self.client})

    def make(self, topic: str, partitions: int = 3, **config: str) -> None:
        """Make a topic, and wait until its partitions have leaders."""
        config.setdefault("retention_ms", "-1")  # tests send messages of years ago
        options = {name.replace("_", "."): value for name, value in config.items()}
        for future in self.admin.create_topics([NewTopic(topic, partitions, 1, config=options)]).values():
            future.result(30)
        while self.topics.find(topic) is None:
            pass
        self.ends(topic)

    def remove(self, topic: str) -> None:
        """Remove a topic, and wait until it is gone."""
        for future in self.admin.delete_topics([topic], operation_timeout=30).values():
            future.result(30)
        while self.topics.find(topic) is not None:
            pass

    def ends(self, topic: str) -> dict[int, tuple[int, int]]:
        """First and next offset of each partition."""
        found = self.topics.find(topic)
        assert found is not None
        return self.topics.ends(found)

    def committed(self, topic: str, group: str = "") -> dict[int, int]:
        """How far the group has read, of `listings index` if none is named."""
        found = self.topics.find(topic)
        assert found is not None
        return {at: each.offset for at, each in self.topics.committed(group or self.group, found).items()}

    def commit(self, topic: str, offsets: dict[int, int], note: str = "") -> None:
        """Commit for the group of `listings index`, as somebody else may."""
        consumer = Consumer({**self.client, "group.id": self.group})
        wanted = [TopicPartition(topic, at, offset, metadata=note) for at, offset in offsets.items()]
        consumer.commit(offsets=wanted, asynchronous=False)
        consumer.close()

    def send(self, topic: str, messages: Iterable[Any], partition: int = -1, **options: Any) -> list[Message]:
        """Send messages, each a value (a dict as JSON) or a pair of key and value; as they were acknowledged."""
        producer = Producer({**self.client, "linger.ms": 1, "partitioner": "murmur2_random"})
        done: list[Message] = []

        def delivered(error: Any, message: Message) -> None:
            assert error is None, error
            done.append(message)

        for each in messages:
            key, value = each if isinstance(each, tuple) else (None, each)
            value = json.dumps(value).encode() if isinstance(value, dict) else value
            producer.produce(topic, value, key, partition, on_delivery=delivered, **options)
            producer.poll(0)
        assert producer.flush(30) == 0
        return done

    def messages(self, topic: str) -> list[Message]:
        """Everything that is in the topic now."""
        ends = self.ends(topic)
        consumer = Consumer({**self.client, "group.id": f"{self.prefix}-reader"})
        consumer.assign([TopicPartition(topic, partition, low) for partition, (low, _) in ends.items()])
        left = sum(high - low for low, high in ends.values())
        found: list[Message] = []
        while len(found) < left:
            found += consumer.consume(1000, 1.0)
        consumer.close()
        return found
