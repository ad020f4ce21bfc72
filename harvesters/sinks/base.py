"""The contract of every sink; `tests/conformance/` runs the same tests over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from harvesters.document import Document, Outcome
from harvesters.errors import ConfigError


class Sink(Protocol):
    """Takes documents and says of each what became of it."""

    @property
    def name(self) -> str:
        """Where documents go, for people."""

    @property
    def address(self) -> str:
        """What the output is, whoever made it and however often: its kind and name, such as ``file /var/a.jsonl``.

        A checkpoint belongs to one. `identity` tells a queue made anew from the old one; this does not.
        """

    @property
    def durable(self) -> bool:
        """True when `send` returns only after the other side has the documents for good.

        A pipe is not durable: what its reader has not read yet may vanish, so a run into one commits at its end only.
        """

    def identity(self) -> tuple[str, bool]:
        """What makes this output the same as in an earlier run, and whether it is certainly empty now."""

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Deliver documents and return one outcome each, in any order.

        Retries by itself what can be retried.

        Raises:
            SinkUnavailable: it gave up on documents that it might accept later.
            ReaderGone: nobody reads the output any more.
        """

    def finish(self) -> None:
        """Called once after the last `send` of a good run: what can still go wrong must go wrong here."""

    def close(self) -> None:
        """Let go of connections; called at the end of every run."""


class IndexMisfit(ConfigError):
    """An index refuses documents for what it is; `outcomes` are those of the documents that it was noticed by."""

    def __init__(self, message: str, outcomes: list[Outcome]) -> None:
        super().__init__(message)
        self.outcomes = outcomes


@runtime_checkable
class Asking(Protocol):
    """A sink whose `send` makes several requests, so that a process may be frozen between two of them.

    Attributes:
        may_send: called before each with what it is to send, and before each that is sent again; raises when that must
            not be sent any more.
    """

    may_send: Callable[[Sequence[Document]], None]


@runtime_checkable
class Made(Protocol):
    """A sink whose place is made when it is first asked for, as a queue is."""

    def exists(self) -> bool:
        """Whether it is there; it is not made."""


def always(documents: Sequence[Document]) -> None:
    """The `may_send` of a sink that nobody else writes to."""


def ask_first(sink: Any, may_send: Callable[[Sequence[Document]], None]) -> None:
    """Have `sink`, or the one that it wraps, call `may_send` before each request."""
    while sink is not None:
        if isinstance(sink, Asking):
            sink.may_send = may_send
        sink = getattr(sink, "sink", None)


def encodable(documents: Iterable[Document]) -> tuple[list[Document], list[Outcome]]:
    """Those documents that can be written as JSON, and the outcomes of those that cannot."""
    good: list[Document] = []
    dead: list[Outcome] = []
    for document in documents:
        try:
            _ = document.encoded
        except TypeError as error:
            dead.append(not_json(document, error))
        else:
            good.append(document)
    return good, dead


def not_json(document: Document, error: TypeError) -> Outcome:
    """The outcome of a document whose encoding raised `error`."""
    return Outcome(document, f"cannot be written as JSON: {error}")
