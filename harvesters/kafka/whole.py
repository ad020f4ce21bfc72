"""All partitions of a topic, for one process that keeps by itself how far it has read.

It is no member of its group: it reads whatever others do, and tells the group how far it is for those who look there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from harvesters.errors import HarvestError, Unavailable
from harvesters.kafka.config import error_of
from harvesters.kafka.reader import Reader
from harvesters.kafka.records import Batch, Gap
from harvesters.kafka.topics import Topic
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, TopicPartition

log = logging.getLogger(__name__)


class WholeTopic(Reader):
    """Reads every partition of the topic `name`, also those that are added while it reads.

    Args:
        left: where each partition of a topic was left; from the others everything is wanted. The topic says which one
            it is: offsets of another topic of that name mean nothing.
    """

    def __init__(
        self,
        settings: Settings,
        retry: RetryPolicy,
        name: str,
        setting: str,
        group: str,
        left: Callable[[Topic], Mapping[int, int]],
        on_gap: Callable[[Gap], None],
        must_exist: bool = True,
    ) -> None:
        self._where = left
        self._commits = 0  # that were not answered yet
        self._refusal: HarvestError | None = None
        self._warned = False
        super().__init__(settings, retry, name, setting, group, on_gap, must_exist, {"on_commit": self._heard})

    def open(self) -> None:
        """Begin to read."""
        self._begin(range(self.topic.partitions))

    def behind(self) -> bool:
        """Whether something that the topic held when this reader was made was not read yet."""
        return any(self._positions.get(partition, 0) < target for partition, target in self.targets.items())

    def holds(self, batch: Batch) -> bool:
        """Whether the batch is of the topic that it says. One that was made anew meanwhile is not; it begins again.

        Raises:
            Unavailable: the brokers do not answer within the retry budget.
        """
        self._refresh()
        return batch.topic.id == self.topic.id

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the group how far this is, and do not wait for an answer, which `poll` hears.

        Raises:
            CredentialsRefused, ConfigError: the brokers did not take what was committed before.
        """
        from confluent_kafka import KafkaException, TopicPartition

        self._check_commits()
        wanted = [
            TopicPartition(self.topic.name, partition, offset, metadata=self.topic.id)
            for partition, offset in offsets.items()
        ]
        try:
            self._client.commit(offsets=wanted, asynchronous=True)
            self._commits += 1
        except KafkaException as error:
            self._note(error.args[0], wanted)

    def settle(self, seconds: float) -> None:
        """Wait for the answers to what was committed, for so long at most. Nothing is read after that.

        Raises:
            CredentialsRefused, ConfigError: the brokers did not take it.
        """
        deadline = time.monotonic() + seconds
        self._client.pause(self._assigned(self._positions))
        while self._commits and time.monotonic() < deadline:
            self._client.poll(0.02)
        self._check_commits()

    def close(self) -> None:
        """Let go of the connections; with a commit that nobody answers that would wait for somebody who does."""
        if not self._commits:
            super().close()

    def committed(self) -> Mapping[int, int]:
        """How far the group is, as it was told of this very topic."""
        return self._committed(self._topics)

    def _left(self, topic: Topic) -> Mapping[int, int]:
        return self._where(topic)

    def _heard(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._commits = max(0, self._commits - 1)
        self._note(error, partitions)

    def _note(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for failure in (error, *(each.error for each in partitions)):
            if failure is None:
                continue
            meaning = error_of(failure, self.name)
            if not isinstance(meaning, Unavailable):
                self._refusal = meaning
            elif not self._warned:
                self._warned = True
                log.warning("the group %s was not told how far this is: %s", self.group, meaning)

    def _check_commits(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def _beyond(self, partition: int, position: int, low: int, high: int) -> int:
        """What was read is kept elsewhere, so it is not read again."""
        log.error(
            "%s has only %d messages in partition %d where %d were read: the broker lost some of them after that. What "
            "comes from now on is read",
            *(self.topic.name, high, partition, position),
        )
        return high

    def _grown(self) -> None:
        fresh = [each for each in range(self.topic.partitions) if each not in self._positions]
        if self._positions and fresh:
            self._begin(fresh)
