"""An SQS queue to take messages out of: received, kept invisible for as long as they are worked on, and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harvesters.aws import client as aws
from harvesters.aws.sqs import Queue, tens
from harvesters.retry import RetryPolicy, Transient

_GONE = {"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight"}  # of an entry: deleted, or expired


@dataclass(frozen=True, eq=False)
class Message:
    """A message in hand; `handle` is good for this time that it was received."""

    id: str
    handle: str
    body: str


@dataclass
class SqsSource:
    """The queue `name`, created if missing.

    Args:
        visibility: seconds for which a received message is nobody else's, unless it is extended.
        connections: requests that may be under way at once.
        finishing: how requests for messages in hand are retried, where that is not `retry`.
    """

    name: str
    retry: RetryPolicy
    visibility: int = 60
    connections: int = 10
    finishing: RetryPolicy | None = None

    @cached_property
    def queue(self) -> Queue:
        """The queue."""
        return Queue(self.name, self.retry, self.connections)

    @property
    def url(self) -> str:
        """The queue's URL."""
        return self.queue.url

    def open(self) -> None:
        """Find the queue and make the client, before threads do; errors of configuration show here."""
        _ = self.queue.url

    def close(self) -> None:
        """Drop the connections."""
        self.queue.close()

    def receive(self, wait: int) -> list[Message]:
        """Up to ten messages; none means only that none came within `wait` seconds."""
        named = ("MessageId", "ReceiptHandle", "Body")
        found = self.queue.receive(wait, self.visibility)
        return [
            Message(*(each[name] for name in named))
            for each in found
            if all(isinstance(each.get(name), str) for name in named)
        ]

    def extend(self, messages: Sequence[Message]) -> list[Message]:
        """Keep up to ten messages invisible for another `visibility` seconds; returns those that SQS did not extend."""
        failed = self.queue.hide([message.handle for message in messages], self.visibility, self.finishing)
        return [message for message in messages if message.handle in failed]

    def delete(self, messages: Sequence[Message]) -> int:
        """Delete messages; how many were not ours to delete any more, and so will be delivered once more."""
        return sum(self._delete(group) for group in tens(messages))

    def visible(self) -> int:
        """How many messages wait, by the queue's own count, which lags behind on SQS."""
        return self.queue.counts()[0]

    def drained(self) -> bool:
        """Whether nothing is left for us, now that we hold nothing and nothing came.

        SQS asks a sample of its servers, and its count alone lags behind, so both have to say so. Of a FIFO queue's
        group nothing is shown while somebody holds a message of it: such groups are theirs to finish.
        """
        visible, held = self.queue.counts()
        return visible == 0 or (self.queue.fifo and held > 0)

    def _delete(self, group: Sequence[Message]) -> int:
        waiting = {str(at): message for at, message in enumerate(group)}
        lost = 0

        def delete() -> None:
            nonlocal lost
            entries: list[Any] = [{"Id": at, "ReceiptHandle": message.handle} for at, message in waiting.items()]
            failed = self.queue.delete(entries)
            codes = {at: str(entry.get("Code", "")).rpartition(".")[2] for at, entry in failed.items()}
            for at in list(waiting):
                gone = at in codes and (codes[at] in _GONE or bool(failed[at].get("SenderFault")))
                lost += gone
                if at not in codes or gone:
                    del waiting[at]
            if waiting:
                reasons = ", ".join(sorted({codes[at] or "no reason" for at in waiting}))
                raise Transient(f"{len(waiting)} messages were not deleted ({reasons})")

        aws.call(self.finishing or self.retry, self.queue.name, delete)
        return lost
