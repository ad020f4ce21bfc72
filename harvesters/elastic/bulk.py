"""Bulk requests: what is sent again, what is refused for good, and what ends the run. Everything that writes uses it.

A bulk request answers 200 and refuses single actions inside: those with 429, 503 or a block alone are sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from harvesters.elastic.answers import Answer
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused, error_type, field_of, is_block, reason
from harvesters.errors import ConfigError, CredentialsRefused, SinkUnavailable
from harvesters.retry import Transient

if TYPE_CHECKING:
    from harvesters.elastic.asyncclient import AsyncSearchClient

_ANSWER = {"filter_path": "errors,items.*.status,items.*.error"}  # half of a bulk's answer is of no interest
_WITH_RESULTS = {"filter_path": "errors,items.*.status,items.*.error,items.*.result"}
# Refused with 400 for what the cluster is, not for what the document says: another try may work.
_CLUSTER_STATE = {"validation_exception", "index_closed_exception"}
_TRIES = 10  # of a merge that somebody else's write comes between


class IndexMissing(ConfigError):
    """The cluster said twice that there is no such index, and made none by itself."""


@dataclass(frozen=True)
class ItemRefusal:
    """An action that never can be done as things are.

    Attributes:
        status: 413 where it is too large for the cluster, else its own.
        kind: type of the error.
        reason: the server's own words.
        field: of the document, with dots, where the server names one.
    """

    status: int
    kind: str
    reason: str
    field: str = ""


@dataclass(frozen=True)
class Version:
    """One version of a document, by which others than it are left alone."""

    seq_no: int
    primary_term: int

    @property
    def conditions(self) -> dict[str, int]:
        """What an action says to concern this version only."""
        return {"if_seq_no": self.seq_no, "if_primary_term": self.primary_term}


@lru_cache(1000)
def _head(operation: str, index: str) -> bytes:
    """An action's line as far as its id."""
    return b'{"%b":{"_index":%b,"_id":' % (operation.encode(), orjson.dumps(index))


def write(index: str, id: str, body: bytes, operation: str = "index") -> bytes:
    """The lines that index (or ``create``) a document; the body is JSON on one line."""
    return b"%b%b}}\n%b\n" % (_head(operation, index), orjson.dumps(id), body)


def replace(index: str, id: str, body: bytes, version: Version) -> bytes:
    """The lines that index a document in the place of `version` only; else it is 409."""
    action = {"index": {"_index": index, "_id": id, **version.conditions}}
    return b"%b\n%b\n" % (orjson.dumps(action), body)


def update(index: str, id: str, body: bytes, version: Version) -> bytes:
    """The lines that merge fields into `version` of a document only; else it is 409."""
    action = {"update": {"_index": index, "_id": id, **version.conditions}}
    return b'%b\n{"doc":%b}\n' % (orjson.dumps(action), body)


def merge(index: str, id: str, body: bytes) -> bytes:
    """The lines that merge fields into a document that is there, as it is then; else it is 404."""
    return b'%b%b,"retry_on_conflict":%d}}\n{"doc":%b}\n' % (_head("update", index), orjson.dumps(id), _TRIES, body)


def delete(index: str, id: str, **conditions: Any) -> bytes:
    """The line that deletes a document, such as only ``if_seq_no``."""
    return orjson.dumps({"delete": {"_index": index, "_id": id, **conditions}}) + b"\n"


def deliver(
    client: SearchClient,
    actions: Sequence[bytes],
    *,
    params: Mapping[str, Any] | None = None,
    settled: Collection[int] = (),
    before: Callable[[], None] = lambda: None,
    results: dict[int, str] | None = None,
) -> dict[int, ItemRefusal]:
    """Do all of `actions`; returns the refused ones by their place.

    Args:
        settled: statuses beyond 2xx that say that there is nothing to do, such as 404 of a deletion.
        results: gets by their place what became of the others, such as ``updated`` or ``noop``; the status as text
            of those that are settled.
        before: called before each request, those that are sent again too; what it raises ends the delivery.

    Raises:
        SinkUnavailable: the cluster went on refusing, or not answering, for longer than the retry budget.
        RateLimited: the same, and it is a rate limit.
        IndexMissing: there is no index, and it makes none.
        CredentialsRefused, ConfigError, ProtocolError: it will not take anything from us as things are.
    """
    delivery = _Delivery(client.name, actions, settled, results=results)
    asked = {**(_ANSWER if results is None else _WITH_RESULTS), **(params or {})}
    for part in delivery.parts():

        def ask(part: _Part = part) -> None:
            before()
            part.hear(client.attempt("POST", "/_bulk", part.body, params=asked, lines=True))

        with part.halved_if_refused():
            client.retry.call(ask, client.name, SinkUnavailable)
    return delivery.refused


async def deliver_in_loop(
    client: AsyncSearchClient, actions: Sequence[bytes], told: Callable[[int], None], refused: dict[int, ItemRefusal]
) -> None:
    """As `deliver`, in an event loop.

    Args:
        told: called with the number of actions that were done, as soon as they are.
        refused: gets the refused ones by their place, also where the delivery is given up.
    """
    delivery = _Delivery(client.name, actions, told=told)
    delivery.refused = refused
    for part in delivery.parts():
        await client.sleep(0)  # which raises where no request is to begin any more

        async def ask(part: _Part = part) -> None:
            part.hear(await client.attempt("POST", "/_bulk", part.body, params=_ANSWER, lines=True))

        with part.halved_if_refused():
            await client.retry.call_in_loop(ask, client.sleep, client.name, SinkUnavailable)


class _Delivery:
    """What is still to be sent, by parts, and what was refused."""

    def __init__(
        self,
        client: str,
        actions: Sequence[bytes],
        settled: Collection[int] = (),
        told: Callable[[int], None] = lambda done: None,
        results: dict[int, str] | None = None,
    ) -> None:
        self.client, self.settled, self.told, self.results = client, settled, told, results
        self.refused: dict[int, ItemRefusal] = {}
        self.left = [_Part(self, list(enumerate(actions)))]

    def parts(self) -> Iterator[_Part]:
        """Each part, until there is none left: one may make others of itself."""
        while self.left:
            yield self.left.pop(0)


@dataclass
class _Part:
    """Actions that are sent as one request, until each is done or refused."""

    delivery: _Delivery
    waiting: list[tuple[int, bytes]]
    missing: bool = False

    def __post_init__(self) -> None:
        self._size = len(self.waiting)

    @property
    def body(self) -> bytes:
        """What is to be sent."""
        return b"".join([line for _, line in self.waiting])

    def hear(self, answer: Answer) -> None:
        """Note what is done and what is refused; raises `Transient` where something is to be sent again."""
        before = len(self.waiting)
        why = self._sort(answer.body)
        if self.waiting:
            limited = all(status == 429 and kind != "cluster_block_exception" for status, kind in why)
            busy = ", ".join(sorted(f"{status} {kind or 'without a reason'}" for status, kind in why))
            counts = f"{len(self.waiting)} of {self._size}"
            done = len(self.waiting) < before
            raise Transient(f"{counts} documents were not taken ({busy})", limited=limited, progress=done)

    @contextmanager
    def halved_if_refused(self) -> Iterator[None]:
        """A request may be too large, or one of its actions spoil it: it is halved until it is clear which."""
        try:
            yield
        except Refused as error:
            if error.status not in (400, 413):
                raise
            half = len(self.waiting) // 2
            if half:
                halves = self.waiting[:half], self.waiting[half:]
                self.delivery.left[:0] = [_Part(self.delivery, each) for each in halves]
            else:
                refusal = ItemRefusal(error.status, error_type(error.body), error.reason)
                self.delivery.refused[self.waiting[0][0]] = refusal

    def _sort(self, body: Any) -> set[tuple[int, str]]:
        """Leave in `waiting` what is to be sent again, and return why."""
        actions = self.waiting
        items = body.get("items") if isinstance(body, dict) else None
        items = items if isinstance(items, list) else []
        if len(items) != len(actions):
            raise Transient(f"answered for {len(items)} of {len(actions)} documents")
        results = self.delivery.results
        if body.get("errors") is False and not self.delivery.settled and results is None:
            self.waiting = []
            self.delivery.told(len(actions))
            return set()
        again: list[tuple[int, bytes]] = []
        why: set[tuple[int, str]] = set()
        done, missing = 0, self.missing
        try:
            for action, item in zip(actions, items, strict=True):
                status, result = _result(item)
                error = result.get("error")
                if 200 <= status < 300 or status in self.delivery.settled:
                    done += 1
                    if results is not None:
                        results[action[0]] = str(result["result"]) if status < 300 else str(status)
                elif self._is_to_be_sent_again(status, error, missing):
                    again.append(action)
                    why.add((status, error_type(error)))
                else:
                    refusal = ItemRefusal(status, error_type(error), reason(error), field_of(error))
                    self.delivery.refused[action[0]] = refusal
        finally:
            self.delivery.told(done)
        self.waiting = again
        return why

    def _is_to_be_sent_again(self, status: int, error: Any, missing: bool) -> bool:
        """`missing`: an earlier answer said that there is no index."""
        client = self.delivery.client
        if may_pass(status, error):
            return True
        if status in (401, 403):
            raise CredentialsRefused(f"{client} refused a document: {reason(error)}. Check the rights of ES_*.")
        if status != 404:
            return False
        if missing:
            raise IndexMissing(f"{client} makes no index by itself: {reason(error)} (action.auto_create_index)")
        self.missing = True  # it was removed that moment, as by prune; another try makes it anew
        return True


def _result(item: Any) -> tuple[int, Mapping[str, Any]]:
    """The status of an action, and what else is said of it; 502 where that makes no sense, so that it is sent again."""
    try:
        (result,) = item.values()
        return int(result["status"]), result
    except (AttributeError, LookupError, TypeError, ValueError):
        return 502, {"error": {"type": "an item that makes no sense"}}


def may_pass(status: int, error: Any) -> bool:
    """Whether what was refused so may be taken later, as it is."""
    return status == 429 or status >= 500 or is_block(error) or error_type(error) in _CLUSTER_STATE
