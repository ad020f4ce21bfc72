"""Reads a topic from where it was left, and notices what the client does not tell.

- Messages that the broker removed before they were read are a `Gap`, which the caller hears of before reading goes on.
- A topic that was removed and made anew has other messages at the same offsets. It is known by its id, which is asked
  for every second, and read from its beginning.
- A broker that is away makes no call fail. It is missed when it is asked for the topic, and given up after the budget.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harvesters.errors import Unavailable
from harvesters.kafka.config import Faults, client_settings, error_of, name_of
from harvesters.kafka.records import Batch, Gap, Record
from harvesters.kafka.topics import Topic, Topics, no_topic
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

log = logging.getLogger(__name__)

_EVERY = 1.0  # seconds between two looks at the topic
_AT_ONCE = 500  # messages taken from the client in one call
_BYTES = 4 * 1024 * 1024  # of messages in one batch, or one message that is larger
_PREFETCHED = 32 * 1024  # kilobytes


class Reader(ABC):
    """Some or all partitions of the topic `name`, which `setting` names, for the consumer group `group`.

    Args:
        on_gap: told of messages that were removed before they were read; what it raises ends the reading.
        must_exist: raise if the topic is removed, instead of waiting until it is there again.
        options: of the client, beyond those that every reader has.
    """

    def __init__(
        self,
        settings: Settings,
        retry: RetryPolicy,
        name: str,
        setting: str,
        group: str,
        on_gap: Callable[[Gap], None],
        must_exist: bool,
        options: Mapping[str, Any],
    ) -> None:
        from confluent_kafka import Consumer, KafkaException

        self.group = group
        self.retry = retry
        self.on_gap = on_gap
        self._setting = setting
        self._must_exist = must_exist
        self._topics = Topics(settings, retry)
        self._once = Topics(settings, replace(retry, budget=0.0))
        self._faults = Faults(name_of(settings))
        self._positions: dict[int, int] = {}
        self._ages: dict[int, int] = {}
        self._age = 0
        self._paused = False
        self._looked = self._answered = retry.clock.monotonic()
        self._missing = False
        self._skipped: dict[int, int] = {}
        self._owed: set[int] = set()  # to be read as soon as there is a topic again
        self._tries = 0
        try:
            self._client: Consumer = Consumer(
                {
                    **client_settings(settings, self._faults),
                    "group.id": group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",
                    "enable.partition.eof": True,
                    "isolation.level": "read_committed",
                    "queued.max.messages.kbytes": _PREFETCHED,
                    "fetch.wait.max.ms": 100,
                    "topic.metadata.refresh.interval.ms": 10_000,
                    **options,
                }
            )
        except KafkaException as error:
            raise error_of(error.args[0], self.name) from error
        self.topic = self._topics.require(name, setting)
        self.targets = {partition: high for partition, (_, high) in self._topics.ends(self.topic).items()}

    @property
    def name(self) -> str:
        """``kafka at host:port``."""
        return self._faults.name

    @property
    def positions(self) -> Mapping[int, int]:
        """Of the partitions that are read here, the offset that comes next."""
        return self._positions

    def poll(self, seconds: float, most: int = 2000) -> Batch | None:
        """What comes within so many seconds; None if nothing did. Callbacks are called in here.

        Raises:
            Unavailable: the brokers have not answered for longer than the retry budget.
            CredentialsRefused, ConfigError: they do not take us, or the topic is gone and has to be there.
        """
        topic, age = self.topic, self._age
        records: list[Record] = []
        ends: dict[int, int] = {}
        size = 0
        while len(records) < most and size < _BYTES and self.topic.id == topic.id:
            wait = seconds if not records else 0.0
            found = self._client.consume(min(_AT_ONCE, most - len(records)), wait)
            for message in found:
                anew = self.topic.id != topic.id  # then positions are of the new one, and these are of the old
                error = message.error()
                if error is not None:
                    if not anew:
                        self._heed(error, message)
                    continue
                record = _record(message)
                if anew:
                    records.append(record)
                elif record.partition in self._positions:
                    self._positions[record.partition] = ends[record.partition] = record.offset + 1
                    records.append(record)
                    size += len(message)
            if not found:
                break
        self._look()
        if self.topic.id != topic.id:  # made anew just now: what was read is of the old one, which nobody commits
            return Batch(topic, records, {}, age) if records else None
        for partition, end in self._skipped.items():
            ends[partition] = max(end, ends.get(partition, end))
        self._skipped = {}
        # Who has lost a partition meanwhile has no say in it any more.
        ends = {partition: end for partition, end in ends.items() if partition in self._positions}
        return Batch(topic, records, ends, self._age) if ends or records else None

    def pause(self) -> None:
        """Fetch nothing for now; `poll` is called all the same, and keeps the partitions."""
        if not self._paused:
            self._paused = True
            self._client.pause(self._assigned(self._positions))

    def resume(self) -> None:
        """Fetch again."""
        if self._paused:
            self._paused = False
            self._client.resume(self._assigned(self._positions))

    def close(self) -> None:
        """Let go of the connections."""
        self._leave()
        self._topics.close()
        self._once.close()

    def _leave(self) -> None:
        self._client.close()

    @property
    def _silent(self) -> bool:
        """Whether the brokers did not answer the last time that they were asked."""
        return self._tries > 0

    def _committed(self, topics: Topics) -> dict[int, int]:
        """How far the group has read this very topic, by its partitions.

        `topics` is asked, and not our own client: as a member of the group it would wait for a change of the group that
        only `poll` goes on with.

        Raises:
            Unavailable: the brokers do not answer within the retry budget.
        """
        found = topics.committed(self.group, self.topic)
        return {partition: each.offset for partition, each in found.items() if each.of(self.topic)}

    @abstractmethod
    def _left(self, topic: Topic) -> Mapping[int, int]:
        """Where each partition of `topic` was left; from the others everything is wanted."""

    def _made_anew(self) -> None:  # noqa: B027 - not everybody has to do something
        """The topic has other messages at the offsets that are known."""

    def _begin(self, partitions: Iterable[int]) -> None:
        """Read these partitions, each from where it was left.

        Raises:
            Unavailable: the brokers do not answer within the retry budget.
        """
        from confluent_kafka import TopicPartition

        self._refresh()
        if self._missing:
            self._owed.update(partitions)
            return
        left, ends = self._left(self.topic), self._topics.ends(self.topic)
        self._age += 1
        wanted: list[TopicPartition] = []
        for partition in partitions:
            start = left.get(partition, 0)
            low, high = ends.get(partition, (0, start))
            start = left.get(partition, low)
            if start > high:
                start = self._beyond(partition, start, low, high)
            elif start < low:
                self._skip(partition, start, low)
                start = low
            self._positions[partition], self._ages[partition] = start, self._age
            wanted.append(TopicPartition(self.topic.name, partition, start))
        if wanted:
            self._client.incremental_assign(wanted)
            # The client keeps for each partition that it was paused, also when it is given up and comes back.
            (self._client.pause if self._paused else self._client.resume)(wanted)

    def _end(self, partitions: Iterable[int]) -> None:
        """Read these no more."""
        gone = [partition for partition in partitions if self._positions.pop(partition, None) is not None]
        for partition in gone:
            del self._ages[partition]
        if gone:
            self._client.incremental_unassign(self._assigned(gone))

    def _skip(self, partition: int, first: int, low: int) -> None:
        gap = Gap(self.topic, partition, first, low - 1)
        log.error("%s", gap)
        self.on_gap(gap)
        self._skipped[partition] = low

    def _assigned(self, partitions: Iterable[int]) -> list[TopicPartition]:
        from confluent_kafka import TopicPartition

        return [TopicPartition(self.topic.name, partition) for partition in partitions]

    def _heed(self, error: KafkaError, message: Message) -> None:
        """What stands in the place of a message: the end of a partition, or a fault."""
        code, partition = error.code(), message.partition()
        if code == error._PARTITION_EOF:
            offset = message.offset()
            if partition in self._positions and offset is not None and offset > self._positions[partition]:
                self._positions[partition] = self._skipped[partition] = offset
            return
        if code == error._AUTO_OFFSET_RESET:
            if partition in self._positions:
                self._go_on(partition)
            return
        meaning = error_of(error, self.name)
        if not isinstance(meaning, Unavailable):
            raise meaning
        log.debug("%s", meaning)

    def _go_on(self, partition: int) -> None:
        """The offset that comes next is not there any more: go on from the first that is."""
        if self._refresh():
            return
        low, high = self._topics.ends(self.topic)[partition]
        position = self._positions[partition]
        if position < low:
            self._skip(partition, position, low)
            position = low
        elif position > high:
            position = self._beyond(partition, position, low, high)
        self._reposition(partition, position)

    def _reposition(self, partition: int, offset: int) -> None:
        from confluent_kafka import TopicPartition

        self._client.incremental_unassign(self._assigned([partition]))
        self._positions[partition] = offset
        wanted = [TopicPartition(self.topic.name, partition, offset)]
        self._client.incremental_assign(wanted)
        if self._paused:
            self._client.pause(wanted)

    def _look(self) -> None:
        """See now and then whether the brokers answer, and whether the topic is still the one that we read."""
        now = self.retry.clock.monotonic()
        self._faults.check()
        if now - self._looked < _EVERY:
            return
        self._looked = now
        self._tries += 1
        try:
            self._refresh(self._once)
        except Unavailable as error:
            away = now - self._answered
            if away > self.retry.budget:
                raise self.retry.gave_up(str(error).partition(";")[0], self._tries, away) from error

    def _refresh(self, topics: Topics | None = None) -> bool:
        """Whether the topic was made anew since; it is read from its beginning then."""
        found = (topics or self._topics).find(self.topic.name)
        self._answered = self._looked = self.retry.clock.monotonic()
        self._tries = 0
        if found is None:
            if self._must_exist:
                raise no_topic(self.name, self.topic.name, self._setting)
            if not self._missing:
                self._missing = True
                log.warning("%s has no topic %r any more: waiting for it", self.name, self.topic.name)
            return False
        self._missing = False
        before, self.topic = self.topic, found
        if found.id == before.id:
            if found.partitions > before.partitions:
                self._grown()
            self._pay()
            return False
        log.warning("the topic %s was made anew: it is read from its beginning", found.name)
        self._skipped.clear()
        self._made_anew()
        ends = self._topics.ends(found)
        self.targets = {partition: high for partition, (_, high) in ends.items()}
        self._age += 1
        for partition in list(self._positions):
            if partition in ends:
                self._ages[partition] = self._age
                self._reposition(partition, ends[partition][0])
            else:
                self._end([partition])
        self._grown()
        self._pay()
        return True

    def _pay(self) -> None:
        """Read the partitions that came while there was no topic."""
        owed, self._owed = self._owed, set()
        if owed:
            held = {each.partition for each in self._client.assignment()}  # the client began them by itself
            if wanted := sorted(owed & held - self._positions.keys()):
                self._client.incremental_unassign(self._assigned(wanted))
                self._begin(wanted)

    def _beyond(self, partition: int, position: int, low: int, high: int) -> int:
        """Where to go on in a partition that has fewer messages than were read of it."""
        log.warning(
            "%s has only %d messages in partition %d where %d were read: it is read from its beginning",
            *(self.topic.name, high, partition, position),
        )
        return low

    def _grown(self) -> None:  # noqa: B027 - not everybody has to do something
        """The topic may have partitions that are new."""


def _record(message: Message) -> Record:
    kind, timestamp = message.timestamp()
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return Record(partition, offset, timestamp if kind else -1, message.key(), message.value())


def wait_for_topic(topics: Topics, name: str, setting: str, stopped: Callable[[], bool]) -> bool:
    """Wait until there is a topic of that name; whether it came before we were told to stop."""
    warned = False
    while not stopped():
        if topics.find(name) is not None:
            return True
        if not warned:
            log.warning("%s: waiting until somebody makes it", str(no_topic(topics.name, name, setting)).rstrip("."))
            warned = True
        topics.retry.clock.sleep(_EVERY)
    return False
