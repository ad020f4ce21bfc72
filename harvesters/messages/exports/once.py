"""Which messages were there before, told on the disk: memory does not grow with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from harvesters.messages.ids import text_of

Row = dict[str, Any]


class Once:
    """The messages that were seen; one is told by its type, its user and its id, as analytics count it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Once]:
        """None was seen so far; what it keeps is in a file without a name, which goes when it is closed."""
        with closing(sqlite3.connect("")) as database:
            yield cls(database)

    def is_new(self, message: Row) -> bool:
        """Whether it is seen for the first time."""
        key = "\0".join(text_of(message.get(name)) or "" for name in ("type", "userId", "messageId"))
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key.encode(),)).rowcount == 1
