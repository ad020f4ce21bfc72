"""Dead letters in an SQS queue. To look at a message is to receive it: what was looked at is given back at the end.

A FIFO queue shows ten messages of a group, and the next when these are gone. So what stays is sent anew, to the end.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from harvesters.aws import client as aws
from harvesters.aws.sqs import Queue, entries_of, tens
from harvesters.errors import HarvestError, SinkUnavailable
from harvesters.files import refusal
from harvesters.operate.letters.box import AT_ONCE, Found
from harvesters.operate.letters.letter import Letter
from harvesters.retry import Transient
from harvesters.settings import Settings
from harvesters.sinks.deadletters import memory
from harvesters.sinks.written import forget
from harvesters.stores.blob import Blob

log = logging.getLogger(__name__)

_WAIT = 1  # second of long polling, which asks all servers of the queue
_EMPTY = 2  # answers without a message after which there are none
_LONGEST = 43_200  # seconds, SQS's own
_SLACK = 60


@dataclass
class SqsBox:
    """The messages of `queue`, which is not made when it is missing."""

    queue: Queue
    settings: Settings
    _held: dict[str, str] = field(default_factory=dict)  # handles by message id
    _ours: set[str] = field(default_factory=set)  # ids of messages that we sent in the place of others
    _since: float = 0.0
    _forgot: bool = False

    @property
    def name(self) -> str:
        """``sqs://queue``."""
        return self.queue.name

    @property
    def lease(self) -> Blob | None:
        """A queue has no place for one."""
        return None

    def count(self) -> int:
        """By SQS's own count, which lags behind; without receiving."""
        return sum(self.queue.counts()) if self.queue.find() else 0

    def hidden(self) -> int:
        """Those of a FIFO queue behind the first ten of their groups."""
        return max(0, self.count() - len(self._held)) if self.queue.fifo else 0

    def portions(self) -> Iterator[MessagePortion]:
        """As they come; each is hidden from others until `close`, or until it is deleted."""
        if not self.queue.find():
            return
        self._since = self._now()
        portion, empty = MessagePortion(self), 0
        while empty < _EMPTY:
            self._stay()
            received = self.queue.receive(_WAIT, self._visibility)
            empty = 0 if received else empty + 1
            for message in received:
                self._add(portion, message)
            if len(portion.letters) >= AT_ONCE or (received and self.queue.fifo):
                yield portion
                portion = MessagePortion(self)
        yield portion

    def close(self) -> None:
        """Show everybody what is left; where that fails they are shown by themselves later."""
        if self._forgot:
            self._forget()  # what came, and went, since
        with suppress(HarvestError):
            for handles in tens([*self._held.values()]):
                self.queue.hide(handles, 0)
        self._held.clear()
        self.queue.close()

    def holds(self, id: str) -> bool:
        """Whether that message is in hand, and not deleted."""
        return id in self._held

    def replace(self, id: str, letter: Letter, line: bytes) -> None:
        """Send `line` and then delete the message: a kill between leaves both, and never none."""
        entry: dict[str, Any] = {"Id": "0", "MessageBody": line.decode()}
        if self.queue.fifo:
            entry |= {"MessageGroupId": str(letter.fields["kind"]), "MessageDeduplicationId": uuid.uuid4().hex}

        def send() -> str:
            answer = self.queue.send([entry]) or {}
            sent = entries_of(answer, "Successful")
            if not sent and not any(one.get("SenderFault") for one in entries_of(answer, "Failed")):
                raise Transient("a letter was not taken back")
            return str(sent[0].get("MessageId", "")) if sent else ""

        new = aws.call(self.queue.retry, self.name, send, SinkUnavailable)
        if not new:
            log.warning("%s does not take letter %s with its new reason, so it stays as it was", self.name, letter.name)
            return
        self._ours.add(new)
        self.delete([id])

    def delete(self, ids: list[str]) -> None:
        """Delete messages; one that is not ours any more stays."""
        if ids and not self._forgot:
            self._forgot = True
            self._forget()
        for group in tens(ids):
            entries = [{"Id": str(at), "ReceiptHandle": self._held[id]} for at, id in enumerate(group)]

            def delete(entries: list[Any] = entries) -> dict[str, Any]:
                failed = self.queue.delete(entries)
                if any(not entry.get("SenderFault") for entry in failed.values()):
                    raise Transient("messages were not deleted")
                return failed

            failed = aws.call(self.queue.retry, self.name, delete, SinkUnavailable)
            for at, id in enumerate(group):
                if str(at) not in failed:
                    del self._held[id]

    def _add(self, portion: MessagePortion, message: Any) -> None:
        id, handle, body = (str(aws.field(message, name)) for name in ("MessageId", "ReceiptHandle", "Body"))
        known, self._held[id] = id in self._held or id in self._ours, handle
        if known:
            return
        letter = Letter.read(body.encode(), self.name, self.settings)
        if letter is None:
            portion.strange.append(f"{self.name}, message {id}")
        else:
            portion.letters.append(letter)
            portion.ids[letter] = id

    def _forget(self) -> None:
        """Harvesters remember what they wrote, and would not write it again."""
        path = memory(self.settings.state_dir())
        try:
            forget(path, self.name)
        except OSError as error:
            raise refusal(
                error, path, "Let this user write it: harvesters remember there which letters are kept."
            ) from error

    def _stay(self) -> None:
        """Keep what is in hand hidden while the rest is looked at."""
        if self._now() - self._since < self._visibility / 3:
            return
        self._since = self._now()
        for handles in tens([*self._held.values()]):
            self.queue.hide(handles, self._visibility)

    @property
    def _visibility(self) -> int:
        """Longer than the delivery of one portion may take."""
        return min(_LONGEST, int(2 * self.queue.retry.budget) + _SLACK)

    def _now(self) -> float:
        return self.queue.retry.clock.monotonic()


class MessagePortion(Found):
    """Some messages."""

    def __init__(self, box: SqsBox) -> None:
        super().__init__()
        self.ids: dict[Letter, str] = {}
        self._box = box

    def settle(self, changes: Mapping[Letter, bytes | None]) -> None:
        """Delete, or send anew and delete."""
        self._box.delete([self.ids[letter] for letter, line in changes.items() if line is None])
        for letter, line in changes.items():
            if line is not None:
                self._box.replace(self.ids[letter], letter, line)

    def pass_by(self) -> None:
        """In a FIFO queue what stays goes to the end."""
        if self._box.queue.fifo:
            for letter in self.letters:
                if self._box.holds(self.ids[letter]):
                    self._box.replace(self.ids[letter], letter, letter.raw)
