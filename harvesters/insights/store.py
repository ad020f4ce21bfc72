"""The events at hand: a table in DuckDB, an engine inside of this process, that holds what memory allows.

What does not fit is spilled into a directory of the system's temporary files, which goes with the store. Nothing is
read from a network: the engine may fetch no extensions.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from harvesters.errors import ConfigError, Interrupted, Unavailable
from harvesters.exact import whole
from harvesters.insights.calendar import Calendar
from harvesters.insights.events import COUNTED, NO_OBJECT, UNDATED, Row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH = 20_000
_ALONE = 500_000  # events up to which one thread answers a question

_STAGED = """
CREATE TABLE staged (
    number BIGINT, key VARCHAR, fate TINYINT, ms BIGINT, day DATE, type VARCHAR, creator VARCHAR, school VARCHAR,
    class VARCHAR, one VARCHAR, other VARCHAR, polarity DOUBLE, subjectivity DOUBLE
)
"""
_INSERT = """
INSERT INTO staged
SELECT number, key, fate, ms, DATE '1970-01-01' + day::INTEGER, type, creator, school, class, one, other, polarity,
    subjectivity
FROM batch
"""


@dataclass(frozen=True)
class LeftOut:
    """How many events no answer counts."""

    undated: int
    future: int
    no_object: int

    def __str__(self) -> str:
        return f"{self.undated} undated, {self.future} from the future, {self.no_object} that are no objects"

    def __bool__(self) -> bool:
        return any((self.undated, self.future, self.no_object))


class Store:
    """The events. One thread fills it; any number may ask.

    Args:
        calendar: whose days count (``FIREBASE_TIMEZONE``).
        memory: what the engine may take, such as ``512MB`` (``HARVEST_INSIGHTS_MEMORY``).
        stop: filling ends when it is set.

    Raises:
        ConfigError: the engine is not installed, or does not take `memory`.
    """

    def __init__(self, calendar: Calendar, memory: str, stop: threading.Event | None = None) -> None:
        self.calendar = calendar
        self._stop = stop if stop is not None else threading.Event()
        self._numbers = count()
        self.schemas = count()
        self._cursors: set[DuckDBPyConnection] = set()
        engine = _engine()
        self._spilled = tempfile.TemporaryDirectory(prefix="harvest-insights-", ignore_cleanup_errors=True)
        try:
            self.connection: DuckDBPyConnection = engine.connect(
                ":memory:",
                config={
                    "memory_limit": memory,
                    "temp_directory": self._spilled.name,
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                    "preserve_insertion_order": "false",
                    "threads": "1",  # to fill it: two would wait for each other while they read Python's texts
                },
            )
            self.connection.execute(_STAGED)
        except engine.Error as error:
            self._spilled.cleanup()
            raise ConfigError(f"HARVEST_INSIGHTS_MEMORY={memory!r}: {_first_line(error)}") from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything, on the disk too."""
        self.connection.close()
        self._spilled.cleanup()

    @contextmanager
    def cursor(self) -> Iterator[DuckDBPyConnection]:
        """A connection of its own for one query, which `interrupt` ends."""
        cursor = self.connection.cursor()
        self._cursors.add(cursor)
        try:
            yield cursor
        finally:
            self._cursors.discard(cursor)
            cursor.close()

    def interrupt(self) -> None:
        """End the queries that run; they raise `Interrupted`."""
        for connection in (self.connection, *self._cursors.copy()):
            connection.interrupt()

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; one whose key is there already takes its place.

        Raises:
            Interrupted: told to stop.
            HarvestError: as `rows` raises.
        """
        rows = iter(rows)
        while batch := [*islice(rows, _BATCH)]:
            if self._stop.is_set():
                raise Interrupted("told to stop: nothing was answered")
            self._insert(batch)

    def settle(self, now: int) -> LeftOut:
        """Have of each key the last row only; no answer counts what happened after `now` (milliseconds since 1970)."""
        with translated():
            # With few events several threads win little time, and take half as much of the processors' again.
            self.connection.execute("RESET threads" if self.count() > _ALONE else "SET threads = 1")
            self._settle()
            told = f"fate = {COUNTED} AND ms <= {now}"
            self.connection.execute(f"CREATE OR REPLACE VIEW main.told AS SELECT * FROM main.staged WHERE {told}")
            found = self.connection.execute(
                "SELECT count(*) FILTER (fate = $undated), count(*) FILTER (fate = $counted AND ms > $now), "
                "count(*) FILTER (fate = $none) FROM staged",
                {"undated": UNDATED, "counted": COUNTED, "none": NO_OBJECT, "now": now},
            ).fetchone()
        assert found is not None
        return LeftOut(*found)

    def keep(self, keys: Iterable[str]) -> None:
        """Forget the rows of all other keys."""
        import numpy as np

        with translated():
            self.connection.register("kept", {"key": np.array(_encodable([*keys]), dtype=object)})
            self.connection.execute("DELETE FROM staged WHERE key NOT IN (SELECT key FROM kept)")
            self.connection.unregister("kept")

    def count(self) -> int:
        """How many keys there are, when it is settled."""
        with translated():
            ((count,),) = self.connection.execute("SELECT count(*) FROM staged").fetchall()
        return int(count)

    def _settle(self) -> None:
        found = self.connection.execute("SELECT count(*), count(DISTINCT key) FROM staged").fetchone()
        assert found is not None
        if found[0] != found[1]:
            last = "SELECT max(number) FROM staged GROUP BY key"
            self.connection.execute(f"DELETE FROM staged WHERE number NOT IN ({last})")

    def _insert(self, rows: list[Row]) -> None:
        import numpy as np

        columns: dict[str, Sequence[Any]] = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
        columns["class"] = columns.pop("class_")
        at = np.array(columns.pop("at"), dtype=np.int64)
        fate = np.array(columns.pop("fate"), dtype=np.int8)
        scores = {name: np.array(columns.pop(name), dtype=np.float64) for name in ("polarity", "subjectivity")}
        batch = {
            "number": np.fromiter(islice(self._numbers, len(rows)), dtype=np.int64),
            "ms": at,
            "day": self.calendar.numbers(at),
            "fate": fate,
            **scores,
            **{name: np.array(_encodable(texts), dtype=object) for name, texts in columns.items()},
        }
        with translated():
            self.connection.register("batch", batch)
            self.connection.execute(_INSERT)
            self.connection.unregister("batch")


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the engine, as ours.

    Raises:
        Interrupted: the query was interrupted.
        ConfigError: there is not enough memory.
        Unavailable: what is spilled cannot be written.
    """
    engine = _engine()
    try:
        yield
    except engine.InterruptException as error:
        raise Interrupted("told to stop: nothing was answered") from error
    except (engine.OutOfMemoryException, engine.TransactionException) as error:  # the latter while it commits
        raise ConfigError(
            f"HARVEST_INSIGHTS_MEMORY is not enough for these events, or {tempfile.gettempdir()}, where more than that "
            f"goes, is full: {_first_line(error)}"
        ) from error
    except engine.IOException as error:
        raise Unavailable(
            f"what does not fit into memory cannot be written to {tempfile.gettempdir()}: {_first_line(error)}"
        ) from error


def _encodable(texts: Sequence[str]) -> Sequence[str]:
    """The texts, with U+FFFD for halves of surrogate pairs, which no UTF-8 has."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return [whole(text) for text in texts]
    return texts


def _engine() -> Any:
    try:
        import duckdb
        import numpy  # noqa: F401
    except ImportError as error:
        raise ConfigError("insights needs an extra that is not installed: pip install 'harvest[insights]'") from error
    return duckdb


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
