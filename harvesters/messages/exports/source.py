"""The messages of an export, and what is counted of them, out of Elasticsearch."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cached_property
from itertools import islice
from typing import Any

from harvesters.assembly import Assembly
from harvesters.elastic.client import SearchClient
from harvesters.messages.analytics import counts
from harvesters.messages.analytics.reading import Chosen, Messages
from harvesters.messages.exports.once import Once
from harvesters.messages.store import MessageStore
from harvesters.messages.windows import Bounds
from harvesters.prefetch import prefetch

Row = dict[str, Any]

_AHEAD = 1000  # messages that are read at once


class Stored:
    """The messages of a project within bounds."""

    def __init__(self, assembly: Assembly, project: str, bounds: Bounds) -> None:
        self._assembly = assembly
        self._project = project
        self._bounds = bounds

    def messages(self, kind: str | None = None) -> Iterator[Row]:
        """Each once, in time order; of one type where `kind` says so."""
        words = {"type": kind} if kind is not None else {}
        found = _ahead(self._store.between(self._project, *self._bounds, words), self._assembly.stop)
        if not self._store.forms.old(self._client):
            yield from found
            return
        with Once.opened() as once:  # older indices have a message as often as it was posted
            yield from filter(once.is_new, found)

    def segments(self, metric: str) -> Mapping[str, int]:
        """How many there are: ``all`` by type, ``requests`` by type of content."""
        return counts.segments(self._messages, self._chosen, metric)

    def users(self, metric: str) -> int:
        """How many users are ``total``, ``active``, ``engaged`` or ``new``."""
        return counts.count(self._messages, self._chosen, "user", metric)

    @property
    def _chosen(self) -> Chosen:
        return Chosen(self._project, *self._bounds)

    @cached_property
    def _client(self) -> SearchClient:
        return self._assembly.search()

    @cached_property
    def _store(self) -> MessageStore:
        return MessageStore(self._client)

    @cached_property
    def _messages(self) -> Messages:
        return Messages(self._client, sys.maxsize)  # no number is estimated


def _ahead(found: Iterator[Row], stop: threading.Event) -> Iterator[Row]:
    """The same; while some are written, the next are read in a thread."""
    with closing(prefetch(iter(lambda: [*islice(found, _AHEAD)], []), stop)) as batches:
        for batch in batches:
            yield from batch
