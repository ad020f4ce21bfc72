"""Events as they happen: what came since the checkpoint, then the stream, and from there again when it breaks."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from harvesters.firebase.client import TooBig
from harvesters.firebase.documents import Row
from harvesters.firebase.events import Events
from harvesters.firebase.keys import children_of
from harvesters.firebase.stream import Edit, EventStream, StreamEnded
from harvesters.pipeline import Page
from harvesters.timespan import Window

log = logging.getLogger(__name__)

_STEADY = 60.0  # seconds after which a stream that ends was a good one
_BATCH = 500
_RECENT = 20_000


@dataclass
class FollowedEvents(Events):
    """The events below `path` until told to stop: added, edited and deleted ones."""

    reconnects: int = 0
    _hasty: int = 0
    _recent: OrderedDict[str, bytes] = field(default_factory=OrderedDict)

    def pages(self, scope: Window | str | None) -> Iterator[Page]:
        """What came behind a push id, and what happens from now on; never ends by itself.

        Raises:
            ValueError: `scope` is a window, which has an end.
        """
        if isinstance(scope, Window):
            raise ValueError("a window cannot be followed")
        clock = self.client.http.retry.clock
        self.after = scope
        while True:
            yield from self.new()
            started = clock.monotonic()
            try:
                with EventStream(self.client, self.path, self._query()) as stream:
                    log.info("listening to %s", self.source)
                    for edits in stream.edits():
                        yield from self._pages_of(edits)
            except StreamEnded as ended:
                self.reconnects += 1
                if ended.renew:
                    self.client.auth.renew()
                self._hasty = self._hasty + 1 if clock.monotonic() - started < _STEADY else 1
                pause = self.client.http.retry.pause(self._hasty, None)
                log.warning("the stream of %s ended: %s; going on in %.1f s", self.source, ended, pause)
                clock.sleep(pause)

    def report(self) -> dict[str, Any]:
        """How often it had to be connected again, too."""
        return {**super().report(), "reconnects": self.reconnects}

    def page(self, rows: list[Row]) -> Page:
        """As without a stream; but a stream begins with what was read before it, so what was just seen is left out."""
        fresh = []
        for row in rows:
            digest = _digest(row)
            if self._recent.get(row["key"]) != digest:
                fresh.append(row)
            self._recent[row["key"]] = digest
            self._recent.move_to_end(row["key"])
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return replace(super().page(rows), rows=fresh)

    def _query(self) -> dict[str, str]:
        bounds = {name: orjson.dumps(bound).decode() for name, bound in self.start().items()}
        return {"orderBy": '"$key"', **bounds}

    def _pages_of(self, edits: list[Edit]) -> Iterator[Page]:
        if not edits:  # a keep-alive: time to look where the stream does not
            yield from self.sorted_before()
        rows: dict[str, Row] = {}
        for edit in edits:
            for row in self._rows(edit):
                rows[row["key"]] = row  # of several edits the last one counts
                if len(rows) >= _BATCH:
                    yield self.page(list(rows.values()))
                    rows = {}
        if rows:
            yield self.page(list(rows.values()))

    def _rows(self, edit: Edit) -> Iterator[Row]:
        if not edit.path:
            if edit.data is None:
                return  # nothing is there: the first event of an empty node, or all of it was removed at once
            removed = [key for key, value in edit.data.items() if value is None] if isinstance(edit.data, dict) else []
            for key, value in children_of(edit.data):
                if "/" in key:
                    yield self._read(key.split("/")[0])  # a patch may name what lies deeper
                elif value is not None:
                    yield self.mapper.row(key, value)
            for key in removed:
                if "/" not in key:
                    yield _removed(key)
            return
        if len(edit.path) == 1 and not edit.patch:
            yield self.mapper.row(edit.path[0], edit.data) if edit.data is not None else _removed(edit.path[0])
            return
        yield self._read(edit.path[0])  # a part of it has changed; the document is made of the whole

    def _read(self, key: str) -> Row:
        try:
            value = self.client.get((*self.path, key))
        except TooBig:
            return {"key": key, "value": None, "problem": "the event is larger than the database sends in one answer"}
        return self.mapper.row(key, value) if value is not None else _removed(key)


def _digest(row: Row) -> bytes:
    try:
        content = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        content = repr(row).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(content, digest_size=8).digest()


def _removed(key: str) -> Row:
    return {"key": key, "deleted": True}
