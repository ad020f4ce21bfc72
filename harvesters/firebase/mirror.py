"""An index kept equal to a node of the database: profiles, classes.

The whole node is read into a temporary file first, and only then is anything changed; so a source that fails half-way
changes nothing. What is gone is found by comparing ids, and deleted by id.
"""

from __future__ import annotations

import errno
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any, Protocol

import orjson

from harvesters.document import Document
from harvesters.errors import BadInput, Unavailable
from harvesters.firebase import exact
from harvesters.firebase.client import FirebaseClient, TooBig
from harvesters.firebase.documents import Row, document_id
from harvesters.firebase.keys import Path, children_of
from harvesters.firebase.people import EntityMapper
from harvesters.firebase.walk import Walk
from harvesters.harvest import Page

log = logging.getLogger(__name__)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class IndexContent(Protocol):
    """What is in an index, and how it leaves it."""

    def ids(self) -> Iterator[list[str]]:
        """The ids of all documents, in batches."""

    def remove(self, ids: Sequence[str]) -> int:
        """Delete documents by id, wherever behind the alias they are; how many there were."""

    def refresh(self) -> bool:
        """Have searches see what was indexed and deleted; False when there is no such index."""


@dataclass
class Mirror:
    """All children of `path`, read in full before the first of them is passed on.

    Args:
        index: what is gone is removed from it; None removes nothing.
        allow_empty: whether an empty node is believed, and empties the index.
    """

    client: FirebaseClient
    path: Path
    mapper: EntityMapper
    index: IndexContent | None = None
    allow_empty: bool = False
    batch_size: int = 500
    removed: int = 0
    _ids: set[str] = field(default_factory=set)

    @property
    def kind(self) -> str:
        """That of the documents."""
        return self.mapper.kind

    @property
    def source(self) -> str:
        """The node's address."""
        return f"{self.client.base_url}/{'/'.join(self.path)}"

    def time(self) -> datetime | None:
        """There is no checkpoint that a clock could lead astray."""
        return None

    def acknowledged(self, page: Page) -> None:
        """Nothing is kept of a page."""

    def pages(self, scope: None) -> Iterator[Page]:
        """Everything."""
        with self._spool() as spool:
            requests = self._read(spool)
            if not self._ids and self.index is not None and not self.allow_empty:
                raise BadInput(
                    f"{self.source} is empty, so everything in the index would be deleted. Nothing was changed; give "
                    "--allow-empty if this is meant."
                )
            spool.seek(0)
            rows: list[Row] = []
            for line in spool:
                rows.append(exact.loads(line, keys=2))
                if len(rows) == self.batch_size:
                    yield Page(rows, expected=len(self._ids), requests=requests)
                    rows, requests = [], 0
            yield Page(rows, expected=len(self._ids), requests=requests)

    def sweep(self) -> None:
        """Delete what is in the index and was not in the database; after everything else is delivered.

        Raises:
            Unavailable: a second look at the database shows what the first did not; that is not deleted.
        """
        if self.index is None:
            return
        there: set[str] | None = None
        unread = 0
        for ids in self.index.ids():
            gone = [id for id in ids if id not in self._ids]
            if not gone:
                continue
            there = self._second_look() if there is None else there
            unread += sum(1 for id in gone if id in there)
            self.removed += self.index.remove([id for id in gone if id not in there])
        self.index.refresh()  # who is gone is not found any more once the run has ended
        if unread:
            raise Unavailable(
                f"{self.source}: {unread} were not among what was read, and are there all the same. They were not "
                "deleted; run the same command again."
            )

    def row_id(self, row: Row) -> str:
        """The key."""
        return str(row["key"])

    def documents(self, rows: Sequence[Row]) -> list[Document | str]:
        """Map rows."""
        return [self.mapper.document(row) for row in rows]

    def report(self) -> dict[str, Any]:
        """What was read from where."""
        return {"path": "/" + "/".join(self.path), "removed": self.removed}

    def close(self) -> None:
        """Close the connections; the temporary file is gone already."""
        self.client.close()

    @contextmanager
    def _spool(self) -> Iterator[IO[bytes]]:
        """A temporary file.

        Raises:
            Unavailable: there is no room for it.
        """
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - what fails in here is told from what fails in the block
        except OSError as error:
            raise self._no_room(error) from error
        try:
            with file:
                yield file
        except OSError as error:
            raise (self._no_room(error) if error.errno in _NO_ROOM else error) from error

    def _no_room(self, error: OSError) -> Unavailable:
        where = tempfile.tempdir or "the directory that TMPDIR names"
        return Unavailable(
            f"what {self.source} holds cannot be put into a temporary file: {error.strerror}. Make room in {where}, or "
            "have TMPDIR name another directory, and run again. Nothing was changed."
        )

    def _read(self, spool: IO[bytes]) -> int:
        """Read the node into `spool`, scrubbed; the number of requests."""
        self._ids.clear()
        requests = 0
        entities = 0
        for page in Walk(self.client, self.path, parse=exact.parse).pages():
            requests += 1
            for path, value in page.entries:
                if len(path) != 1:
                    what = f"{'/'.join(path)}, which is too large for one answer" if path else "a single value"
                    raise BadInput(f"{self.source} holds {what}, where profiles or classes are. Nothing was changed.")
                entities += isinstance(value, dict)
                self._ids.add(document_id(path[0]))
                spool.write(_line(self.mapper.row(path[0], value)))
        if self._ids and not entities:
            raise BadInput(f"{self.source} holds nothing that is a profile or a class. Nothing was changed.")
        spool.flush()  # a full disk has to show before anything is changed
        return requests

    def _second_look(self) -> set[str]:
        """The ids of all keys, asked for once more and alone: before anything is deleted for not having been seen."""
        try:
            found = {document_id(key) for key, _ in children_of(self.client.keys(self.path))}
        except TooBig:
            log.info("%s has too many keys for a second look", self.source)
            return set()
        if self._ids and not found:
            raise Unavailable(
                f"{self.source} had {len(self._ids)} children a moment ago and none now. Nothing is deleted."
            )
        return found


def _line(row: Row) -> bytes:
    try:
        return orjson.dumps(row) + b"\n"
    except TypeError:  # half of a surrogate pair in the key, which only escapes can write
        return b'{"key":%b,"value":%b}\n' % (json.dumps(row["key"]).encode(), orjson.dumps(row["value"]))
