"""Bulk requests: what is sent again, what is refused for good, and what ends the run. Everything that writes uses it.

A bulk request answers 200 and refuses single actions inside: those with 429, 503 or a block alone are sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused, error_type, field_of, is_block, reason
from harvesters.errors import ConfigError, CredentialsRefused, SinkUnavailable
from harvesters.retry import Transient

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
    asked = _ANSWER if results is None else _WITH_RESULTS
    sending = _Sending(client, {**asked, **(params or {})}, settled, before, results)
    sending.send(list(enumerate(actions)))
    return sending.refused


@dataclass
class _Sending:
    client: SearchClient
    params: Mapping[str, Any]
    settled: Collection[int]
    before: Callable[[], None]
    results: dict[int, str] | None = None
    refused: dict[int, ItemRefusal] = field(default_factory=dict)

    def send(self, actions: list[tuple[int, bytes]]) -> None:
        """Send until every action is done or refused."""
        waiting, missing = actions, False

        def send() -> None:
            nonlocal waiting, missing
            body = b"".join([line for _, line in waiting])
            self.before()
            answer = self.client.attempt("POST", "/_bulk", body, params=self.params, lines=True).body
            waiting, why, gone = self._sort(waiting, answer, missing)
            missing = missing or gone
            if waiting:
                limited = all(status == 429 and kind != "cluster_block_exception" for status, kind in why)
                busy = ", ".join(sorted(f"{status} {kind or 'without a reason'}" for status, kind in why))
                counts = f"{len(waiting)} of {len(actions)}"
                raise Transient(f"{counts} documents were not taken ({busy})", limited=limited)

        try:
            self.client.retry.call(send, self.client.name, SinkUnavailable)
        except Refused as error:
            if error.status not in (400, 413):
                raise
            self._apart(waiting, error)

    def _apart(self, actions: list[tuple[int, bytes]], error: Refused) -> None:
        """The request is too large, or one of its actions spoils it: halve it until it is clear which."""
        half = len(actions) // 2
        if half:
            self.send(actions[:half])
            self.send(actions[half:])
            return
        self.refused[actions[0][0]] = ItemRefusal(error.status, error_type(error.body), error.reason)

    def _sort(
        self, actions: list[tuple[int, bytes]], body: Any, missing: bool
    ) -> tuple[list[tuple[int, bytes]], set[tuple[int, str]], bool]:
        """Note what is refused; returns what is to be sent again, why, and whether an index was missing."""
        items = body.get("items", []) if isinstance(body, dict) else []
        if len(items) != len(actions):
            raise Transient(f"answered for {len(items)} of {len(actions)} documents")
        if body.get("errors") is False and not self.settled and self.results is None:
            return [], set(), False
        again: list[tuple[int, bytes]] = []
        why: set[tuple[int, str]] = set()
        gone = False
        for action, item in zip(actions, items, strict=True):
            result = next(iter(item.values()))
            status, error = int(result["status"]), result.get("error")
            if 200 <= status < 300 or status in self.settled:
                if self.results is not None:
                    self.results[action[0]] = str(result["result"]) if status < 300 else str(status)
                continue
            if _may_pass(status, error):
                again.append(action)
                why.add((status, error_type(error)))
            elif status in (401, 403):
                raise CredentialsRefused(
                    f"{self.client.name} refused a document: {reason(error)}. Check the rights of ES_*."
                )
            elif status == 404:  # the index was removed that moment, as by prune; another try makes it anew
                if missing:
                    raise IndexMissing(
                        f"{self.client.name} makes no index by itself: {reason(error)} (action.auto_create_index)"
                    )
                gone = True
                again.append(action)
                why.add((status, error_type(error)))
            else:
                self.refused[action[0]] = ItemRefusal(status, error_type(error), reason(error), field_of(error))
        return again, why, gone


def _may_pass(status: int, error: Any) -> bool:
    return status == 429 or status >= 500 or is_block(error) or error_type(error) in _CLUSTER_STATE
