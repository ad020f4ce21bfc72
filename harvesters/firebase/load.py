"""The harvest of a dump: a file instead of a database, the same documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from harvesters.document import Document
from harvesters.firebase.documents import EventMapper, Row
from harvesters.firebase.dumps.reading import Dump
from harvesters.harvest import Page


@dataclass
class DumpHarvest:
    """All children of a dump as events, `batch_size` at a time."""

    dump: Dump
    mapper: EventMapper
    batch_size: int = 2000

    @property
    def kind(self) -> str:
        """That of the documents."""
        return self.mapper.kind

    @property
    def source(self) -> str:
        """The file."""
        return str(self.dump.path)

    def time(self) -> datetime | None:
        """There is no checkpoint that a clock could lead astray."""
        return None

    def acknowledged(self, page: Page) -> None:
        """Nothing is kept of a page."""

    def pages(self, scope: None) -> Iterator[Page]:
        """Everything."""
        pairs = self.dump.pairs()
        while rows := [self.mapper.row(key, value) for key, value in islice(pairs, self.batch_size)]:
            yield Page(rows)

    def row_id(self, row: Row) -> str:
        """The key."""
        return str(row["key"])

    def documents(self, rows: Sequence[Row]) -> list[Document | str]:
        """Map rows."""
        return [self.mapper.document(row) for row in rows]

    def report(self) -> dict[str, Any]:
        """Which file it was."""
        return {"file": str(self.dump.path)}

    def close(self) -> None:
        """The file is closed where it is read."""
