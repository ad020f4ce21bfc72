"""Events whose keys do not say when they happened, read once for all windows of a range: a temporary file of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson

from harvesters.firebase import exact
from harvesters.firebase.documents import Row, milliseconds
from harvesters.harvest import Page
from harvesters.timespan import Window

_AT_ONCE = 1000


@dataclass(frozen=True)
class Elsewhere:
    """The events of `whole` in the file at `path`, by when they happened."""

    whole: Window
    path: Path

    def fill(self, pages: Iterable[Iterable[tuple[int, Row]]]) -> None:
        """Write events down with their milliseconds; the file is new."""
        with closing(sqlite3.connect(self.path)) as file, file:
            file.execute("PRAGMA synchronous = OFF")
            file.execute("CREATE TABLE events (ms INTEGER, row BLOB)")
            for page in pages:
                file.executemany("INSERT INTO events VALUES (?, ?)", ((ms, _dumps(row)) for ms, row in page))
            file.execute("CREATE INDEX by_time ON events (ms)")

    def within(self, window: Window) -> Iterator[Page]:
        """The events of `window`, as pages."""
        span = milliseconds(window.start), milliseconds(window.end)
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as file:
            found = file.execute("SELECT row FROM events WHERE ms >= ? AND ms < ? ORDER BY ms, rowid", span)
            while rows := found.fetchmany(_AT_ONCE):
                yield Page([exact.loads(row) for (row,) in rows])


def _dumps(row: Row) -> bytes:
    try:
        return orjson.dumps(row)
    except TypeError:  # a key with half of a surrogate pair, which orjson does not write
        return json.dumps(row, default=lambda number: float(number.contents)).encode()
