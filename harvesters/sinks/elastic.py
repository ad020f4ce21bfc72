"""Elasticsearch: bulk requests from a few threads, each document's outcome its own.

Documents are indexed under their own id, so delivering one twice leaves one. A bulk request answers 200 and refuses
single items inside: those with 429 or 503 alone are sent again, those with 400 are dead with the server's reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import Any

import orjson

from harvesters.document import Document, Outcome
from harvesters.errors import ConfigError, CredentialsRefused, SinkUnavailable
from harvesters.retry import Transient
from harvesters.search.client import Refused, SearchClient, error_type, is_block, reason
from harvesters.sinks.base import encodable

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 5 * 1024 * 1024
MAX_DOCUMENTS = 1000
_FEWEST = 250  # documents that are worth a request of their own
_ANSWER = {"filter_path": "errors,items.*.status,items.*.error"}  # half of a bulk's answer is of no interest
# Refused with 400 for what the cluster is, not for what the document says: another try may work.
_CLUSTER_STATE = {"validation_exception", "index_closed_exception"}


def by_day(document: Document) -> str:
    """``{kind}-YYYY.MM.DD`` of the document's UTC date."""
    return f"{document.kind}-{document.timestamp.astimezone(UTC):%Y.%m.%d}"


@dataclass(eq=False)
class _Entry:
    """One line pair of a bulk request, and the documents that it stands for (all but the last are older versions)."""

    lines: bytes
    documents: list[Document]

    def outcomes(self, reason: str = "") -> list[Outcome]:
        return [Outcome(document, reason) for document in self.documents]


class ElasticSink:
    """Indexes documents with bulk requests.

    Args:
        client: the cluster; its retry policy is for whole requests and for single items alike.
        index_name: the index of a document; by its kind and UTC date unless told otherwise.
        threads: requests under way at once; `send` returns when all are answered, so nothing piles up.
        fresh_pattern: indices of this run's kinds (``useractions-*``); none there means that the output is new.
        prepare: what is done to each document first, such as adding ``geoip``.
        templated: whether the indices should have a template of the documents' kind; one warning if there is none.
    """

    durable = True

    def __init__(
        self,
        client: SearchClient,
        index_name: Callable[[Document], str] = by_day,
        threads: int = 4,
        fresh_pattern: str = "",
        max_bytes: int = MAX_REQUEST_BYTES,
        prepare: Callable[[Document], None] | None = None,
        templated: bool = True,
    ) -> None:
        self.client = client
        self.index_name = index_name
        self.threads = threads
        self.fresh_pattern = fresh_pattern
        self.max_bytes = max_bytes
        self.prepare = prepare
        self.templated = templated
        self._seen_kinds: set[str] = set()

    @property
    def name(self) -> str:
        """``elasticsearch at host:port``."""
        return self.client.name

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, "elastic")

    def identity(self) -> tuple[str, bool]:
        """The cluster's UUID; it is fresh while it has none of this run's indices."""
        root = self.client.request("GET", "/").body
        fresh = False
        if self.fresh_pattern:
            path = f"/_resolve/index/{self.fresh_pattern}"
            found = self.client.request("GET", path, accept=(404,))
            fresh = not found.found or not found.body.get("indices")
        return f"elasticsearch:{root.get('cluster_uuid')}:{self.fresh_pattern}", fresh

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Index them; returns when the cluster has acknowledged, or refused for good, every one.

        Raises:
            SinkUnavailable: it went on refusing, or not answering, for longer than the retry budget.
            CredentialsRefused, ConfigError, ProtocolError: it will not take anything from us as things are.
        """
        if self.prepare is not None:
            for document in documents:
                self.prepare(document)
        good, outcomes = encodable(documents)
        if not good:
            return outcomes
        if self.templated:
            self._look_for_templates({document.kind for document in good})
        for part in self._pool.map(self._send_part, self._parts(self._entries(good))):
            outcomes.extend(part)
        return outcomes

    def finish(self) -> None:
        """Everything is acknowledged already."""

    def close(self) -> None:
        """Drop the connections and what waits to be sent."""
        if "_pool" in self.__dict__:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    def _entries(self, documents: Iterable[Document]) -> list[_Entry]:
        """One entry a document; of versions of the same one, which must not overtake each other, only the last."""
        entries: dict[tuple[str, str], _Entry] = {}
        for document in documents:
            key = (self.index_name(document), document.id)
            action = orjson.dumps({"index": {"_index": key[0], "_id": key[1]}})
            lines = b"%b\n%b\n" % (action, document.encoded)
            earlier = entries.pop(key, None)
            entries[key] = _Entry(lines, [*(earlier.documents if earlier else ()), document])
        return list(entries.values())

    def _parts(self, entries: list[_Entry]) -> Iterator[list[_Entry]]:
        """Entries in requests: enough of them for all threads, none larger than the limits."""
        most = min(MAX_DOCUMENTS, max(_FEWEST, -(-len(entries) // self.threads)))
        part: list[_Entry] = []
        size = 0
        for entry in entries:
            if part and (len(part) == most or size + len(entry.lines) > self.max_bytes):
                yield part
                part, size = [], 0
            part.append(entry)
            size += len(entry.lines)
        if part:
            yield part

    def _send_part(self, entries: list[_Entry]) -> list[Outcome]:
        waiting = entries
        outcomes: list[Outcome] = []

        def send() -> None:
            nonlocal waiting
            body = b"".join([entry.lines for entry in waiting])
            items = self.client.attempt("POST", "/_bulk", body, params=_ANSWER, lines=True).body
            waiting, busy = self._sort(waiting, items, outcomes)
            if waiting:
                raise Transient(f"{len(waiting)} of {len(entries)} documents were not taken ({busy})")

        try:
            self.client.retry.call(send, self.name, SinkUnavailable)
        except Refused as error:
            if error.status not in (400, 413):
                raise
            outcomes.extend(self._apart(waiting, error))
        return outcomes

    def _apart(self, entries: list[_Entry], error: Refused) -> list[Outcome]:
        """The request is too large, or one of its documents spoils it: halve it until it is clear which."""
        if len(entries) > 1:
            half = len(entries) // 2
            return self._send_part(entries[:half]) + self._send_part(entries[half:])
        if error.status == 413:
            size = len(entries[0].lines)
            return entries[0].outcomes(f"its {size} bytes are more than {self.name} takes (http.max_content_length)")
        return entries[0].outcomes(f"{self.name} refused it: {error.reason}")

    def _sort(self, entries: list[_Entry], body: Any, outcomes: list[Outcome]) -> tuple[list[_Entry], str]:
        """Add the outcomes that are final; returns the entries to send again, and why."""
        items = body.get("items", [])
        if len(items) != len(entries):
            raise Transient(f"answered for {len(items)} of {len(entries)} documents")
        again: list[_Entry] = []
        why: set[str] = set()
        for entry, item in zip(entries, items, strict=True):
            result = next(iter(item.values()))
            status, error = int(result["status"]), result.get("error")
            if 200 <= status < 300:
                outcomes.extend(entry.outcomes())
            elif _may_pass(status, error):
                again.append(entry)
                why.add(f"{status} {error_type(error) or 'without a reason'}")
            elif status in (401, 403):
                raise CredentialsRefused(f"{self.name} refused a document: {reason(error)}. Check the rights of ES_*.")
            elif status == 404:
                raise ConfigError(f"{self.name} makes no index by itself: {reason(error)} (action.auto_create_index)")
            else:
                outcomes.extend(entry.outcomes(f"{self.name} refused it: {reason(error)}"))
        return again, ", ".join(sorted(why))

    def _look_for_templates(self, kinds: set[str]) -> None:
        """Say so once when a new index would have to guess its mappings."""
        for kind in sorted(kinds - self._seen_kinds):
            self._seen_kinds.add(kind)
            found = self.client.request("GET", f"/_index_template/{kind}", accept=(400, 403, 404))
            if found.status in (400, 404):
                log.warning(
                    "%s has no index template %s: new indices guess their mappings. Run setup load_index_templates.",
                    self.name,
                    kind,
                )


def _may_pass(status: int, error: Any) -> bool:
    return status == 429 or status >= 500 or is_block(error) or error_type(error) in _CLUSTER_STATE
