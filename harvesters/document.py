"""What every harvester yields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson


class _Once:
    """Encodes a document when first asked; `functools.cached_property` takes a lock for it before Python 3.12."""

    def __get__(self, document: Document, owner: type[Document]) -> bytes:
        """The body as UTF-8 JSON; from now on an attribute of the document."""
        encoded = document.__dict__["encoded"] = orjson.dumps(document.body)
        return encoded


@dataclass(eq=False)
class Document:
    """One document on its way to a sink.

    Attributes:
        id: made from the source's own keys alone, so that running twice is harmless.
        kind: what it is (``useractions``, ``meetings`` …); names the index and the dead letters' file.
        timestamp: when it happened, UTC; decides the dated index.
        body: JSON-able.
        group: what a FIFO queue keeps in order; defaults to the kind.
        mutable: its source row may change under its id, as an Opencast FOOTPRINT grows, or is known to have changed.
        encoded: the body as UTF-8 JSON, made when first asked for. Raises `TypeError` when the body holds what JSON in
            UTF-8 cannot, such as half of a surrogate pair.
    """

    id: str
    kind: str
    timestamp: datetime
    body: dict[str, Any]
    group: str = ""
    mutable: bool = False

    encoded = _Once()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sink says of a document: delivered, or dead with a reason."""

    document: Document
    reason: str = ""

    @property
    def delivered(self) -> bool:
        """True unless there is a reason why it never can be."""
        return not self.reason
