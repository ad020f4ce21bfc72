"""What was counted: of each listing how many views, what they make of it, and whether its document says so.

The totals, and up to where the log is in them, change together, in one transaction of SQLite: whoever is killed has
counted a view, or has not. All of it can be made anew from the log.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from harvesters.errors import ConfigError, HarvestError, RaceLost, TryLater, Unavailable
from harvesters.listings import hot
from harvesters.listings.logreader import Position, Views

log = logging.getLogger(__name__)

_FORM = 1
_BEGINNING = Position()
_WRITTEN, _TO_WRITE, _WAITING = range(3)
_PATIENCE = 5.0  # seconds to wait for another process
_AT_ONCE = 2000  # totals
_SCHEMA = f"""
PRAGMA cache_size = -32768;
CREATE TABLE IF NOT EXISTS progress (
    form INTEGER, log TEXT, half_life REAL, file INTEGER, size INTEGER, times INTEGER, lines INTEGER,
    place TEXT, seq_no INTEGER);
CREATE TABLE IF NOT EXISTS listing (id TEXT PRIMARY KEY, visits INTEGER, hot REAL, state INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unwritten ON listing (state, id) WHERE state <> {_WRITTEN};
"""
_ADD = f"""
INSERT INTO listing VALUES (?, ?, ?, {_TO_WRITE})
ON CONFLICT DO UPDATE SET
    visits = visits + excluded.visits, hot = together(hot, excluded.hot), state = {_TO_WRITE}
"""


class Total(Struct, frozen=True, gc=False):
    """What the document of a listing has to say."""

    id: str
    visits: int
    hot: float


@dataclass(frozen=True)
class Progress:
    """What is in the totals, and which index they were written into.

    Attributes:
        log: which log they are of.
        half_life: with which `hot` was computed.
        position: up to where the log is in them.
        index: which one that is; one that was made anew is another.
        seq_no: up to which of its changes it was searched for documents that are new.
    """

    log: str = ""
    half_life: float = 0.0
    position: Position = _BEGINNING
    index: str = ""
    seq_no: int = -1


class Totals:
    """The totals in the file at `path`, which is made if missing; a context manager.

    Raises:
        TryLater, RaceLost: another process works on them, or did meanwhile.
        Unavailable, ConfigError: the file cannot be read or written, in any of its methods.

    Attributes:
        progress: how far they are.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress = Progress()
        self._database = sqlite3.connect(":memory:")

    def __enter__(self) -> Self:
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._database.close()
            if isinstance(error, sqlite3.OperationalError):
                raise self._meaning(error) from error
            log.warning("%s cannot be read (%s): everything is counted anew from the log", self.path, error)
            for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
                path.unlink(missing_ok=True)
            self._open()
        return self

    def __exit__(self, *exc: object) -> None:
        self._database.close()

    def begin_anew(self, log: str, half_life: float) -> None:
        """Forget everything: what comes is counted from the beginning of `log`."""
        with self._changing(Progress(log, half_life)) as database:
            database.execute("DELETE FROM listing")

    def add(self, views: Mapping[bytes, Views], end: Position) -> None:
        """Count more views, up to `end`."""
        rows = sorted((id.decode(), more.number, more.hot) for id, more in views.items())
        with self._changing(replace(self.progress, position=end)) as database:
            database.executemany(_ADD, rows)

    def write_all(self, index: str, seq_no: int) -> None:
        """Every total has to be written: the index is another one."""
        with self._changing(replace(self.progress, index=index, seq_no=seq_no)) as database:
            database.execute(f"UPDATE listing SET state = {_TO_WRITE}")

    def doubt(self) -> None:
        """Documents may say what we wrote after somebody else, who loses the race as well; the next writes all anew."""
        self._ask("UPDATE progress SET place = ''")

    def write_again(self, ids: Iterable[str]) -> None:
        """The totals of these listings, of those that have any, have to be written."""
        with self._changing(self.progress) as database:
            database.executemany(f"UPDATE listing SET state = {_TO_WRITE} WHERE id = ?", [(id,) for id in ids])

    def searched(self, seq_no: int) -> None:
        """The index was searched for new documents up to this change of it."""
        if seq_no != self.progress.seq_no:
            with self._changing(replace(self.progress, seq_no=seq_no)):
                pass

    def to_write(self) -> Iterator[list[Total]]:
        """The totals that have to be written, some at a time."""
        last = ""
        while rows := self._ask(
            f"SELECT id, visits, hot FROM listing WHERE state = {_TO_WRITE} AND id > ? ORDER BY id LIMIT {_AT_ONCE}",
            last,
        ):
            yield [Total(*row) for row in rows]
            last = rows[-1][0]

    def settle(self, totals: Sequence[Total], missing: Iterable[str], left: Iterable[str]) -> None:
        """These, which `to_write` gave together, are written.

        Args:
            missing: the ids of those that have no document: they wait until they have.
            left: the ids of those that are not written all the same.
        """
        with self._changing(self.progress) as database:
            database.execute(
                f"UPDATE listing SET state = {_WRITTEN} WHERE state = {_TO_WRITE} AND id BETWEEN ? AND ?",
                (totals[0].id, totals[-1].id),
            )
            for state, ids in ((_WAITING, missing), (_TO_WRITE, left)):
                database.executemany(f"UPDATE listing SET state = {state} WHERE id = ?", [(id,) for id in ids])

    def unwritten(self) -> int:
        """How many listings have views that no document says."""
        ((count,),) = self._ask(f"SELECT COUNT(*) FROM listing WHERE state <> {_WRITTEN}")
        return int(count)

    def _open(self) -> None:
        self._database.close()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.path.parent} cannot be made: {error.strerror}") from error
        self._database = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        self._database.create_function("together", 2, hot.together, deterministic=True)
        self._database.executescript(_SCHEMA)
        self.progress = self._noted() or Progress()

    def _noted(self) -> Progress | None:
        row = self._database.execute("SELECT * FROM progress").fetchone()
        if row is None or row[0] != _FORM:
            return None
        return Progress(row[1], row[2], Position(*row[3:7]), *row[7:])

    def _ask(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(question, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._meaning(error) from error

    @contextmanager
    def _changing(self, progress: Progress) -> Iterator[sqlite3.Connection]:
        """A transaction that ends with `progress`, and begins only if nobody else has changed anything."""
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            try:
                if (self._noted() or Progress()) != self.progress:
                    raise RaceLost(f"another process has changed {self.path} meanwhile; run the same command again")
                yield database
                values = (_FORM, progress.log, progress.half_life, *progress.position, progress.index, progress.seq_no)
                database.execute("DELETE FROM progress")
                database.execute("INSERT INTO progress VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
                self._commit()
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except sqlite3.DatabaseError as error:
            raise self._meaning(error) from error
        self.progress = progress

    def _commit(self) -> None:
        self._database.execute("COMMIT")

    def _meaning(self, error: sqlite3.DatabaseError) -> HarvestError:
        text = f"{self.path}: {error}"
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return TryLater(f"{text}: another process works on it; run the same command again")
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return Unavailable(f"{text}. Make room in {self.path.parent}. Nothing is lost: run again then.")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return ConfigError(f"{text}. Remove it: everything is counted anew from the log then.")
        return ConfigError(f"{text}. See that it can be written.")
