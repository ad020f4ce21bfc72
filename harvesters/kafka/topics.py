"""Topics, as an administrator asks about them: whether they are there, which one it is, what it holds, who read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from harvesters.errors import ConfigError
from harvesters.kafka.config import Faults, client_settings, name_of, transient
from harvesters.retry import RetryPolicy, Transient
from harvesters.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient

T = TypeVar("T")

_GLANCE = 0.05  # seconds between two looks at what the client complains about
_ANSWER = 10.0  # seconds that one question may take at most


@dataclass(frozen=True)
class Topic:
    """A topic as it is now; one that is made anew under the same name has another `id`."""

    name: str
    id: str
    partitions: int


@dataclass(frozen=True)
class Committed:
    """How far a group has read a partition: the offset that comes next, and the note that was left with it."""

    offset: int
    note: str

    def of(self, topic: Topic) -> bool:
        """Whether it is an offset of this very topic; one without a note is of a tool that somebody set it with."""
        return self.note in ("", topic.id)


@dataclass
class Topics:
    """Asks the brokers of `settings`."""

    settings: Settings
    retry: RetryPolicy
    _faults: Faults = field(init=False)
    _consumers: dict[str, Consumer] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._faults = Faults(name_of(self.settings))

    @property
    def name(self) -> str:
        """``kafka at host:port``."""
        return self._faults.name

    def close(self) -> None:
        """Let go of the clients: their threads must not outlive the interpreter."""
        self.__dict__.pop("_client", None)
        while self._consumers:
            self._consumers.popitem()[1].close()

    def find(self, name: str) -> Topic | None:
        """The topic of that name; None where there is none.

        Raises:
            Unavailable, CredentialsRefused, ConfigError: the brokers do not answer, or do not take us.
        """
        from confluent_kafka import KafkaError, KafkaException, TopicCollection

        def ask() -> Topic | None:
            (future,) = self._client.describe_topics(TopicCollection([name]), request_timeout=self._patience).values()
            try:
                found = self._wait(future)
            except KafkaException as error:
                if error.args[0].code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION):
                    return None
                raise
            return Topic(name, str(found.topic_id), len(found.partitions))

        return self._call(ask)

    def require(self, name: str, setting: str) -> Topic:
        """The topic that `setting` names.

        Raises:
            ConfigError: there is none.
        """
        found = self.find(name)
        if found is None:
            raise no_topic(self.name, name, setting)
        return found

    def make(self, name: str) -> None:
        """Make the topic with ``KAFKA_PARTITIONS`` partitions, where there is none of that name.

        Raises:
            ConfigError: no topic may be called so, or made so.
        """
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic

        partitions = self.settings.number("KAFKA_PARTITIONS", minimum=1)
        if partitions % 1 or partitions > 100_000:
            raise ConfigError(f"KAFKA_PARTITIONS={partitions:g} is no number of partitions")

        def ask() -> None:
            new = NewTopic(name, int(partitions), -1)
            (future,) = self._client.create_topics(
                [new], request_timeout=self._patience, operation_timeout=self._patience
            ).values()
            try:
                self._wait(future)
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.TOPIC_ALREADY_EXISTS:
                    return
                if code in (KafkaError.TOPIC_EXCEPTION, KafkaError.INVALID_PARTITIONS, KafkaError.POLICY_VIOLATION):
                    raise ConfigError(f"{self.name} makes no topic {name!r}: {error.args[0].str()}") from error
                raise

        if self.find(name) is None:
            self._call(ask)

    def ends(self, topic: Topic) -> dict[int, tuple[int, int]]:
        """Of each partition the first offset that is there, and the one after the last that may be read."""
        from confluent_kafka.admin import OffsetSpec

        lows = self._offsets(topic, OffsetSpec.earliest())
        highs = self._offsets(topic, OffsetSpec.latest())
        return {partition: (low, highs[partition]) for partition, low in lows.items()}

    def committed(self, group: str, topic: Topic) -> dict[int, Committed]:
        """How far `group` has read; partitions of which it has read nothing are left out.

        A consumer asks that never joins the group. An administrator's client that does crashes the process while the
        group's coordinator is loading, as in a cluster that was just started (librdkafka 2.16, pull request 5318).
        """
        from confluent_kafka import KafkaException, TopicPartition

        asked = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]

        def ask() -> dict[int, Committed]:
            found = self._asking(group).committed(asked, timeout=self._patience)
            failed = next((each.error for each in found if each.error is not None), None)
            if failed is not None:
                raise KafkaException(failed)
            return {each.partition: Committed(each.offset, each.metadata or "") for each in found if each.offset >= 0}

        return self._call(ask)

    def limit(self, name: str) -> int:
        """The size in bytes of the largest batch that the topic takes (``max.message.bytes``)."""
        from confluent_kafka.admin import ConfigResource, ResourceType

        def ask() -> int:
            wanted = ConfigResource(ResourceType.TOPIC, name)
            (future,) = self._client.describe_configs([wanted], request_timeout=self._patience).values()
            return int(self._wait(future)["max.message.bytes"].value)

        return self._call(ask)

    @property
    def _patience(self) -> float:
        return min(_ANSWER, max(1.0, self.retry.budget))

    def _offsets(self, topic: Topic, spec: Any) -> Mapping[int, int]:
        from confluent_kafka import IsolationLevel, TopicPartition

        wanted = {TopicPartition(topic.name, partition): spec for partition in range(topic.partitions)}

        def ask() -> dict[int, int]:
            futures = self._client.list_offsets(
                wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=self._patience
            )
            return {partition.partition: self._wait(future).offset for partition, future in futures.items()}

        return self._call(ask)

    @cached_property
    def _client(self) -> AdminClient:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        options = client_settings(self.settings, self._faults)
        logger = options.pop("logger")
        try:
            return AdminClient(options, logger=logger)
        except KafkaException as error:
            raise ConfigError(f"{self.name} is not configured: {error.args[0].str()} (KAFKA_*)") from error

    def _asking(self, group: str) -> Consumer:
        from confluent_kafka import Consumer

        if group not in self._consumers:
            options = {**client_settings(self.settings, self._faults), "group.id": group, "enable.auto.commit": False}
            self._consumers[group] = Consumer(options)
        return self._consumers[group]

    def _call(self, ask: Callable[[], T]) -> T:
        from confluent_kafka import KafkaException

        def attempt() -> T:
            try:
                return ask()
            except KafkaException as error:
                self.close()  # a client that knew the brokers does not always find those that were started anew
                raise transient(error.args[0], self.name) from error

        return self.retry.call(attempt, self.name)

    def _wait(self, future: Future[T]) -> T:
        """The answer; the client says only in `poll` that it is refused."""
        deadline = time.monotonic() + self._patience + 1.0
        while not wait([future], _GLANCE).done:
            self._client.poll(0)
            self._faults.check()
            if time.monotonic() > deadline:
                raise Transient(f"no answer: {self._faults.last or 'nobody says why'}")
        return future.result()


def no_topic(where: str, name: str, setting: str) -> ConfigError:
    """The error of a topic that is missing."""
    return ConfigError(
        f"{where} has no topic {name!r} ({setting}). listings send and listings view make it, and so does "
        "dev up; or make it with kafka-topics --create."
    )
