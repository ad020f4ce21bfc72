"""An SQS whose answers a test scripts, and a FIFO queue that forgets as SQS does."""

# ruff: noqa: N803 - the names of boto3's arguments

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
from botocore.exceptions import ClientError

from harvesters.sinks.sqs import SqsSink
from tests.clocks import FakeClock, patient

Answer = dict[str, Any]


class FakeSqs:
    """A client whose answers to `send_message_batch` a test scripts; it keeps what it was asked."""

    def __init__(self, *answers: Callable[[list[Any]], Answer]) -> None:
        self.answers = list(answers)
        self.requests: list[list[str]] = []
        self.created: list[str] = []

    def get_queue_url(self, QueueName: str) -> Answer:
        return {"QueueUrl": f"http://sqs/{QueueName}"}

    def create_queue(self, QueueName: str, Attributes: Answer) -> Answer:
        self.created.append(QueueName)
        return self.get_queue_url(QueueName)

    def get_queue_attributes(self, **_: Any) -> Answer:
        return {"Attributes": {"CreatedTimestamp": "1", "MaximumMessageSize": "262144"}}

    def close(self) -> None: ...

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Answer:
        self.requests.append([orjson.loads(entry["MessageBody"])["action_id"] for entry in Entries])
        return self.answers.pop(0)(Entries) if self.answers else taken(Entries)


def taken(entries: list[Any], *failed: Answer) -> Answer:
    """All taken but the failed ones."""
    names = {entry["Id"] for entry in failed}
    return {"Successful": [{"Id": entry["Id"]} for entry in entries if entry["Id"] not in names], "Failed": [*failed]}


def throttled(*positions: int) -> Callable[[list[Any]], Answer]:
    def answer(entries: list[Any]) -> Answer:
        codes = {"SenderFault": False, "Code": "InternalError"}
        return taken(entries, *({"Id": entries[at]["Id"], **codes} for at in positions))

    return answer


def refused(code: str, status: int = 400) -> Callable[[list[Any]], Answer]:
    def answer(entries: list[Any]) -> Answer:
        error = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(error, "SendMessageBatch")  # type: ignore[arg-type]

    return answer


def sink_of(client: Any, clock: FakeClock | None = None, budget: float = 120) -> SqsSink:
    sink = SqsSink("queue", patient(clock, budget), in_flight=1)
    sink.queue.__dict__["client"] = client
    return sink


class FifoSqs(FakeSqs):
    """A FIFO queue that drops duplicates for five minutes, as SQS does, and takes its time over each request.

    `failing`: how often an entry is failed that could be taken, of each request's first one.
    """

    def __init__(self, clock: FakeClock, failing: int = 0) -> None:
        super().__init__()
        self.clock = clock
        self.failing = failing
        self.messages: list[Answer] = []
        self.under_way: Counter[str] = Counter()
        self.most_at_once = 0
        self.overlaps: list[str] = []
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Answer:
        groups = {entry["MessageGroupId"] for entry in Entries}
        with self._lock:
            self.overlaps += [group for group in groups if self.under_way[group]]
            self.under_way.update(groups)
            self.most_at_once = max(self.most_at_once, self.under_way.total())
            slow = random.random() / 200
        threading.Event().wait(slow)  # the other side's time, so that requests may overtake one another
        with self._lock:
            failed = []
            for number, entry in enumerate(Entries):
                if number == 0 and self.failing:
                    self.failing -= 1
                    failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
                    continue
                id, now = entry["MessageDeduplicationId"], self.clock.monotonic()
                if now - self._seen.get(id, -300.0) >= 300.0:
                    self._seen[id] = now
                    self.messages.append(entry)
            self.under_way.subtract(groups)
            return taken(Entries, *failed)

    def texts(self, group: str | None = None) -> list[Any]:
        bodies = (
            orjson.loads(each["MessageBody"]) for each in self.messages if group in (None, each["MessageGroupId"])
        )
        return [body["text"] for body in bodies]
