"""All partitions of a topic, for one process that keeps by itself how far it has read.

It is no member of its group: it reads whatever others do, and tells the group how far it is for those who look there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from harvesters.errors import Unavailable
from harvesters.kafka.config import error_of
from harvesters.kafka.reader import Reader
from harvesters.kafka.records import Gap
from harvesters.kafka.topics import Topic
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings

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
        super().__init__(settings, retry, name, setting, group, on_gap, must_exist, {})
        self._where = left

    def open(self) -> None:
        """Begin to read."""
        self._begin(range(self.topic.partitions))

    def behind(self) -> bool:
        """Whether something that the topic held when this reader was made was not read yet."""
        return any(self._positions.get(partition, 0) < target for partition, target in self.targets.items())

    def commit(self, offsets: Mapping[int, int]) -> bool:
        """Tell the group how far this is; False if it was not told, which another time does.

        Raises:
            CredentialsRefused, ConfigError: the brokers do not take it from us.
        """
        from confluent_kafka import KafkaException, TopicPartition

        wanted = [
            TopicPartition(self.topic.name, partition, offset, metadata=self.topic.id)
            for partition, offset in offsets.items()
        ]
        try:
            answer = self._client.commit(offsets=wanted, asynchronous=False) or []
            failures = [each.error for each in answer if each.error is not None]
        except KafkaException as error:
            failures = [error.args[0]]
        for failure in failures:
            meaning = error_of(failure, self.name)
            if not isinstance(meaning, Unavailable):
                raise meaning
            log.debug("not committed: %s", meaning)
        return not failures

    def committed(self) -> Mapping[int, int]:
        """How far the group is, as it was told of this very topic."""
        return self._committed(self._topics)

    def _left(self, topic: Topic) -> Mapping[int, int]:
        return self._where(topic)

    def _grown(self) -> None:
        fresh = [each for each in range(self.topic.partitions) if each not in self._positions]
        if self._positions and fresh:
            self._begin(fresh)
