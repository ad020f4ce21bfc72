"""Events as they happen: what came since the checkpoint, then the stream, and from there again when it breaks."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from harvesters.canonical import canonical, digest
from harvesters.firebase import exact
from harvesters.firebase.client import TooBig, quoted
from harvesters.firebase.documents import Row
from harvesters.firebase.events import TOO_BIG, Events
from harvesters.firebase.keys import children_of
from harvesters.firebase.stream import Edit, EventStream, StreamEnded
from harvesters.firebase.vanished import HeldKeys, held, removed, second_look, within
from harvesters.harvest import Page
from harvesters.timespan import Window

log = logging.getLogger(__name__)

_STEADY = 60.0  # seconds after which a stream that ends was a good one
_BATCH = 500
_RECENT = 20_000


@dataclass
class FollowedEvents(Events):
    """The events below `path` until told to stop: added, edited and deleted ones.

    Args:
        index: where the events go, if it can be asked what it holds; see `_vanished`.
    """

    index: HeldKeys | None = None
    reconnects: int = 0
    removed: int = 0
    _hasty: int = 0
    _recent: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _missing: set[str] = field(default_factory=set)
    _any: bool = False
    _range: dict[str, str] = field(default_factory=dict)
    _stream: EventStream | None = None
    _closed: bool = False

    def pages(self, scope: Window | str | None) -> Iterator[Page]:
        """What came behind a push id, and what happens from now on; never ends by itself.

        Raises:
            ValueError: `scope` is a window, which has an end.
        """
        if isinstance(scope, Window):
            raise ValueError("a window cannot be followed")
        clock = self.client.http.retry.clock
        self.after = scope
        while not self._closed:
            yield from self._caught_up()
            started = clock.monotonic()
            try:
                with EventStream(self.client, self.path, self._query()) as self._stream:
                    log.info("listening to %s", self.source)
                    for edits in self._stream.edits():
                        yield from self._pages_of(edits)
            except StreamEnded as ended:
                if self._closed:
                    return
                self.reconnects += 1
                if ended.renew:
                    self.client.auth.renew()
                self._hasty = self._hasty + 1 if clock.monotonic() - started < _STEADY else 1
                pause = self.client.http.retry.pause(self._hasty, None)
                log.warning("the stream of %s ended: %s; going on in %.1f s", self.source, ended, pause)
                clock.sleep(pause)

    def report(self) -> dict[str, Any]:
        """How often it had to be connected again, too."""
        return {**super().report(), "reconnects": self.reconnects, "removed": self.removed}

    def close(self) -> None:
        """Close the connections; whoever still listens hears of it at once."""
        self._closed = True
        if self._stream is not None:
            self._stream.hang_up()
        super().close()

    def page(self, rows: list[Row]) -> Page:
        """As without a stream; but a stream begins with what was read before it, so what was just seen is left out."""
        fresh = []
        self._any = self._any or bool(rows)
        for row in rows:
            self._missing.discard(row["key"])
            said = _digest(row)
            if self._recent.get(row["key"]) != said:
                fresh.append(row)
            self._recent[row["key"]] = said
            self._recent.move_to_end(row["key"])
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return replace(super().page(rows), rows=fresh)

    def _query(self) -> dict[str, str]:
        self._range = self.start()
        return {"orderBy": '"$key"', **{name: quoted(bound) for name, bound in self._range.items()}}

    def _caught_up(self) -> Iterator[Page]:
        """What came since the last push id, and what of the look-back's range was deleted since then."""
        self._range = self.start()
        self._miss()
        self._any = False
        yield from self.new()
        answer: Any = self._any or {}
        if not answer and self._missing and self.is_null():
            answer = None
        yield from self._vanished(answer)

    def _miss(self) -> None:
        """What the output has of the look-back's range; `page` takes away from it what the database has."""
        gone = {key for key, said in self._recent.items() if said == _digest(removed(key))}
        seen = {key for key in self._recent if within(key, self._range)}
        self._missing = seen.union(held(self.index, self._range)) - gone  # a removal may still be under way

    def _vanished(self, answer: Any) -> Iterator[Page]:
        """Remove what the database did not show, once it is certain that it is gone; see `second_look` for `answer`."""
        missing, self._missing = self._missing, set()
        rows = list(second_look(self, missing, answer, self._read)) if missing else []
        gone = sum(1 for row in rows if row.get("deleted"))
        if gone:
            log.info("%d events of %s were deleted while nobody listened", gone, self.source)
        self.removed += gone
        for start in range(0, len(rows), _BATCH):
            yield self.page(rows[start : start + _BATCH])

    def _pages_of(self, edits: list[Edit]) -> Iterator[Page]:
        if not edits:  # a keep-alive: time to look where the stream does not
            yield from self.sorted_before()
        rows: dict[str, Row] = {}
        for edit in edits:
            if edit.whole:
                yield from self._batch(rows)
                self._miss()
            for row in self._rows(edit):
                rows[row["key"]] = row  # of several edits the last one counts
                if len(rows) >= _BATCH:
                    yield from self._batch(rows)
            if edit.whole:
                yield from self._batch(rows)
                yield from self._vanished(edit.data)
        yield from self._batch(rows)

    def _batch(self, rows: dict[str, Row]) -> Iterator[Page]:
        """A page of `rows`, if there are any, which are taken out of it."""
        if rows:
            yield self.page(list(rows.values()))
            rows.clear()

    def _rows(self, edit: Edit) -> Iterator[Row]:
        if not edit.path:
            gone = [key for key, value in edit.data.items() if value is None] if isinstance(edit.data, dict) else []
            for key, value in children_of(edit.data):
                if "/" in key:
                    yield self._read(key.split("/")[0])  # a patch may name what lies deeper
                elif value is not None:
                    yield self.mapper.row(key, value)
            for key in gone:
                if "/" not in key:
                    yield removed(key)
            return
        if len(edit.path) == 1 and not edit.patch:
            yield self.mapper.row(edit.path[0], edit.data) if edit.data is not None else removed(edit.path[0])
            return
        yield self._read(edit.path[0])  # a part of it has changed; the document is made of the whole

    def _read(self, key: str) -> Row:
        try:
            value = self.client.get((*self.path, key), exact.parse)
        except TooBig:
            return {"key": key, "value": None, "problem": TOO_BIG}
        return self.mapper.row(key, value) if value is not None else removed(key)


def _digest(row: Row) -> bytes:
    return digest(canonical(row))
