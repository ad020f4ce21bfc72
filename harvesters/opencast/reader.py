"""Reads every row that a query shows, although rows have no order and move between pages.

Opencast's pages are independent statements without ORDER BY, and its total is a third one. So a query is read page by
page, and again, until as many distinct ids are known as the total says; a query that does not settle is read once
more as one page of everything, which is one statement and cannot tear.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from harvesters.errors import ProtocolError
from harvesters.opencast.client import ActionPage, OpencastClient
from harvesters.opencast.idset import IdSet
from harvesters.opencast.jettison import integer

log = logging.getLogger(__name__)

_PASSES = 3


class Rows(NamedTuple):
    """Rows not seen before, and the total that the server stated with them."""

    rows: list[Any]
    total: int | None


class Tally(Protocol):
    """Knows when all rows of a query have been seen."""

    def add(self, id: int, created: str) -> None:
        """A row was shown."""

    def complete(self, page: ActionPage) -> bool:
        """True when the rows shown so far are all that `page` counts."""

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
        return page.total is None or len(self._known) >= page.total

    def __len__(self) -> int:
        return len(self._known)


@dataclass
class QueryReader:
    """Reads one query after another; a row that was seen once in its life is not seen again.

    Args:
        batch_size: rows a request.
        wait: seconds between two requests.
    """

    client: OpencastClient
    batch_size: int
    wait: float = 0.0
    requests: int = 0
    _seen: IdSet = field(default_factory=IdSet)
    _odd: set[str] = field(default_factory=set)

    def pages(self, params: dict[str, str], tally: Tally) -> Iterator[Rows]:
        """Pages of rows not seen before; all rows of the query, in the end."""
        for _ in range(_PASSES):
            last: ActionPage | None = None
            for page in self._one_pass(params, tally):
                last = page
                yield Rows(self._new(page.rows), page.total)
            if last is None or tally.complete(last):
                return
            log.info("%d rows of %s were shown; reading again, for rows move between pages", len(tally), last.total)
        yield from self.everything(params)

    def everything(self, params: dict[str, str], ready: Callable[[], None] | None = None) -> Iterator[Rows]:
        """The query as one page of everything, in batches; `ready` is called right before it is asked for."""
        self._pause()
        total = self.client.actions(**params, limit=1, offset=0).total or 0
        while True:
            self._pause()
            if ready is not None:
                ready()
            limit = total + total // 10 + self.batch_size
            stated, rows = self.client.snapshot(**params, limit=limit, offset=0)
            if stated is None or stated <= limit:
                break
            rows.close()
            total = stated  # it outgrew the limit in between
        batch: list[Any] = []
        with closing(rows):
            for row in rows:
                batch.append(row)
                if len(batch) >= self.batch_size:
                    yield Rows(self._new(batch), stated)
                    batch = []
        yield Rows(self._new(batch), stated)

    def _one_pass(self, params: dict[str, str], tally: Tally) -> Iterator[ActionPage]:
        offset = 0
        while True:
            self._pause()
            page = self.client.actions(**params, limit=self.batch_size, offset=offset)
            before = len(tally)
            for row in page.rows:
                id = row_id(row)
                if id is not None:
                    tally.add(id, str(row.get("created")))
            yield page
            offset += len(page.rows)
            if not page.rows or (page.total is not None and offset >= page.total):
                return
            if page.total is None and len(tally) == before:
                raise ProtocolError(
                    f"{self.client.base_url} states no total and shows the same rows at offset {offset}: it does not "
                    "page usertracking/actions.json. Point MATTERHORN_ENGAGE_HOST at the presentation node itself."
                )

    def _pause(self) -> None:
        if self.requests and self.wait:
            self.client.clock.sleep(self.wait)
        self.requests += 1

    def _new(self, rows: list[Any]) -> list[Any]:
        return [row for row in rows if self._is_new(row)]

    def _is_new(self, row: Any) -> bool:
        id = row_id(row)
        if id is not None:
            return self._seen.add(id)
        # Nothing to know it by but itself; the mapping will say what is wrong with it.
        text = repr(row)
        new = text not in self._odd
        self._odd.add(text)
        return new


def row_id(row: Any) -> int | None:
    """The action's id; None when it has none that can be read."""
    try:
        return integer(row.get("id"))
    except (AttributeError, ValueError, OverflowError):
        return None
