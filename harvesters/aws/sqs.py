"""One SQS queue: found or made, sent to, received from. Its errors are ours, its passing ones are tried again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from harvesters.aws import client as aws
from harvesters.errors import Unavailable
from harvesters.retry import RetryPolicy, Transient

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

T = TypeVar("T")

MAX_ENTRIES = 10  # of a request
MAX_REQUEST_BYTES = 1024 * 1024  # of all bodies of a request, and of one message at most (since 2025; 256 KiB before)
FIFO = ".fifo"
_RETENTION = 14 * 86_400  # the longest SQS offers: a consumer may be down over the holidays

GONE = frozenset({"QueueDoesNotExist", "NonExistentQueue"})
# The request is refused for what is in it: another try is refused as well, a part of it may not be.
_TOO_MUCH = {"BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue", "InvalidAttributeValue"}


@dataclass(frozen=True)
class Description:
    """A queue as SQS describes it: `created` in epoch seconds, `max_bytes` of one message."""

    url: str
    created: str
    max_bytes: int


class Queue:
    """The queue called `name`, made if it is missing; one that ends in ``.fifo`` is FIFO.

    Args:
        connections: requests that may be under way at once.
        unavailable: what is raised when the retries are used up.
        timeout: seconds to wait for one answer.
    """

    def __init__(
        self,
        name: str,
        retry: RetryPolicy,
        connections: int = 10,
        unavailable: type[Unavailable] = Unavailable,
        timeout: float = 30.0,
    ) -> None:
        self.queue = name
        self.retry = retry
        self.connections = connections
        self.unavailable = unavailable
        self.timeout = timeout
        self._lock = Lock()
        self._open: Description | None = None

    @property
    def name(self) -> str:
        """``sqs://queue``."""
        return f"sqs://{self.queue}"

    @property
    def fifo(self) -> bool:
        """True for a FIFO queue."""
        return self.queue.endswith(FIFO)

    @property
    def url(self) -> str:
        """Its URL; it is made if it is missing."""
        return self.described().url

    @cached_property
    def client(self) -> SQSClient:
        """The boto3 client, made when first needed."""
        return aws.client("sqs", self.connections, self.timeout)

    def close(self) -> None:
        """Drop the connections."""
        if "client" in self.__dict__:
            self.client.close()

    def described(self) -> Description:
        """The queue, found or made when first asked for."""
        with self._lock:
            if self._open is None:
                self._open = aws.call(self.retry, self.name, self._get_or_create, self.unavailable)
            return self._open

    def find(self) -> bool:
        """Whether there is such a queue; it is not made."""
        with self._lock:
            if self._open is None:
                self._open = aws.call(self.retry, self.name, self._get, self.unavailable)
            return self._open is not None

    def send(self, entries: list[Any]) -> Any:
        """One try to send: SQS's answer; None when it refuses the request for what is in it.

        To be called within `aws.client.call`, which tries again: the errors are boto3's, and `Transient`.
        """
        from botocore.exceptions import ClientError

        queue = self.described()
        try:
            return self.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
        except ClientError as error:
            code = aws.error_code(error)
            if code in GONE:
                self._forget(queue)
                raise Transient("the queue has vanished; it will be made again") from error
            if code not in _TOO_MUCH:
                raise
            if len(entries) > 1:
                return None
            message = error.response.get("Error", {}).get("Message", "")
            failed = {"Id": entries[0]["Id"], "SenderFault": True, "Code": code, "Message": message}
            return {"Failed": [failed]}

    def receive(self, wait: int, visibility: int) -> list[Any]:
        """Up to ten messages as SQS gives them, hidden for `visibility` seconds; waits `wait` seconds for one."""

        def receive() -> Any:
            return self.client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=MAX_ENTRIES,
                WaitTimeSeconds=wait,
                VisibilityTimeout=visibility,
            )

        return entries_of(aws.call(self.retry, self.name, receive, self.unavailable), "Messages")

    def hide(self, handles: Sequence[str], visibility: int, retry: RetryPolicy | None = None) -> set[str]:
        """Keep up to ten messages hidden for another `visibility` seconds; returns the handles that this failed for."""
        entries: list[Any] = [
            {"Id": str(at), "ReceiptHandle": handle, "VisibilityTimeout": visibility}
            for at, handle in enumerate(handles)
        ]

        def change() -> set[str]:
            answer = self.client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)
            done = {str(entry.get("Id")) for entry in entries_of(answer, "Successful")}
            return {handle for at, handle in enumerate(handles) if str(at) not in done}

        return aws.call(retry or self.retry, self.name, change, self.unavailable)

    def delete(self, entries: list[Any]) -> dict[str, Any]:
        """One try to delete, within `aws.client.call`: what failed, by the entries' ids."""
        answer = self.client.delete_message_batch(QueueUrl=self.url, Entries=entries)
        failed = {str(entry.get("Id")): entry for entry in entries_of(answer, "Failed")}
        done = {str(entry.get("Id")) for entry in entries_of(answer, "Successful")}
        unsaid: dict[str, Any] = {
            entry["Id"]: {} for entry in entries if entry["Id"] not in done and entry["Id"] not in failed
        }
        return {**unsaid, **failed}

    def counts(self) -> tuple[int, int]:
        """How many messages wait, and how many are in somebody's hand, by SQS's own count, which lags behind."""
        names: list[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def ask() -> tuple[int, int]:
            answer = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
            numbers = aws.field(answer, "Attributes")
            return aws.number(numbers, names[0]), aws.number(numbers, names[1], 0)

        return aws.call(self.retry, self.name, ask, self.unavailable)

    def _forget(self, queue: Description) -> None:
        with self._lock:
            if self._open == queue:
                self._open = None

    def _get_or_create(self) -> Description:
        found = self._get()
        if found is not None:
            return found
        attributes: dict[Any, str] = {"MessageRetentionPeriod": str(_RETENTION)}
        if self.fifo:
            attributes["FifoQueue"] = "true"
        created = self.client.create_queue(QueueName=self.queue, Attributes=attributes)
        return self._describe(aws.field(created, "QueueUrl"))

    def _get(self) -> Description | None:
        from botocore.exceptions import ClientError

        try:
            url = aws.field(self.client.get_queue_url(QueueName=self.queue), "QueueUrl")
        except ClientError as error:
            if aws.error_code(error) not in GONE:
                raise
            return None
        return self._describe(url)

    def _describe(self, url: str) -> Description:
        names: list[Any] = ["CreatedTimestamp", "MaximumMessageSize"]
        answer = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        attributes = aws.field(answer, "Attributes")
        limit = aws.number(attributes, "MaximumMessageSize", MAX_REQUEST_BYTES)
        return Description(url, str(attributes.get("CreatedTimestamp", "")), min(limit, MAX_REQUEST_BYTES))


def entries_of(answer: Any, name: str) -> list[Any]:
    """The entries that an answer has under `name`, without what is none: it may be torn, or somebody else's."""
    return [entry for entry in answer.get(name, ()) if isinstance(entry, dict)]


def tens(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """In groups of as many as a request takes."""
    for start in range(0, len(items), MAX_ENTRIES):
        yield items[start : start + MAX_ENTRIES]
