"""An SQS queue: batches of ten, several in flight, failed entries retried alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from harvesters import aws
from harvesters.document import Document, Outcome
from harvesters.errors import SinkUnavailable
from harvesters.retry import RetryPolicy, Transient
from harvesters.sinks.base import encodable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_ENTRIES = 10
MAX_REQUEST_BYTES = 1024 * 1024  # of all bodies of a request, and of one message at most (since 2025; 256 KiB before)
_RETENTION = 14 * 86_400  # the longest SQS offers: a consumer may be down over the holidays

_NO_GROUP = re.compile(r"[^!-~]")  # what SQS does not take in the id of a group

# The request is refused for what is in it: another try is refused as well, a part of it may not be.
_TOO_MUCH = {"BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue", "InvalidAttributeValue"}
_GONE = {"QueueDoesNotExist", "NonExistentQueue"}


@dataclass(frozen=True)
class _Queue:
    """A queue as SQS describes it: `created` in epoch seconds, `max_bytes` of one message."""

    url: str
    created: str
    max_bytes: int


class SqsSink:
    """Sends each document's JSON as a message body, as consumers expect it.

    Args:
        queue: the queue's name, created if missing; one that ends in ``.fifo`` gets group and deduplication ids.
        retry: for whole requests and for failed entries alike.
        in_flight: requests under way at once.
    """

    durable = True

    def __init__(self, queue: str, retry: RetryPolicy, in_flight: int = 16) -> None:
        self.queue = queue
        self.retry = retry
        self.in_flight = in_flight
        self._lock = Lock()
        self._open: _Queue | None = None

    @property
    def name(self) -> str:
        """``sqs://queue``."""
        return f"sqs://{self.queue}"

    @property
    def url(self) -> str:
        """The queue's URL; it is created if missing."""
        return self._queue().url

    @property
    def fifo(self) -> bool:
        """True for a FIFO queue."""
        return self.queue.endswith(".fifo")

    @cached_property
    def _client(self) -> SQSClient:
        return aws.client("sqs", self.in_flight)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.in_flight, "sqs")

    @property
    def address(self) -> str:
        """``sqs`` and the queue's URL."""
        return f"sqs {self.url}"

    def identity(self) -> tuple[str, bool]:
        """The queue's URL and when it was made: a queue made anew has forgotten everything."""
        queue = self._queue()
        return f"{queue.url}#{queue.created}", False

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Deliver; a message that can never fit, or that SQS refuses for its content, is dead."""
        good, outcomes = encodable(documents)
        if not good:
            return outcomes
        limit = self._queue().max_bytes
        fitting: list[Document] = []
        for document in good:
            size = len(document.encoded)
            if size <= limit:
                fitting.append(document)
            else:
                outcomes.append(Outcome(document, f"its {size} bytes are more than the {limit} that {self.name} takes"))
        for batch_outcomes in self._pool.map(self._send_batch, batches(fitting)):
            outcomes.extend(batch_outcomes)
        return outcomes

    def finish(self) -> None:
        """Everything is acknowledged already."""

    def close(self) -> None:
        """Drop the connections and what waits to be sent."""
        if "_pool" in self.__dict__:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _send_batch(self, documents: Sequence[Document]) -> list[Outcome]:
        waiting = {str(number): document for number, document in enumerate(documents)}
        outcomes: list[Outcome] = []

        def send() -> None:
            entries = [self._entry(number, document) for number, document in waiting.items()]
            answer = self._request(entries)
            if answer is None:
                outcomes.extend(self._apart(list(waiting.values())))
                waiting.clear()
                return
            for entry in answer.get("Successful", []):
                outcomes.append(Outcome(waiting.pop(entry["Id"])))
            for entry in answer.get("Failed", []):
                if entry.get("SenderFault"):
                    reason = f"{self.name} refused it: {entry.get('Code')}: {entry.get('Message', '')}".rstrip(": ")
                    outcomes.append(Outcome(waiting.pop(entry["Id"]), reason))
            if waiting:
                codes = ", ".join(sorted({entry.get("Code", "?") for entry in answer.get("Failed", [])}))
                raise Transient(f"{len(waiting)} of {len(entries)} messages were not taken ({codes or 'no reason'})")

        aws.call(self.retry, self.name, send, SinkUnavailable)
        return outcomes

    def _request(self, entries: list[Any]) -> Any:
        """SQS's answer; None when it refuses the request for what is in it."""
        from botocore.exceptions import ClientError

        queue = self._queue()
        try:
            return self._client.send_message_batch(QueueUrl=queue.url, Entries=entries)
        except ClientError as error:
            code = aws.error_code(error)
            if code in _GONE:
                self._forget(queue)
                raise Transient("the queue has vanished; it will be made again") from error
            if code not in _TOO_MUCH:
                raise
            if len(entries) > 1:
                return None
            message = error.response.get("Error", {}).get("Message", "")
            failed = {"Id": entries[0]["Id"], "SenderFault": True, "Code": code, "Message": message}
            return {"Failed": [failed]}

    def _apart(self, documents: list[Document]) -> list[Outcome]:
        half = len(documents) // 2
        return self._send_batch(documents[:half]) + self._send_batch(documents[half:])

    def _entry(self, number: str, document: Document) -> dict[str, str]:
        entry = {"Id": number, "MessageBody": document.encoded.decode()}
        if self.fifo:
            # SQS drops a second message of one deduplication id for five minutes: a row that has changed under its
            # id has to come with another.
            version = f"-{document.revision}" if document.revision else ""
            entry["MessageDeduplicationId"] = f"{document.id}{version}"
            entry["MessageGroupId"] = _NO_GROUP.sub("_", document.group or document.kind)[:128]
        return entry

    def _queue(self) -> _Queue:
        with self._lock:
            if self._open is None:
                self._open = aws.call(self.retry, self.name, self._get_or_create, SinkUnavailable)
            return self._open

    def _forget(self, queue: _Queue) -> None:
        with self._lock:
            if self._open == queue:
                self._open = None

    def _get_or_create(self) -> _Queue:
        from botocore.exceptions import ClientError

        try:
            url = self._client.get_queue_url(QueueName=self.queue)["QueueUrl"]
        except ClientError as error:
            if aws.error_code(error) not in _GONE:
                raise
            attributes: dict[Any, str] = {"MessageRetentionPeriod": str(_RETENTION)}
            if self.fifo:
                attributes["FifoQueue"] = "true"
            url = self._client.create_queue(QueueName=self.queue, Attributes=attributes)["QueueUrl"]
        names: list[Any] = ["CreatedTimestamp", "MaximumMessageSize"]
        found: dict[Any, str] = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        limit = int(found.get("MaximumMessageSize") or MAX_REQUEST_BYTES)
        return _Queue(url, found.get("CreatedTimestamp", ""), min(limit, MAX_REQUEST_BYTES))


def batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents in groups of at most ten and at most `MAX_REQUEST_BYTES` of bodies."""
    group: list[Document] = []
    size = 0
    for document in documents:
        length = len(document.encoded)
        if group and (len(group) == MAX_ENTRIES or size + length > MAX_REQUEST_BYTES):
            yield group
            group, size = [], 0
        group.append(document)
        size += length
    if group:
        yield group
