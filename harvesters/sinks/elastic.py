"""Elasticsearch: bulk requests from a few threads, each document's outcome its own.

Documents are indexed under their own id, so delivering one twice leaves one. A bulk request answers 200 and refuses
single items inside: those with 429 or 503 alone are sent again, those with 400 are dead with the server's reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import orjson

from harvesters.document import Document, Outcome
from harvesters.errors import ConfigError, CredentialsRefused, SinkUnavailable
from harvesters.retry import Transient
from harvesters.search.client import Refused, SearchClient, error_type, is_block, reason
from harvesters.sinks.base import not_json

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 5 * 1024 * 1024
MAX_DOCUMENTS = 1000
_FEWEST = 500  # documents that are worth a request of their own
_ANSWER = {"filter_path": "errors,items.*.status,items.*.error"}  # half of a bulk's answer is of no interest
# Refused with 400 for what the cluster is, not for what the document says: another try may work.
_CLUSTER_STATE = {"validation_exception", "index_closed_exception"}


def by_day(document: Document) -> str:
    """``{kind}-YYYY.MM.DD`` of the document's UTC date."""
    return _dated(document.kind, document.timestamp.astimezone(UTC).date())


@lru_cache(1000)
def _dated(kind: str, day: date) -> str:
    return f"{kind}-{day:%Y.%m.%d}"


@lru_cache(1000)
def _action(index: str) -> bytes:
    """The action line of a document of that index, as far as its id."""
    return b'{"index":{"_index":%b,"_id":' % orjson.dumps(index)


class _Request(NamedTuple):
    """Documents and the two lines of each; two lists, for the collector minds every pair that is made."""

    lines: list[bytes]
    documents: list[Document]

    def part(self, start: int, end: int) -> _Request:
        return _Request(self.lines[start:end], self.documents[start:end])


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

    @property
    def address(self) -> str:
        """``es`` and the cluster's address."""
        return f"es {self.client.url}"

    def identity(self) -> tuple[str, bool]:
        """The cluster's UUID; it is fresh while it has none of this run's indices."""
        root = self.client.request("GET", "/").body
        fresh = False
        if self.fresh_pattern:
            path = f"/_resolve/index/{self.fresh_pattern}"
            found = self.client.request("GET", path, accept=(404,))
            fresh = not found.found or not (found.body.get("indices") or found.body.get("aliases"))
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
        if not documents:
            return []
        if self.templated:
            self._look_for_templates({document.kind for document in documents})
        outcomes: list[Outcome] = []
        newest, older = self._newest(documents)
        for part in self._pool.map(self._send_part, self._parts(newest)):
            outcomes.extend(part)
        if older:
            outcomes += [Outcome(each, one.reason) for one in outcomes for each in older.get(one.document, ())]
        return outcomes

    def finish(self) -> None:
        """Everything is acknowledged already."""

    def close(self) -> None:
        """Drop the connections and what waits to be sent."""
        if "_pool" in self.__dict__:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    def _newest(self, documents: Sequence[Document]) -> tuple[Sequence[Document], dict[Document, list[Document]]]:
        """Of versions of one document, which must not overtake each other, the last, and beside it the others."""
        if len({document.id for document in documents}) == len(documents):
            return documents, {}
        newest: dict[tuple[str, str], Document] = {}
        older: dict[Document, list[Document]] = {}
        for document in documents:
            key = (self.index_name(document), document.id)
            before = newest.pop(key, None)
            newest[key] = document
            if before is not None:
                older[document] = [*older.pop(before, ()), before]
        return list(newest.values()), older

    def _parts(self, documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
        """As many parts for each thread, so that none has one more while the others wait; and not too small."""
        rounds = -(-len(documents) // (self.threads * MAX_DOCUMENTS))
        size = max(_FEWEST, -(-len(documents) // (self.threads * rounds)))
        for first in range(0, len(documents), size):
            yield documents[first : first + size]

    def _send_part(self, documents: Sequence[Document]) -> list[Outcome]:
        """Encode here, in the thread: while it waits for the cluster, another one encodes."""
        outcomes: list[Outcome] = []
        request, size = _Request([], []), 0
        for document in documents:
            try:
                action = _action(self.index_name(document))
                lines = b"%b%b}}\n%b\n" % (action, orjson.dumps(document.id), document.encoded)
            except TypeError as error:
                outcomes.append(not_json(document, error))
                continue
            if request.lines and size + len(lines) > self.max_bytes:
                self._send(request, outcomes)
                request, size = _Request([], []), 0
            request.lines.append(lines)
            request.documents.append(document)
            size += len(lines)
        if request.lines:
            self._send(request, outcomes)
        return outcomes

    def _send(self, request: _Request, outcomes: list[Outcome]) -> None:
        """Send until every document of the request has its outcome."""
        waiting = request

        def send() -> None:
            nonlocal waiting
            body = b"".join(waiting.lines)
            answer = self.client.attempt("POST", "/_bulk", body, params=_ANSWER, lines=True).body
            waiting, busy = self._sort(waiting, answer, outcomes)
            if waiting.lines:
                counts = f"{len(waiting.lines)} of {len(request.lines)}"
                raise Transient(f"{counts} documents were not taken ({busy})")

        try:
            self.client.retry.call(send, self.name, SinkUnavailable)
        except Refused as error:
            if error.status not in (400, 413):
                raise
            self._apart(waiting, error, outcomes)

    def _apart(self, request: _Request, error: Refused, outcomes: list[Outcome]) -> None:
        """The request is too large, or one of its documents spoils it: halve it until it is clear which."""
        count = len(request.lines)
        if count > 1:
            self._send(request.part(0, count // 2), outcomes)
            self._send(request.part(count // 2, count), outcomes)
            return
        reason = f"{self.name} refused it: {error.reason}"
        if error.status == 413:
            reason = f"its {len(request.lines[0])} bytes are more than {self.name} takes (http.max_content_length)"
        outcomes.append(Outcome(request.documents[0], reason))

    def _sort(self, request: _Request, body: Any, outcomes: list[Outcome]) -> tuple[_Request, str]:
        """Add the outcomes that are final; returns what is to be sent again, and why."""
        items = body.get("items", [])
        if len(items) != len(request.lines):
            raise Transient(f"answered for {len(items)} of {len(request.lines)} documents")
        again, why = _Request([], []), set()
        if body.get("errors") is False:
            outcomes.extend([Outcome(document) for document in request.documents])
            return again, ""
        for lines, document, item in zip(*request, items, strict=True):
            result = next(iter(item.values()))
            status, error = int(result["status"]), result.get("error")
            if 200 <= status < 300:
                outcomes.append(Outcome(document))
            elif _may_pass(status, error):
                again.lines.append(lines)
                again.documents.append(document)
                why.add(f"{status} {error_type(error) or 'without a reason'}")
            elif status in (401, 403):
                raise CredentialsRefused(f"{self.name} refused a document: {reason(error)}. Check the rights of ES_*.")
            elif status == 404:
                raise ConfigError(f"{self.name} makes no index by itself: {reason(error)} (action.auto_create_index)")
            else:
                outcomes.append(Outcome(document, f"{self.name} refused it: {reason(error)}"))
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
