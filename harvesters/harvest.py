"""The contract of every harvester: where rows come from, page by page, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from harvesters.cursor import Cursor
from harvesters.document import Document
from harvesters.errors import HarvestError


@dataclass(frozen=True)
class Page:
    """Rows of a source, each at most once in a run.

    Attributes:
        rows: as the source gave them, filtered to what was asked for.
        cursor: everything up to it is on this page or an earlier one; None when that cannot be told.
        expected: how many rows the whole run will have, as far as the source says.
        requests: how many it took.
        fraction: how much of the whole run is read with it, from 0 to 1; None when that cannot be told.
    """

    rows: Sequence[Any]
    cursor: Cursor | None = None
    expected: int = 0
    requests: int = 1
    fraction: float | None = None


P = TypeVar("P", bound=Page)


def ending_at(pages: Iterable[P], empty: P, **fields: Any) -> Iterator[P]:
    """`pages`, the last of which (`empty`, where there is none) gets these `fields`: a part of the scope is done."""
    last: P | None = None
    try:
        for page in pages:
            if last is not None:
                yield last
            last = page
    except HarvestError:
        if last is not None:  # what was read before a failure is delivered
            yield last
        raise
    yield replace(last if last is not None else empty, **fields)


class Harvest(Protocol):
    """What a harvester adds to the loop: where rows come from, and what becomes of each."""

    @property
    def kind(self) -> str:
        """What its documents are."""

    @property
    def source(self) -> str:
        """Where its rows come from, such as a base URL; part of what makes a row the same row."""

    def time(self) -> datetime | None:
        """The source's clock, asked once before a run is planned; None where it does not tell."""

    def pages(self, scope: Any) -> Iterator[Page]:
        """The rows of `scope`, page by page. What a scope is, harvest and plan agree on: a window, a key, nothing.

        Returns only when everything was read to its end; whatever else ends it raises.
        """

    def acknowledged(self, page: Page) -> None:
        """`page` is delivered, or in the dead letters, and the checkpoint has moved as far as it may."""

    def row_id(self, row: Any) -> str:
        """The id of a row's document; "" when the row does not say."""

    def documents(self, rows: Sequence[Any]) -> list[Document | str]:
        """One document for each row, or the reason why there can be none."""

    def report(self) -> dict[str, Any]:
        """What the run report should say beyond the counts."""

    def close(self) -> None:
        """Let go of connections."""
