"""An SQS queue to take messages out of: received, kept invisible for as long as they are worked on, and deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from harvesters import aws
from harvesters.retry import RetryPolicy, Transient
from harvesters.sinks.sqs import MAX_ENTRIES, SqsSink

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

T = TypeVar("T")

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
    """

    name: str
    retry: RetryPolicy
    visibility: int = 60
    connections: int = 10

    @cached_property
    def url(self) -> str:
        """The queue's URL."""
        sink = SqsSink(self.name, self.retry, in_flight=1)
        try:
            return sink.url
        finally:
            sink.close()

    @cached_property
    def _client(self) -> SQSClient:
        return aws.client("sqs", self.connections)

    def open(self) -> None:
        """Find the queue and make the client, before threads do; errors of configuration show here."""
        _ = self.url, self._client

    def receive(self, wait: int) -> list[Message]:
        """Up to ten messages; none means only that none came within `wait` seconds."""

        def receive() -> Any:
            return self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=MAX_ENTRIES,
                WaitTimeSeconds=wait,
                VisibilityTimeout=self.visibility,
            )

        found = aws.call(self.retry, self._where, receive).get("Messages", [])
        return [Message(each["MessageId"], each["ReceiptHandle"], each["Body"]) for each in found]

    def extend(self, messages: Sequence[Message]) -> None:
        """Keep messages invisible for another `visibility` seconds; one that is gone by now is no error."""
        for group in _tens(messages):
            entries: list[Any] = [
                {"Id": str(at), "ReceiptHandle": message.handle, "VisibilityTimeout": self.visibility}
                for at, message in enumerate(group)
            ]
            aws.call(self.retry, self._where, partial(self._change_visibility, entries))

    def delete(self, messages: Sequence[Message]) -> int:
        """Delete messages; how many were not ours to delete any more, and so will be delivered once more."""
        return sum(self._delete(group) for group in _tens(messages))

    def visible(self) -> int:
        """How many messages wait, by the queue's own count, which lags behind on SQS."""

        def ask() -> Any:
            names: list[Any] = ["ApproximateNumberOfMessages"]
            return self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)

        return int(aws.call(self.retry, self._where, ask)["Attributes"]["ApproximateNumberOfMessages"])

    @property
    def _where(self) -> str:
        return f"sqs://{self.name}"

    def _change_visibility(self, entries: list[Any]) -> None:
        self._client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    def _delete(self, group: Sequence[Message]) -> int:
        waiting = {str(at): message for at, message in enumerate(group)}
        lost = 0

        def delete() -> None:
            nonlocal lost
            entries: list[Any] = [{"Id": at, "ReceiptHandle": message.handle} for at, message in waiting.items()]
            failed = self._client.delete_message_batch(QueueUrl=self.url, Entries=entries).get("Failed", [])
            codes = {entry["Id"]: str(entry.get("Code", "")).rpartition(".")[2] for entry in failed}
            gone = [at for at, code in codes.items() if code in _GONE or _blames_us(failed, at)]
            lost += len(gone)
            for at in [at for at in waiting if at not in codes or at in gone]:
                del waiting[at]
            if waiting:
                raise Transient(f"{len(waiting)} messages were not deleted ({', '.join(sorted(set(codes.values())))})")

        aws.call(self.retry, self._where, delete)
        return lost


def _blames_us(failed: Sequence[Any], at: str) -> bool:
    return any(entry["Id"] == at and entry.get("SenderFault") for entry in failed)


def _tens(messages: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(messages), MAX_ENTRIES):
        yield messages[start : start + MAX_ENTRIES]
