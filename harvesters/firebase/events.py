"""The harvest of events: what has come behind the last push id, and what sorts elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harvesters.cursor import KeyCursor
from harvesters.document import Document
from harvesters.firebase import exact
from harvesters.firebase.client import FirebaseClient, TooBig
from harvesters.firebase.cursor import first_key
from harvesters.firebase.documents import EventMapper, Row, document_id, milliseconds, moment_of
from harvesters.firebase.elsewhere import Elsewhere
from harvesters.firebase.keys import Path, rank, time_of
from harvesters.firebase.paging import PageSize
from harvesters.firebase.pushid import is_push_id, push_floor, push_ms
from harvesters.harvest import Page
from harvesters.timespan import Window

log = logging.getLogger(__name__)

BEFORE_ALL = push_floor(1_293_840_000_000)
"""The first push id of 2011, before there were any: what sorts before it, integers too, is never behind a push id."""

TOO_BIG = "the event is larger than the database sends in one answer"


class Removal(Document):
    """Says that an event is gone: ``{"id": …, "deleted": true}``."""


@dataclass
class Events:
    """The events below `path`.

    Args:
        lookback: seconds before the last push id that are read again, for keys that came late.
        elsewhere: has, for a window, what `others` gives of it, where several are read by hand.
    """

    client: FirebaseClient
    path: Path
    mapper: EventMapper
    lookback: float = 60.0
    size: PageSize = field(default_factory=PageSize)
    after: str | None = None
    ahead: int = 0
    elsewhere: Elsewhere | None = None
    _begun: int | None = None

    @property
    def kind(self) -> str:
        """That of the documents."""
        return self.mapper.kind

    @property
    def source(self) -> str:
        """The node's address."""
        return f"{self.client.base_url}/{'/'.join(self.path)}"

    def time(self) -> datetime | None:
        """The database's clock; None when it does not tell."""
        return self.client.time(self.path)

    def acknowledged(self, page: Page) -> None:
        """Nothing is kept of a page."""

    def pages(self, scope: Window | str | None) -> Iterator[Page]:
        """By hand the events of a window, wherever they sort; else what came behind a push id, or without one all."""
        if isinstance(scope, Window):
            yield from self._by_hand(scope)
        else:
            self.after = scope
            yield from self.new()

    def new(self) -> Iterator[Page]:
        """What came since the push id in `after`, which follows what is read."""
        if self.after is None:
            yield from self._scan()
        else:
            yield from self.sorted_before()
            yield from self._scan(**self.start())

    def sorted_before(self) -> Iterator[Page]:
        """Keys that sort before all push ids, old and new; none that `start` finds as well."""
        bounds = self.start()
        first = bounds.get("startAt") or bounds.get("startAfter") or BEFORE_ALL
        return self._scan(endBefore=min(BEFORE_ALL, first))

    def start(self) -> dict[str, str]:
        """Where to read from: `lookback` before the last push id, or behind it."""
        if self.after is None:
            return {}
        if not self.lookback:
            return {"startAfter": self.after}
        return {"startAt": push_floor(max(0, push_ms(self.after) - int(self.lookback * 1000)))}

    def row_id(self, row: Row) -> str:
        """The key."""
        return str(row["key"])

    def documents(self, rows: Sequence[Row]) -> list[Document | str]:
        """Map rows."""
        now = self.client.http.retry.clock.now
        return [document_of(row, self.mapper, now) for row in rows]

    def report(self) -> dict[str, Any]:
        """Where the keys come from."""
        return {"path": "/" + "/".join(self.path), "ahead_of_time": self.ahead}

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def page(self, rows: list[Row]) -> Page:
        """A page that says how far the push ids go: those ahead of our clock or of the database's do not count."""
        now = milliseconds(self.client.clock.earlier())
        times = {row["key"]: time_of(row["key"], now) for row in rows}
        known = [key for key, time in times.items() if time is not None]
        self.ahead += sum(1 for key, time in times.items() if time is None and is_push_id(key))
        if not known:
            return Page(rows)
        last = max(known)
        self.after = max(last, self.after or last)
        return Page(rows, KeyCursor(self.after), fraction=self._fraction(last, now))

    def _fraction(self, last: str, now: int) -> float:
        """How far in time the push ids are, from the first one read to now."""
        ms = push_ms(last)
        self._begun = ms if self._begun is None else self._begun
        return (ms - self._begun) / max(1, now - self._begun)

    def _scan(self, **bounds: str) -> Iterator[Page]:
        return map(self.page, self.rows(**bounds))

    def rows(self, **bounds: str) -> Iterator[list[Row]]:
        """The children within `bounds`, as many as one answer has at a time."""
        while True:
            limit = self.size.now
            try:
                found = self.client.children(self.path, limit, exact.parse, **bounds)
            except TooBig:
                if not self.size.shrink():
                    key = self._skip(bounds)
                    if key is None:
                        return
                    yield [{"key": key, "value": None, "problem": TOO_BIG}]
                    bounds = _behind(bounds, key)
                continue
            if found.pairs:
                self.size.learn(len(found.pairs), found.size, found.seconds)
                yield [self.mapper.row(key, value) for key, value in found.pairs]
                bounds = _behind(bounds, found.pairs[-1][0])
            if len(found.pairs) < limit:
                return

    def is_null(self) -> bool:
        """Whether the database says that there is no such node, or nothing in it, which is the same."""
        try:
            return self.client.children(self.path, 1).null
        except TooBig:
            return False

    def shows_none(self, first: str, last: str) -> bool:
        """Whether the database shows children before `first`, and none from there to `last`."""
        try:
            key = self.client.last_key(self.path, last)
        except TooBig:
            return False
        return key is not None and rank(key) < rank(first)

    def _skip(self, bounds: dict[str, str]) -> str | None:
        """The key of the one event that cannot be read, without its value."""
        low = bounds.get("startAfter")
        if "startAt" in bounds:
            if self.client.keys((*self.path, bounds["startAt"])) is not None:
                return bounds["startAt"]
            low = bounds["startAt"]
        key = self.client.next_key(self.path, low)
        limit = bounds.get("endAt") or bounds.get("endBefore")
        return key if key is not None and (limit is None or rank(key) <= rank(limit)) else None

    def others(self, span: Window) -> Iterator[list[tuple[int, Row]]]:
        """The events of `span` whose keys sort where no push id of it does, with their milliseconds: what a window
        reads whole, however short it is. An event that cannot be read is at its beginning."""
        for bounds in (self._before(span), self._behind(span)):
            for page in self._scan(**bounds):
                yield [(_placed(row, span), row) for row in page.rows if self._in_span(row, span)]

    def _by_hand(self, span: Window) -> Iterator[Page]:
        within = {"startAt": first_key(span.start), "endBefore": first_key(span.end)}
        scans = [within] if self.elsewhere is not None else [self._before(span), within, self._behind(span)]
        for bounds in scans:
            for page in self._scan(**bounds):
                yield Page([row for row in page.rows if self._in_span(row, span)])
        if self.elsewhere is not None:
            yield from self.elsewhere.within(span)

    def _before(self, span: Window) -> dict[str, str]:
        return {"endBefore": min(BEFORE_ALL, first_key(span.start))}

    def _behind(self, span: Window) -> dict[str, str]:
        """Where push ids are of a time that has not come yet."""
        return {"startAt": max(first_key(span.end), first_key(self.client.http.retry.clock.now()))}

    def _in_span(self, row: Row, span: Window) -> bool:
        """Whether a row is of `span`; one whose key is no push id, of the whole that `span` is a part of."""
        key, value = row["key"], row["value"]
        if "problem" in row or (is_push_id(key) and bounds_of(span)[0] <= push_ms(key) < bounds_of(span)[1]):
            return True
        whole = self.elsewhere.whole if self.elsewhere is not None else span
        moment = moment_of(key, value if isinstance(value, dict) else {})
        return not is_push_id(key) and moment is not None and moment in whole


def _placed(row: Row, span: Window) -> int:
    moment = None if "problem" in row else moment_of(row["key"], row["value"] if isinstance(row["value"], dict) else {})
    return milliseconds(moment if moment is not None and moment in span else span.start)


def document_of(row: Row, mapper: EventMapper, now: Callable[[], datetime]) -> Document | str:
    """The document of a row, which may say that the event is gone; or the reason why there can be none."""
    if row.get("deleted"):
        moment = moment_of(row["key"], {}) or now()
        body = {"id": row["key"], "deleted": True}
        return Removal(document_id(row["key"]), mapper.kind, moment, body, mutable=True)
    return mapper.document(row)


def bounds_of(span: Window) -> tuple[int, int]:
    """The milliseconds of a window."""
    return milliseconds(span.start), milliseconds(span.end)


def _behind(bounds: dict[str, str], key: str) -> dict[str, str]:
    """The same bounds, from behind `key` on."""
    return {**{name: value for name, value in bounds.items() if name != "startAt"}, "startAfter": key}
