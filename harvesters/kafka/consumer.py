"""A member of a consumer group: some of a topic's partitions, as long as they are ours, and what is committed of them.

The contract with whoever handles the batches, which `Handler` has:

- A batch that was handled for good is reported by `done`, in the order in which they were read. Then its ends may be
  committed, which `commit` does.
- Before partitions go to another process in good order, `finish` is called: everything that was read is handled, and
  reported, when it returns. Then it is committed, and only then are they given up. So the other process reads nothing
  twice.
- Partitions that are another's already, because this process was stopped for longer than the session, are dropped. What
  was read of them goes on being handled, and is not committed.
- While nothing can be handled, `pause` and go on calling `poll`: the partitions stay ours.

An offset is committed with the id of the topic. One that a topic of the same name left behind does not count.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from harvesters.errors import HarvestError, Unavailable
from harvesters.kafka.config import error_of
from harvesters.kafka.reader import Reader
from harvesters.kafka.records import Batch, Gap
from harvesters.kafka.topics import Topic
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, TopicPartition

log = logging.getLogger(__name__)

_POLL_AT_LEAST = 300.0  # seconds within which `poll` is called, or the partitions go to others
_LONGEST = 86_400.0
_BEATS = 4  # heartbeats in a session
_NO_ANSWER = 10.0  # seconds after which a commit without an answer is sent again
_LEAVING = 5.0  # seconds to leave the group in
_READ_AGAIN = "what was handled last could not be committed, and is read again"


class Handler(Protocol):
    """What becomes of the batches."""

    def finish(self) -> None:
        """Handle all that was read, and report it as done.

        Raises:
            HarvestError: that cannot be done; nothing of it is committed then.
        """

    def gap(self, gap: Gap) -> None:
        """Keep what is known of messages that were removed before they were read."""


class GroupConsumer(Reader):
    """A member of `group` that reads the topic `name`, for `handler`."""

    def __init__(
        self,
        settings: Settings,
        retry: RetryPolicy,
        name: str,
        setting: str,
        group: str,
        handler: Handler,
        must_exist: bool = True,
    ) -> None:
        session = settings.number("KAFKA_SESSION_TIMEOUT", minimum=0.001)
        poll = min(max(_POLL_AT_LEAST, 2 * retry.budget + 60.0, session), _LONGEST)
        options: dict[str, Any] = {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": max(1, int(min(session, _LONGEST) * 1000)),
            "heartbeat.interval.ms": max(1, int(min(session, _LONGEST) * 1000) // _BEATS),
            "max.poll.interval.ms": int(poll * 1000),
            "on_commit": self._heard,
            # What is stored is committed when partitions are given up, before they are another's, and at no other time.
            "enable.auto.commit": True,
            "auto.commit.interval.ms": 0,
        }
        super().__init__(settings, retry, name, setting, group, handler.gap, must_exist, options)
        self._handler = handler
        self._pending: dict[int, int] = {}
        self._sent: dict[int, int] = {}  # and not answered yet
        self._asked = 0.0
        self._refusal: HarvestError | None = None
        self._closing = False

    def open(self) -> None:
        """Join the group; partitions come with `poll`."""
        self._client.subscribe([self.topic.name], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)

    def done(self, batch: Batch) -> None:
        """The batch is handled for good."""
        for partition, end in batch.ends.items():
            if self._ages.get(partition, batch.age + 1) <= batch.age:
                self._pending[partition] = end

    def commit(self) -> bool:
        """Have what is done committed; whether all of it is, as far as `poll` has heard.

        What is refused, as while the group is being changed, is tried again by the next call.

        Raises:
            CredentialsRefused, ConfigError: the brokers do not take it from us.
        """
        from confluent_kafka import KafkaException

        if self._refusal is not None:
            raise self._refusal
        now = self.retry.clock.monotonic()
        if not self._pending or (self._sent and now - self._asked < _NO_ANSWER):
            return not self._pending
        self._sent, self._asked = dict(self._pending), now
        try:
            self._client.commit(offsets=self._places(self._sent), asynchronous=True)
        except KafkaException as error:
            self._sent = {}
            self._refused(error.args[0])
        return False

    def behind(self) -> bool:
        """Whether the group has not committed yet, as far as is known, what the topic held when this was made."""
        if self._pending or any(at < self.targets.get(partition, 0) for partition, at in self._positions.items()):
            return True
        try:
            left = self._committed(self._once)
            return left_behind(left, self._once.ends(self.topic), self.targets)
        except Unavailable:
            return True  # `poll` says when that has lasted for too long

    def _leave(self) -> None:
        """Leave the group. What was not committed is read again by whoever gets the partitions.

        The client waits for ever for brokers that do not answer: for what they say to a commit, and for its
        coordinator. So nobody waits for it for long.
        """
        if self._closing or self._silent:
            return
        self._closing = True
        leaving = threading.Thread(target=self._let_go, name="leave", daemon=True)
        leaving.start()
        leaving.join(_LEAVING)

    def _let_go(self) -> None:
        """In a thread: what the client says against leaving changes nothing, and would be a traceback."""
        from confluent_kafka import KafkaException

        try:
            self._client.close()
        except KafkaException as error:
            log.debug("%s: left without its word: %s", self.name, error)

    def _left(self, topic: Topic) -> Mapping[int, int]:
        return self._committed(self._topics)

    def _made_anew(self) -> None:
        self._pending.clear()

    def _assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        if not self._closing:
            self._begin([each.partition for each in partitions])

    def _revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        if not self._closing and any(each.partition in self._positions for each in partitions):
            self._handler.finish()
        gone = {each.partition for each in partitions}
        if pending := {at: offset for at, offset in self._pending.items() if at in gone}:
            self._store(pending)
        self._drop(partitions)

    def _store(self, pending: Mapping[int, int]) -> None:
        """Have the client commit them before it gives their partitions up.

        What it says against that, as when they are no longer its own, would end whatever has called it.
        """
        from confluent_kafka import KafkaException

        try:
            self._client.store_offsets(offsets=self._places(pending))
        except KafkaException as error:
            log.warning("%s: %s", self.name, _READ_AGAIN)
            log.debug("not stored: %s", error)

    def _lose(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        log.warning("%s: out of touch for longer than KAFKA_SESSION_TIMEOUT; partitions are given out anew", self.name)
        self._drop(partitions)

    def _drop(self, partitions: list[TopicPartition]) -> None:
        gone = [each.partition for each in partitions]
        for partition in gone:
            self._pending.pop(partition, None)
        self._end(gone)

    def _places(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        from confluent_kafka import TopicPartition

        return [TopicPartition(self.topic.name, at, offset, metadata=self.topic.id) for at, offset in offsets.items()]

    def _heard(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """The answer to a commit: to ours, or to the client's when partitions were given up."""
        ours = {each.partition: each.offset for each in partitions} == self._sent
        if ours:
            self._sent = {}
        for each in partitions:
            failure = error or each.error
            if failure is not None:
                self._refused(failure)
                if not ours:
                    log.warning("%s: %s", self.name, _READ_AGAIN)
            elif each.metadata == self.topic.id and self._pending.get(each.partition) == each.offset:
                del self._pending[each.partition]

    def _refused(self, failure: KafkaError) -> None:
        meaning = error_of(failure, self.name)
        if not isinstance(meaning, Unavailable):
            self._refusal = meaning
        log.debug("not committed yet: %s", meaning)


def left_behind(left: Mapping[int, int], ends: Mapping[int, tuple[int, int]], targets: Mapping[int, int]) -> bool:
    """Whether a group that was left at `left` has something to read up to `targets`."""

    def behind(partition: int, target: int) -> bool:
        low, high = ends.get(partition, (target, target))
        at = left.get(partition, low)
        return at < target or at > high  # what is beyond the end was read of a topic that is gone

    return any(behind(partition, target) for partition, target in targets.items())
