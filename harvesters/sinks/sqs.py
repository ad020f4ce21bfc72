"""An SQS queue: batches of ten, several in flight, failed entries retried alone.

Standard queues take batches in any order. In a FIFO queue the documents of one group go in one lane, in which a request
is sent when the one before is settled; so they arrive in the order in which they came, except that an entry which SQS
fails alone comes after the rest of its request.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import cached_property
from typing import Any

from harvesters.aws import client as aws
from harvesters.aws.sqs import MAX_ENTRIES, MAX_REQUEST_BYTES, Queue, entries_of
from harvesters.canonical import digest
from harvesters.document import Document, Outcome
from harvesters.errors import SinkUnavailable
from harvesters.retry import RetryPolicy, Transient
from harvesters.sinks.base import always, encodable
from harvesters.stores.versions import DocumentVersion, Versions

_NO_GROUP = re.compile(r"[^!-~]")  # what SQS does not take in the id of a group
_ID = re.compile(r"[!-~]{1,128}")  # what it takes as a deduplication id
_ROOM = 40  # characters of one for the version

Batch = list[Document]


class SqsSink:
    """Sends each document's JSON as a message body, as consumers expect it.

    Args:
        queue: the queue's name, created if missing; one that ends in ``.fifo`` gets group and deduplication ids.
        retry: for whole requests and for failed entries alike.
        in_flight: requests under way at once.
        versions: what a FIFO queue was sent lately; without it, only this sink's own sending counts.
    """

    durable = True

    def __init__(self, queue: str, retry: RetryPolicy, in_flight: int = 16, versions: Versions | None = None) -> None:
        self.queue = Queue(queue, retry, in_flight, SinkUnavailable)
        self.retry = retry
        self.in_flight = in_flight
        self.may_send: Callable[[Sequence[Document]], None] = always
        self.versions = versions if versions is not None else Versions(queue, retry.clock)

    @property
    def name(self) -> str:
        """``sqs://queue``."""
        return self.queue.name

    @property
    def address(self) -> str:
        """``sqs`` and the queue's URL."""
        return f"sqs {self.queue.url}"

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.in_flight, "sqs")

    def exists(self) -> bool:
        """Whether there is such a queue."""
        return self.queue.find()

    def identity(self) -> tuple[str, bool]:
        """The queue's URL and when it was made: a queue made anew has forgotten everything."""
        queue = self.queue.described()
        return f"{queue.url}#{queue.created}", False

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Deliver; a message that can never fit, or that SQS refuses for its content, is dead.

        When it raises, nothing of `documents` is sent any more.
        """
        good, outcomes = encodable(documents)
        if not good:
            return outcomes
        limit = self.queue.described().max_bytes
        fitting: Batch = []
        for document in good:
            size = len(document.encoded)
            if size <= limit:
                fitting.append(document)
            else:
                outcomes.append(Outcome(document, f"its {size} bytes are more than the {limit} that {self.name} takes"))
        for lane_outcomes in self._send_lanes(_Sending(self, fitting)):
            outcomes.extend(lane_outcomes)
        return outcomes

    def finish(self) -> None:
        """Everything is acknowledged already."""

    def close(self) -> None:
        """Drop the connections and what waits to be sent."""
        if "_pool" in self.__dict__:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self.queue.close()

    def _send_lanes(self, sending: _Sending) -> Iterator[list[Outcome]]:
        futures = [self._pool.submit(sending.lane, batches) for batches in sending.lanes(self.in_flight)]
        try:
            _first_error(futures)
        except Exception:
            # A lane that went on would send behind the back of whoever starts over.
            sending.stop.set()
            wait(futures)
            raise
        except BaseException:
            sending.stop.set()
            raise
        yield from (future.result() for future in futures)


def _first_error(futures: Sequence[Future[Any]]) -> None:
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()


class _Sending:
    """One call of `SqsSink.send`."""

    def __init__(self, sink: SqsSink, documents: Batch) -> None:
        self.queue = sink.queue
        self.retry = sink.retry
        self.may_send = sink.may_send
        self.versions = sink.versions
        self.documents = documents
        self.stop = threading.Event()
        self._ids = self._deduplication_ids(documents) if self.queue.fifo else {}

    def lanes(self, count: int) -> Iterable[Iterable[Batch]]:
        """Batches that may go at the same time as those of other lanes, but only one after the other in theirs."""
        if not self.queue.fifo:
            return ([batch] for batch in batches(self.documents))
        sizes = Counter(_group(document) for document in self.documents)
        lanes: list[Batch] = [[] for _ in range(min(count, len(sizes)))]
        loads = [0] * len(lanes)
        lane_of: dict[str, int] = {}
        for group, size in sizes.most_common():
            lane_of[group] = loads.index(min(loads))
            loads[lane_of[group]] += size
        for document in self.documents:
            lanes[lane_of[_group(document)]].append(document)
        return (batches(lane) for lane in lanes)

    def lane(self, lane: Iterable[Batch]) -> list[Outcome]:
        """Send batches one after the other."""
        outcomes: list[Outcome] = []
        for batch in lane:
            if self.stop.is_set():
                break
            outcomes.extend(self._send_batch(batch))
        return outcomes

    def _send_batch(self, documents: Batch) -> list[Outcome]:
        waiting = {str(number): document for number, document in enumerate(documents)}
        outcomes: list[Outcome] = []

        def send() -> None:
            entries = [self._entry(number, document) for number, document in waiting.items()]
            self.may_send(list(waiting.values()))
            answer = self.queue.send(entries)
            if answer is None:
                outcomes.extend(self._apart(list(waiting.values())))
                waiting.clear()
                return
            dropped = self._settle(answer, waiting, outcomes)
            if waiting:
                codes = sorted({str(entry.get("Code", "?")) for entry in entries_of(answer, "Failed")})
                codes += ["DuplicateOfAnotherVersion"] * bool(dropped)
                raise Transient(
                    f"{len(waiting)} of {len(entries)} messages were not taken ({', '.join(codes) or 'no reason'})"
                )

        aws.call(self.retry, self.queue.name, send, SinkUnavailable)
        return outcomes

    def _settle(self, answer: Any, waiting: dict[str, Document], outcomes: list[Outcome]) -> int:
        """Take out of `waiting` what SQS has decided; an id that it was not asked for, or twice, says nothing.

        Returns how many it took for another version of themselves, which come with another id in the next try.
        """
        dropped = 0
        for entry in entries_of(answer, "Successful"):
            document = waiting.get(str(entry.get("Id")))
            if document is None:
                continue
            if self.queue.fifo and _other_body(entry, document):
                dropped += 1
                document.mutable = True
                self._ids[document] = f"{_allowed(document.id, _ROOM)}-{_version(document).digest}"
                continue
            outcomes.append(Outcome(waiting.pop(str(entry["Id"]))))
        for entry in entries_of(answer, "Failed"):
            if entry.get("SenderFault") and str(entry.get("Id")) in waiting:
                reason = f"{self.queue.name} refused it: {entry.get('Code')}: {entry.get('Message', '')}".rstrip(": ")
                outcomes.append(Outcome(waiting.pop(str(entry["Id"])), reason))
        return dropped

    def _apart(self, documents: Batch) -> list[Outcome]:
        half = len(documents) // 2
        return self._send_batch(documents[:half]) + self._send_batch(documents[half:])

    def _entry(self, number: str, document: Document) -> dict[str, str]:
        entry = {"Id": number, "MessageBody": document.encoded.decode()}
        if self.queue.fifo:
            entry["MessageDeduplicationId"] = self._ids[document]
            entry["MessageGroupId"] = _group(document)
        return entry

    def _deduplication_ids(self, documents: Batch) -> dict[Document, str]:
        """The document's id, and which version of it, where it has or may have several."""
        tags = self.versions.tags([_version(document) for document in documents])
        return {
            document: f"{_allowed(document.id, _ROOM)}-{tag}" if tag else _allowed(document.id)
            for document, tag in zip(documents, tags, strict=True)
        }


def _version(document: Document) -> DocumentVersion:
    return DocumentVersion(document.id, digest(document.encoded).hex(), not document.mutable)


def _group(document: Document) -> str:
    return _NO_GROUP.sub("_", document.group or document.kind)[:128]


def _allowed(id: str, room: int = 0) -> str:
    """`id`, or its hash where SQS would not take it with `room` more characters."""
    if _ID.fullmatch(id) and len(id) + room <= 128:
        return id
    return hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()


def _other_body(entry: Any, document: Document) -> bool:
    """Whether SQS says that the message it has under this id is not the one that was sent."""
    stated = entry.get("MD5OfMessageBody")
    return bool(stated) and stated != hashlib.md5(document.encoded, usedforsecurity=False).hexdigest()


def batches(documents: Iterable[Document]) -> Iterator[Batch]:
    """Documents in groups of at most ten and at most `MAX_REQUEST_BYTES` of bodies."""
    group: Batch = []
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
