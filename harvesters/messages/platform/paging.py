"""A list that is read by offsets while others add to it: every row of it once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harvesters.retry import Transient

T = TypeVar("T")
R = TypeVar("R")
Row = dict[str, Any]
Each = Callable[[Callable[[T], R], Iterable[T]], Iterator[R]]


@dataclass(frozen=True)
class Page:
    """Rows from an offset on, and how many the list had in all just then."""

    rows: list[Row]
    total: int


@dataclass
class Listing:
    """A list, asked for in passes.

    Offsets move when a row is added or removed between two pages. A pass counts if all its pages tell the same total
    and brought as many distinct rows. The next one asks for no rows that are newer than the newest seen, so that what
    goes on being created does not keep it from an end.

    Args:
        ask: the page at an offset, of the rows that were created until so many seconds of the epoch, None for all.
        key: what tells rows apart.
        created: seconds of the epoch, or None where a row does not say.
    """

    ask: Callable[[int, int | None], Page]
    key: Callable[[Row], str]
    created: Callable[[Row], float | None]
    _newest: int | None = field(default=None, init=False)
    _until: int | None = field(default=None, init=False)

    def read(self, each: Each[tuple[int, int], list[Page]]) -> list[Row]:
        """The rows of one pass, in the order of the list; `each` does several parts of it at a time.

        Raises:
            Transient: the pages contradict each other; another pass may do better.
        """
        rows: dict[str, Row] = {}
        totals = set()
        for page in self._pages(each):
            totals.add(page.total)
            for row in page.rows:
                rows[self.key(row)] = row
                if (moment := self.created(row)) is not None:
                    self._newest = max(self._newest or 0, math.ceil(moment))
        if totals == {len(rows)}:
            return list(rows.values())
        self._until = self._newest
        told = " and ".join(str(total) for total in sorted(totals))
        raise Transient(f"its pages held {len(rows)} different rows, and told of {told}")

    def _pages(self, each: Each[tuple[int, int], list[Page]]) -> Iterator[Page]:
        first = self.ask(0, self._until)
        yield first
        size = len(first.rows)
        if not size:
            return
        parts = ((offset, min(offset + size, first.total)) for offset in range(size, first.total, size))
        for pages in each(self._part, parts):
            yield from pages
            if not pages[-1].rows:  # the total was not true, so whatever follows is not there either
                return

    def _part(self, part: tuple[int, int]) -> list[Page]:
        """The pages from an offset to another: more than one where the server gives fewer rows than before."""
        offset, end = part
        pages: list[Page] = []
        while offset < end:
            pages.append(self.ask(offset, self._until))
            if not pages[-1].rows:
                break
            offset += len(pages[-1].rows)
        return pages
