"""Elasticsearch: bulk requests from a few threads, each document's outcome its own.

Documents are indexed under their own id, so delivering one twice leaves one. Those that the cluster refuses for what
they say are dead with its reason; those that it refuses for what the index is end the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date
from functools import cached_property, lru_cache
from typing import NamedTuple

from harvesters import useragents
from harvesters.document import Document, Outcome
from harvesters.elastic import bulk, paths
from harvesters.elastic.bulk import ItemRefusal
from harvesters.elastic.client import SearchClient
from harvesters.search import form
from harvesters.sinks.base import IndexMisfit, always, not_json

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 5 * 1024 * 1024
MAX_DOCUMENTS = 1000
_FEWEST = 500  # documents that are worth a request of their own
_ALL = 3  # documents that show, when they are all and refused for the same reason, that it is not their fault
_WITH_USER_AGENTS = "useractions"
_OF_MAPPINGS = {
    "document_parsing_exception",
    "mapper_parsing_exception",
    "strict_dynamic_mapping_exception",
    "mapper_exception",
    "illegal_argument_exception",
}


def by_day(document: Document) -> str:
    """``{kind}-YYYY.MM.DD`` of the document's UTC date."""
    return _dated(document.kind, document.timestamp.astimezone(UTC).date())


@lru_cache(1000)
def _dated(kind: str, day: date) -> str:
    return f"{kind}-{day:%Y.%m.%d}"


class _Request(NamedTuple):
    """Documents and the two lines of each; two lists, for the collector minds every pair that is made."""

    lines: list[bytes]
    documents: list[Document]


_Refusals = list[tuple[Document, ItemRefusal]]


class ElasticSink:
    """Indexes documents with bulk requests.

    Args:
        client: the cluster; its retry policy is for whole requests and for single items alike.
        index_name: the index of a document; by its kind and UTC date unless told otherwise.
        threads: requests under way at once; `send` returns when all are answered, so nothing piles up.
        fresh_pattern: indices of this run's kinds (``useractions-*``); none there means that the output is new.
        prepare: what is done to each document first, such as adding ``geoip``. User actions get their ``ua`` anyway.
        templated: whether the indices should have a template of the documents' kind; one warning if there is none.
        may_send: called with the documents of each request before it is sent or sent again; what it raises ends `send`.

    Attributes:
        taken: the indices have some document of this run, so they fit, and one that is refused is odd itself.
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
        may_send: Callable[[Sequence[Document]], None] = always,
    ) -> None:
        self.client = client
        self.index_name = index_name
        self.threads = threads
        self.fresh_pattern = fresh_pattern
        self.max_bytes = max_bytes
        self.prepare = prepare
        self.templated = templated
        self.may_send = may_send
        self._seen_kinds: set[str] = set()
        self.taken = False
        self._refused = 0
        self._refusals: set[str] = set()
        self._differences: dict[tuple[str, str, str], str] = {}

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
        uuid = self.client.cluster.uuid or self.client.url  # hidden where GET / is
        fresh = False
        if self.fresh_pattern:
            path = f"/_resolve/index/{paths.pattern(self.fresh_pattern)}"
            found = self.client.request("GET", path, accept=(404,))
            fresh = not found.found or not (found.body.get("indices") or found.body.get("aliases"))
        return f"elasticsearch:{uuid}:{self.fresh_pattern}", fresh

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Index them; returns when the cluster has acknowledged, or refused for good, every one.

        Raises:
            SinkUnavailable: it went on refusing, or not answering, for longer than the retry budget.
            RateLimited: the same, and it is a rate limit.
            IndexMisfit: it refuses documents for what the index is.
            CredentialsRefused, ConfigError, ProtocolError: it will not take anything from us as things are.
        """
        for document in documents:
            if document.kind == _WITH_USER_AGENTS:
                useragents.add_to(document.body)
            if self.prepare is not None:
                self.prepare(document)
        if not documents:
            return []
        if self.templated:
            self._look_for_templates({document.kind for document in documents})
        outcomes: list[Outcome] = []
        newest, older = self._newest(documents)
        refusals: _Refusals = []
        for part, refused in self._pool.map(self._send_part, self._parts(newest)):
            outcomes.extend(part)
            refusals.extend(refused)
        outcomes, refusals = self._once_more(outcomes, refusals)
        if older:
            outcomes += [Outcome(each, one.reason) for one in outcomes for each in older.get(one.document, ())]
        self._judge(outcomes, refusals)
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

    def _send_part(self, documents: Sequence[Document]) -> tuple[list[Outcome], _Refusals]:
        """Encode here, in the thread: while it waits for the cluster, another one encodes."""
        outcomes: list[Outcome] = []
        refusals: _Refusals = []
        request, size = _Request([], []), 0
        for document in documents:
            try:
                lines = bulk.write(self.index_name(document), document.id, document.encoded)
            except TypeError as error:
                outcomes.append(not_json(document, error))
                continue
            if request.lines and size + len(lines) > self.max_bytes:
                self._send(request, outcomes, refusals)
                request, size = _Request([], []), 0
            request.lines.append(lines)
            request.documents.append(document)
            size += len(lines)
        if request.lines:
            self._send(request, outcomes, refusals)
        return outcomes, refusals

    def _send(self, request: _Request, outcomes: list[Outcome], refusals: _Refusals) -> None:
        refused = bulk.deliver(self.client, request.lines, before=lambda: self.may_send(request.documents))
        if not refused:
            outcomes.extend([Outcome(document) for document in request.documents])
            return
        for place, document in enumerate(request.documents):
            refusal = refused.get(place)
            if refusal is None:
                outcomes.append(Outcome(document))
                continue
            words = f"{self.name} refused it: {refusal.reason}"
            if refusal.status == 413:
                words = (
                    f"its {len(request.lines[place])} bytes are more than {self.name} takes (http.max_content_length)"
                )
            outcomes.append(Outcome(document, words))
            refusals.append((document, refusal))

    def _once_more(self, outcomes: list[Outcome], refusals: _Refusals) -> tuple[list[Outcome], _Refusals]:
        """Send again what an index refused for its mapping before a migration put another in its place.

        Raises:
            IndexMisfit: as `_misfit` says.
        """
        self._misfit(outcomes, refusals)
        suspects = [document for document, refusal in refusals if refusal.kind in _OF_MAPPINGS]
        replaced = {name: form.is_replaced(self.client, name) for name in {self.index_name(each) for each in suspects}}
        again = [document for document in suspects if replaced[self.index_name(document)]]
        if not again:
            return outcomes, refusals
        second, refused = self._send_part(again)
        done = set(again)
        outcomes = [outcome for outcome in outcomes if outcome.document not in done] + second
        self._misfit(outcomes, refused)
        return outcomes, [pair for pair in refusals if pair[0] not in done] + refused

    def _misfit(self, outcomes: list[Outcome], refusals: _Refusals) -> None:
        """See that no index refused a document for being in another form than our template's.

        Raises:
            IndexMisfit: one did.
        """
        for document, refusal in refusals:
            if refusal.field and refusal.kind in _OF_MAPPINGS:
                differs = self._difference(self.index_name(document), document.kind, refusal.field)
                if differs:
                    raise IndexMisfit(
                        f"{self.name} refused {document.id!r} ({refusal.kind}): {differs}. The index is in the form of "
                        "an older version: run harvest.py setup load_index_templates, then harvest.py setup migrate. "
                        "Nothing is lost: what was not delivered comes with the next run.",
                        outcomes,
                    )

    def _judge(self, outcomes: list[Outcome], refusals: _Refusals) -> None:
        """Tell documents that are odd from an index that is: dead letters are for the former.

        Raises:
            IndexMisfit: the run has delivered nothing and had all of three or more refused for the same reason.
        """
        self.taken = self.taken or any(outcome.delivered for outcome in outcomes)
        if self.taken or not refusals:
            return
        self._refusals.update(_sort_of(refusal) for _, refusal in refusals)
        self._refused += len(refusals)
        if self._refused >= _ALL and len(self._refusals) == 1 and "" not in self._refusals:
            raise IndexMisfit(
                f"{self.name} refused every document, for the same reason: {refusals[0][1].reason}. That is not the "
                "documents' fault: see that the index fits (harvest.py setup load_index_templates, setup migrate). "
                "Nothing is lost: what was not delivered comes with the next run.",
                outcomes,
            )

    def _difference(self, index: str, kind: str, field: str) -> str:
        key = (index, kind, field)
        if key not in self._differences:
            self._differences[key] = form.difference(self.client, index, kind, field)
        return self._differences[key]

    def _look_for_templates(self, kinds: set[str]) -> None:
        """Say so once when a new index would have to guess its mappings."""
        for kind in sorted(kinds - self._seen_kinds):
            self._seen_kinds.add(kind)
            found = self.client.request("GET", f"/_index_template/{paths.name(kind)}", accept=(400, 403, 404))
            if found.status in (400, 404):
                log.warning(
                    "%s has no index template %s: new indices guess their mappings. Run setup load_index_templates.",
                    self.name,
                    kind,
                )


def _sort_of(refusal: ItemRefusal) -> str:
    """What refusals for the same reason have in common; "" for one that says nothing of the index."""
    if refusal.kind not in _OF_MAPPINGS:
        return ""
    return f"{refusal.kind} {refusal.field or refusal.reason}"
