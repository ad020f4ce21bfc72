"""Reads every row that a query shows, although rows have no order and move between pages.

Opencast's pages are independent statements without ORDER BY, and its total is a third one. So a query is read page by
page, and again, until as many distinct ids are known as the total says; a query that does not settle is read once
more as one page of everything, which is one statement and cannot tear. Where even that is cut short, because something
caps answers, pages are all there is, and they have to settle.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from harvesters.errors import ProtocolError
from harvesters.opencast.client import ActionPage, OpencastClient
from harvesters.opencast.idset import IdSet
from harvesters.opencast.jettison import integer
from harvesters.opencast.spool import OddAnswer

log = logging.getLogger(__name__)

_PASSES = 3

Hearing = Callable[[Sequence[Any]], list[datetime | None]]
"""Says when each row of an answer happened, or raises, before any of them is used."""


class Rows(NamedTuple):
    """Rows not seen before, when each happened, and the total that the server stated with them."""

    rows: list[Any]
    moments: list[datetime | None]
    total: int | None


class Tally(Protocol):
    """Knows when all rows of a query have been seen."""

    def add(self, id: int, created: str) -> None:
        """A row was shown."""

    def complete(self, page: ActionPage) -> bool:
        """True when the rows shown so far are certainly all that `page` counts."""

    def lacks(self, page: ActionPage) -> bool:
        """True when they are certainly fewer."""

    def __len__(self) -> int: ...


class PlainTally:
    """As many distinct ids as the total says."""

    def __init__(self) -> None:
        self._known = IdSet()

    def add(self, id: int, created: str) -> None:
        """A row was shown."""
        self._known.add(id)

    def complete(self, page: ActionPage) -> bool:
        """True when as many ids are known."""
        return not self.lacks(page)

    def lacks(self, page: ActionPage) -> bool:
        """True when fewer ids are known."""
        return page.total is not None and len(self._known) < page.total

    def __len__(self) -> int:
        return len(self._known)


@dataclass(frozen=True)
class Edge:
    """A day's first or last minute, which shows at a certain second of a minute only.

    Args:
        wait: called right before a request; returns when it is that second.
        last: it is the last minute.
    """

    wait: Callable[[], None]
    last: bool


@dataclass
class QueryReader:
    """Reads one query after another; a row that was seen once in its life is not seen again.

    Args:
        batch_size: rows a request.
        wait: seconds between two requests.

    Attributes:
        fell: some answer counted more rows than were there at last: they were deleted, or the server is another now.
    """

    client: OpencastClient
    batch_size: int
    wait: float = 0.0
    requests: int = 0
    fell: bool = False
    _seen: IdSet = field(default_factory=IdSet)
    _odd: set[str] = field(default_factory=set)

    def pages(self, params: dict[str, str], tally: Tally, hear: Hearing) -> Iterator[Rows]:
        """Pages of rows not seen before; all rows of the query, in the end.

        Raises:
            ProtocolError: neither pages nor one page of everything show as many rows as the server counts.
        """
        counted: list[ActionPage] = []
        settled = yield from self._passes(params, tally, hear, counted)
        if not settled:
            yield from self.everything(params, tally, hear)
        self.fell = self.fell or any(map(tally.lacks, counted))

    def everything(
        self, params: dict[str, str], tally: Tally, hear: Hearing, edge: Edge | None = None
    ) -> Iterator[Rows]:
        """The query as one page of everything, in batches; or in pages, where the server does not show so much."""
        try:
            shown, total = yield from self._one_page(params, tally, hear, edge)
        except OddAnswer as error:
            log.info("one page of everything cannot be read as a stream (%s); paging instead", error)
            shown, total = 0, None
        else:
            if total is None or shown >= total:
                return
            log.info("one page of everything has %d of %d rows; paging instead", shown, total)
        settled = yield from self._passes(params, tally, hear, [])
        if settled and edge is not None:
            settled = yield from self._edge(params, tally, hear, edge, min(shown, self.batch_size) or self.batch_size)
        if not settled:
            raise ProtocolError(
                f"{self.client.base_url} counts {total} actions for {params}, but shows no more than {len(tally)} in "
                f"pages, and {shown} when asked for all at once: something before it may cap answers. Point "
                "MATTERHORN_ENGAGE_HOST at the presentation node itself."
            )

    def _passes(
        self, params: dict[str, str], tally: Tally, hear: Hearing, counted: list[ActionPage]
    ) -> Generator[Rows, None, bool]:
        """Page by page, and again; whether all rows are known then. `counted` gets the pages, without their rows."""
        for _ in range(_PASSES):
            pages = yield from self._one_pass(params, tally, hear)
            counted += pages
            # A total that falls between two pages is another node's, or another moment's: then rows are missing.
            if tally.complete(pages[-1]) and not any(map(tally.lacks, pages)):
                return True
            most = max(page.total or 0 for page in pages)
            log.info("%d rows of %s were shown; reading again, for rows move between pages", len(tally), most)
        return False

    def _one_pass(self, params: dict[str, str], tally: Tally, hear: Hearing) -> Generator[Rows, None, list[ActionPage]]:
        """Page by page, once; the pages, without their rows."""
        pages: list[ActionPage] = []
        offset = 0
        while True:
            self._pause()
            page = self.client.actions(**params, limit=self.batch_size, offset=offset)
            before = len(tally)
            yield self._taken(page.rows, page.total, tally, hear)
            pages.append(replace(page, rows=[]))
            offset += len(page.rows)
            if not page.rows or offset == page.total:
                return pages
            news = len(tally) > before
            if page.total is not None and offset > page.total and not news:
                return pages  # it shows more rows than it counts, so its count is no end, but this is
            if page.total is None and not news:
                raise ProtocolError(
                    f"{self.client.base_url} states no total and shows the same rows at offset {offset}: it does not "
                    "page usertracking/actions.json. Point MATTERHORN_ENGAGE_HOST at the presentation node itself."
                )

    def _edge(
        self, params: dict[str, str], tally: Tally, hear: Hearing, edge: Edge, step: int
    ) -> Generator[Rows, None, bool]:
        """Pages asked for at the second of `edge`, from its side of the day; whether all rows are known then."""
        page = self.client.actions(**params, limit=1, offset=0)
        hear(page.rows)
        offsets = range(0, page.total or 0, step)
        for offset in reversed(offsets) if edge.last else offsets:
            self._pause()
            edge.wait()
            page = self.client.actions(**params, limit=step, offset=offset)
            yield self._taken(page.rows, page.total, tally, hear)
            if tally.complete(page):
                return True
        return not offsets

    def _one_page(
        self, params: dict[str, str], tally: Tally, hear: Hearing, edge: Edge | None
    ) -> Generator[Rows, None, tuple[int, int | None]]:
        """One page of everything; how many rows it had, and how many the server counts."""
        self._pause()
        first = self.client.actions(**params, limit=1, offset=0)
        hear(first.rows)
        total, blank, outgrown = first.total or 0, 0, 0
        while True:
            self._pause()
            if edge is not None:
                edge.wait()
            limit = total + total // 10 + self.batch_size
            stated, rows = self.client.snapshot(**params, limit=limit, offset=0)
            if stated == 0 and total and blank < _PASSES:
                blank += 1  # there were rows a moment ago: one blank answer is no empty table
            elif stated is None or stated <= limit or outgrown == _PASSES:
                break
            else:
                total, outgrown = stated, outgrown + 1  # it outgrew the limit in between
            rows.close()
        shown = 0
        batch: list[Any] = []
        with closing(rows):
            for row in rows:
                batch.append(row)
                if len(batch) >= self.batch_size:
                    shown += len(batch)
                    yield self._taken(batch, stated, tally, hear)
                    batch = []
        yield self._taken(batch, stated, tally, hear)
        return shown + len(batch), stated

    def _taken(self, rows: list[Any], total: int | None, tally: Tally, hear: Hearing) -> Rows:
        """Those of `rows` that are new, once all of them were heard."""
        fresh = Rows([], [], total)
        for row, moment in zip(rows, hear(rows), strict=True):
            id = row_id(row)
            if id is not None:
                tally.add(id, str(row.get("created")))
            if self._is_new(id, row):
                fresh.rows.append(row)
                fresh.moments.append(moment)
        return fresh

    def _is_new(self, id: int | None, row: Any) -> bool:
        if id is not None:
            return self._seen.add(id)
        # Nothing to know it by but itself; the mapping will say what is wrong with it.
        text = repr(row)
        new = text not in self._odd
        self._odd.add(text)
        return new

    def _pause(self) -> None:
        if self.requests and self.wait:
            self.client.clock.sleep(self.wait)
        self.requests += 1


def row_id(row: Any) -> int | None:
    """The action's id; None when it has none that can be read."""
    try:
        return integer(row.get("id"))
    except (AttributeError, ValueError, OverflowError):
        return None
