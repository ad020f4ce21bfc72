"""What is in hand: messages received and not deleted yet, in bounded number and size."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from harvesters.indexing.source import Message


class Held:
    """Messages in hand, and since when each is ours. Threads share it."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self._since: dict[Message, float] = {}
        self._bytes = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._since)

    def has_room(self, timeout: float) -> bool:
        """Whether more may be received; waits `timeout` seconds for it."""
        with self._changed:
            return self._changed.wait_for(self._room, timeout)

    def add(self, messages: Iterable[Message], now: float) -> None:
        """These are in hand since `now`."""
        with self._changed:
            for message in messages:
                self._since[message] = now
                self._bytes += len(message.body)

    def drop(self, messages: Iterable[Message]) -> None:
        """These are done."""
        with self._changed:
            for message in messages:
                if self._since.pop(message, None) is not None:
                    self._bytes -= len(message.body)
            self._changed.notify_all()

    def renew(self, before: float, now: float) -> Sequence[Message]:
        """Those that are ours since earlier than `before`, which count as ours since `now` from here on."""
        with self._changed:
            due = [message for message, since in self._since.items() if since < before]
            for message in due:
                self._since[message] = now
            return due

    def _room(self) -> bool:
        return len(self._since) < self.most and self._bytes < self.most_bytes
