"""What is in hand: messages received and not deleted yet, in bounded number and size, and which are ours still."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime

from harvesters.clock import Clock
from harvesters.indexing.source import Message

Moment = tuple[float, datetime]
"""Elapsed and wall-clock time: the former stands still while a machine is suspended, the latter may be set back."""

_RENEWED_AFTER = 1 / 3  # of the time for which a message is ours


class HoldLost(Exception):
    """A message may be somebody else's by now, who may have written a newer version since."""


class Held:
    """Messages in hand, and since when each is ours, for `seconds`. Threads share it.

    A process that was frozen finds here that time has passed. A hold that has run out never becomes ours again: whoever
    got the message meanwhile works on it.
    """

    def __init__(self, clock: Clock, seconds: float, most: int, most_bytes: int) -> None:
        self.clock = clock
        self.seconds = seconds
        self.most = most
        self.most_bytes = most_bytes
        self._since: dict[Message, Moment] = {}
        self._bytes = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._since)

    def moment(self) -> Moment:
        """Now. A hold counts from before it was asked for: the answer may have waited for a process that was frozen."""
        return self.clock.monotonic(), self.clock.now()

    def has_room(self, timeout: float) -> bool:
        """Whether more may be received; waits `timeout` seconds for it."""
        with self._changed:
            return self._changed.wait_for(self._room, timeout)

    def add(self, messages: Iterable[Message], since: Moment) -> None:
        """These are in hand since then."""
        with self._changed:
            for message in messages:
                self._since[message] = since
                self._bytes += len(message.body)

    def drop(self, messages: Iterable[Message]) -> None:
        """These are done, or not ours any more."""
        with self._changed:
            for message in messages:
                if self._since.pop(message, None) is not None:
                    self._bytes -= len(message.body)
            self._changed.notify_all()

    def lost(self, messages: Iterable[Message]) -> list[Message]:
        """Those that are not ours any more for certain."""
        now = self.moment()
        with self._changed:
            return [message for message in messages if self._age(message, now) >= self.seconds]

    def due(self) -> Sequence[Message]:
        """Those that are ours still, and ought to be renewed."""
        now = self.moment()
        with self._changed:
            return [
                message
                for message in self._since
                if self.seconds * _RENEWED_AFTER < self._age(message, now) < self.seconds
            ]

    def renewed(self, messages: Iterable[Message], since: Moment) -> None:
        """These are ours since then, unless their hold ran out before the answer came."""
        now = self.moment()
        with self._changed:
            for message in messages:
                if self._age(message, now) < self.seconds:
                    self._since[message] = since

    def _age(self, message: Message, now: Moment) -> float:
        since = self._since.get(message)
        if since is None:
            return self.seconds
        return max(now[0] - since[0], (now[1] - since[1]).total_seconds())

    def _room(self) -> bool:
        return len(self._since) < self.most and self._bytes < self.most_bytes
