"""The producer of this process: idempotent, acknowledged by all replicas, one for all threads.

A key goes to the partition that Java's and kafka-python's producers choose, so that the versions of a listing meet in
one partition whoever sent them. The client does not survive a fork: a child makes its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harvesters.errors import BadInput, HarvestError, SinkUnavailable, Unavailable
from harvesters.kafka.config import Faults, client_settings, error_of, name_of, require_client
from harvesters.kafka.sent import Sent
from harvesters.kafka.topics import Topics
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message
    from confluent_kafka import Producer as Client

_BATCH = 1_000_000  # bytes of one batch at most; a message that is larger is one of its own
_UNDER_WAY = 64 * 1024  # kilobytes that wait for the broker
_LARGEST = 1_000_000_000  # bytes that the client lets through: the broker knows what a topic takes
_SHORTEST = 1.0  # seconds that one try may take, whatever the budget
_LONGEST = 2_000_000.0  # seconds that the client can be told to try for

Told = Callable[[Sent | HarvestError], None]


class TooLarge(BadInput):
    """A message is larger than its topic takes."""


class Producer:
    """Sends, and makes topics that are missing; safe to use from any thread.

    A message that is not acknowledged within the budget of `retry` counts as not sent.

    Attributes:
        broken: the client takes no more messages; make another one.
    """

    def __init__(self, settings: Settings, retry: RetryPolicy) -> None:
        self._faults = Faults(name_of(settings))
        self._settings = settings
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._batch = _BATCH
        self.retry = retry
        self._client = self._made()
        self._ended = threading.Event()
        self.broken = False
        self._poller = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
        self._poller.start()

    @property
    def name(self) -> str:
        """``kafka at host:port``."""
        return self._faults.name

    def send(self, topic: str, key: str | None, value: bytes | None, timeout: float | None = None) -> Sent:
        """Send a message, and wait until it is acknowledged, for `timeout` seconds at most.

        Raises:
            SinkUnavailable: it was not; it may be on its way all the same where `timeout` is over.
            TooLarge: the topic does not take a message of that size.
            CredentialsRefused, ConfigError: the brokers do not take us.
        """
        answered = threading.Event()
        answers: list[Sent | HarvestError] = []

        def told(answer: Sent | HarvestError) -> None:
            answers.append(answer)
            answered.set()

        self.produce(topic, key, value, told)
        seconds = self.retry.budget + 5.0 if timeout is None else timeout
        if not answered.wait(seconds):
            self._faults.check()
            raise SinkUnavailable(f"{self.name} has not acknowledged the message within {seconds:g} s")
        (answer,) = answers
        if isinstance(answer, HarvestError):
            self._faults.check()
            raise answer
        return answer

    def produce(self, topic: str, key: str | None, value: bytes | None, told: Told) -> None:
        """Send a message; `told` is called from another thread with where it is, or why it is not.

        Waits only for a topic that it has not seen yet, and while too much is under way already.

        Raises:
            SinkUnavailable, CredentialsRefused, ConfigError: the topic is not there and cannot be made.
        """
        if topic not in self._known:
            self._prepare(topic)

        def delivered(error: KafkaError | None, message: Message) -> None:
            told(self._answer(error, message, topic, len(value or b"")))

        while True:
            try:
                self._client.produce(topic, value, key, on_delivery=delivered)
                return
            except BufferError:
                self._ended.wait(0.01)  # the other thread takes what is acknowledged

    def flush(self, seconds: float) -> int:
        """Wait for what is under way, for so long at most; how many messages are left."""
        return int(self._client.flush(seconds))

    def check(self) -> None:
        """Raise what ends every try, such as a password that is refused."""
        self._faults.check()

    def close(self) -> None:
        """Let go of the connections; what is under way is dropped."""
        self._ended.set()
        self._poller.join()

    def _prepare(self, topic: str) -> None:
        """Make the topic if it is missing, and see that no batch is larger than it takes.

        One thread does; the others wait for it, and that counts for their budget.
        """
        clock, budget = self.retry.clock, max(self.retry.budget, _SHORTEST)
        began = clock.monotonic()
        if not self._lock.acquire(timeout=min(budget, threading.TIMEOUT_MAX)):
            raise SinkUnavailable(f"{self.name} has not said within {budget:g} s that there is a topic {topic}")
        try:
            if topic in self._known:
                return
            clock.sleep(0)  # which raises where we are told to stop
            left = replace(self.retry, budget=max(0.0, self.retry.budget - (clock.monotonic() - began)))
            with closing(Topics(self._settings, left)) as topics:
                topics.make(topic)
                limit = topics.limit(topic)
            if limit < self._batch:
                self._batch, before = limit, self._client
                self._client = self._made()
                before.flush(budget)
            self._known.add(topic)
        except Unavailable as error:
            raise SinkUnavailable(str(error)) from error
        finally:
            self._lock.release()

    def _made(self) -> Client:
        require_client()
        from confluent_kafka import KafkaException
        from confluent_kafka import Producer as Client

        options: dict[str, Any] = {
            **client_settings(self._settings, self._faults),
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "batch.size": self._batch,
            "message.max.bytes": _LARGEST,
            "queue.buffering.max.kbytes": _UNDER_WAY,
            "message.timeout.ms": int(min(max(self.retry.budget, _SHORTEST), _LONGEST) * 1000),
        }
        try:
            return Client(options)
        except KafkaException as error:
            raise error_of(error.args[0], self.name) from error

    def _poll(self) -> None:
        """Have delivery reports and complaints served, whoever waits for them."""
        while not self._ended.is_set():
            self._client.poll(0.1)

    def _answer(self, error: KafkaError | None, message: Message, topic: str, size: int) -> Sent | HarvestError:
        if error is None:
            return Sent(topic, message.partition() or 0, message.offset() or 0)
        code = error.code()
        if code == error.MSG_SIZE_TOO_LARGE:
            return TooLarge(f"its {size} bytes are more than the topic {topic} takes (max.message.bytes)")
        self._known.discard(topic)  # it may have been removed, which the client takes for a passing fault
        self.broken = self.broken or error.fatal() or code == error._FATAL
        meaning = error_of(error, self.name)
        return SinkUnavailable(str(meaning)) if isinstance(meaning, Unavailable) else meaning


_lock = threading.Lock()
_here: Producer | None = None


def of_process(settings: Settings, retry: RetryPolicy) -> Producer:
    """The producer of this process, made when it is first asked for.

    Raises:
        ConfigError: confluent-kafka is not installed, or a setting is wrong.
    """
    global _here
    with _lock:
        if _here is None or _here.broken:
            _here = Producer(settings, retry)
        return _here


def close(seconds: float | None = None) -> None:
    """Wait for what this process's producer has under way (so long at most), and let go of it."""
    global _here
    with _lock:
        if _here is not None:
            _here.flush(_here.retry.budget if seconds is None else seconds)
            _here.close()
            _here = None


def _forget() -> None:
    """In a fork: the parent's producer has no threads here, and its lock may be taken."""
    global _lock, _here
    _lock, _here = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
