"""Listings and page views on their way to Kafka: one by one, or the lines of a file."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from harvesters.clock import SystemClock
from harvesters.errors import BadInput, HarvestError, Interrupted, SinkUnavailable
from harvesters.kafka import producer
from harvesters.kafka.producer import Producer
from harvesters.kafka.sent import Sent
from harvesters.listings.lines import Line
from harvesters.listings.message import id_text, parse_listing
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings
from harvesters.telemetry import per_second

log = logging.getLogger(__name__)

_NAMED = 100  # lines that are left out and named


@dataclass
class Sender:
    """Sends to ``LISTINGS_TOPIC`` and ``VIEWS_TOPIC``; safe to use from any thread, and in a fork."""

    settings: Settings
    retry: RetryPolicy

    @classmethod
    def of(cls, settings: Settings) -> Sender:
        """A sender with the real clock."""
        return cls(settings, RetryPolicy(SystemClock(), settings.number("HARVEST_RETRY_BUDGET")))

    def close(self) -> None:
        """Let go of the producer of this process; what is under way is dropped."""
        producer.close(0.0)

    @property
    def listings(self) -> str:
        """The topic of the listings."""
        return self.settings.require("LISTINGS_TOPIC")

    @property
    def views(self) -> str:
        """The topic of the page views."""
        return self.settings.require("VIEWS_TOPIC")

    @property
    def producer(self) -> Producer:
        """The producer of this process."""
        return producer.of_process(self.settings, self.retry)

    def listing(self, listing: dict[str, Any], timeout: float | None = None) -> Sent:
        """As `harvesters.listings.send_listing`, which waits `timeout` seconds at most where that is given."""
        return self.encoded(_json(listing), timeout)

    def encoded(self, value: bytes, timeout: float | None = None) -> Sent:
        """As `listing`, of a JSON text."""
        id = parse_listing(value).id
        return self.producer.send(self.listings, id, value, timeout)

    def view(self, user_id: int | str, item_id: int | str, timeout: float | None = None) -> Sent:
        """As `harvesters.listings.send_view`."""
        key, value = view_message(user_id, item_id)
        return self.producer.send(self.views, key, value, timeout)

    def view_soon(self, user_id: int | str, item_id: int | str, told: Callable[[Sent | HarvestError], None]) -> None:
        """Send a page view, and do not wait; `told` is called from another thread with what became of it.

        It waits all the same for the topic the first time, and while too much is under way already.
        """
        key, value = view_message(user_id, item_id)
        self.producer.produce(self.views, key, value, told)


def view_message(user_id: int | str, item_id: int | str) -> tuple[str, bytes]:
    """Key and value of a page view.

    Raises:
        BadInput: an id is none.
    """
    for name, id in (("user_id", user_id), ("item_id", item_id)):
        if isinstance(id, bool) or not isinstance(id, int | str):
            raise BadInput(f"{name} is {id!r:.60}, which is no integer and no text")
    key = id_text(item_id, "item_id")
    id_text(user_id, "user_id")
    return key, _json({"user_id": user_id, "item_id": item_id})


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"it cannot be written as JSON: {error}") from error


_sender: Sender | None = None


def of_process() -> Sender:
    """The sender of this process, with the settings as they were when it was first asked for.

    Without a lock, which a fork might find taken for ever: of two that are made at once either will do.
    """
    global _sender
    if _sender is None:
        _sender = Sender.of(Settings.read())
    return _sender


@dataclass
class SendLines:
    """The job of `listings send`: every line of an input, in order."""

    sender: Sender
    lines: Iterable[Line]
    stop: threading.Event
    command: str = "listings send"
    sent: int = 0
    bad: int = 0
    lost: int = 0
    read: int = 0
    _failure: HarvestError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self) -> None:
        """Send them; a line that is no listing, or too large, is named and left out.

        Raises:
            BadInput: some were left out; the others are acknowledged.
            SinkUnavailable: some were not acknowledged.
            Interrupted: told to stop; the rest was not read.
        """
        producer = self.sender.producer
        for line in self.lines:
            if self.stop.is_set() or self._failure is not None:
                break
            self.read += 1
            if line.refusal:
                self._leave_out(line.number, line.refusal)
                continue
            try:
                producer.produce(self.sender.listings, line.key, line.value, self._answer_for(line.number))
            except SinkUnavailable as error:
                self._failure = error
        producer.flush(self.sender.retry.budget + 5.0)
        producer.check()
        missing = self.read - self.sent - self.bad
        if missing:
            why = f": {self._failure}" if self._failure is not None else ""
            raise SinkUnavailable(
                f"{missing} of {self.read} lines were not acknowledged, and what follows was not read{why}. Sending "
                "the file again is harmless."
            )
        if self.stop.is_set():
            raise Interrupted(f"told to stop: the first {self.read} lines are sent; run the same command again")
        if self.bad:
            raise BadInput(f"{self.bad} of {self.read} lines were left out, see above; the others are sent")

    def fields(self, seconds: float) -> dict[str, Any]:
        return {
            "lines": self.read,
            "sent": self.sent,
            "bad": self.bad,
            "messages_per_second": per_second(self.sent, seconds),
        }

    def _answer_for(self, number: int) -> Callable[[Sent | HarvestError], None]:
        def told(answer: Sent | HarvestError) -> None:
            if isinstance(answer, Sent):
                with self._lock:
                    self.sent += 1
            elif isinstance(answer, BadInput):
                self._leave_out(number, str(answer))
            else:
                self._failure = answer

        return told

    def _leave_out(self, number: int, reason: str) -> None:
        with self._lock:
            self.bad += 1
            if self.bad <= _NAMED:
                log.error("line %d is left out: %s", number, reason)
            elif self.bad == _NAMED + 1:
                log.error("more lines are left out, and not named")
