"""Rows as CSV, JSON or a table, on standard output or in a file that is there only when it is whole."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import orjson

from harvesters import exact
from harvesters.errors import ReaderGone
from harvesters.files import StandardOutput, refusal, replacing

Row = dict[str, Any]
_HALF = re.compile("[\ud800-\udfff]")
Writer = Callable[[Iterable[Row], Sequence[str], TextIO], int]


def write_csv(rows: Iterable[Row], columns: Sequence[str], stream: TextIO) -> int:
    """A line of column names, then one for each row; returns how many."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - wanted after the loop
        writer.writerow([_cell(row.get(column)) for column in columns])
    return count


def write_json_lines(rows: Iterable[Row], columns: Sequence[str], stream: TextIO) -> int:
    """One object a line; returns how many."""
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007
        stream.write(_json(row, columns) + "\n")
    return count


def write_json(rows: Iterable[Row], columns: Sequence[str], stream: TextIO) -> int:
    """One array, with an object a line; returns how many."""
    count = 0
    stream.write("[")
    for count, row in enumerate(rows, 1):
        stream.write(f"{',' if count > 1 else ''}\n{_json(row, columns)}")
    stream.write("\n]\n")
    return count


def write_table(rows: Iterable[Row], columns: Sequence[str], stream: TextIO) -> int:
    """Aligned columns for people, numbers to the right; returns how many rows."""
    values = [[row.get(column) for column in columns] for row in rows]
    cells = [[_printable(value) for value in row] for row in values]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    numeric = [_all_numbers(column) for column in zip(*values, strict=True)] or [False] * len(columns)
    for line in (columns, ["-" * width for width in widths], *cells):
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        )
        stream.write("  ".join(padded).rstrip() + "\n")
    return len(cells)


WRITERS: dict[str, Writer] = {"table": write_table, "csv": write_csv, "json": write_json}
"""Who writes rows in each ``--format``."""


def _all_numbers(values: Iterable[Any]) -> bool:
    return all(
        value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool)) for value in values
    )


def _printable(value: Any) -> str:
    """A value on one line, without anything that would steer a terminal."""
    text = "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(_cell(value))
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _json(row: Row, columns: Sequence[str]) -> str:
    known = {column: row[column] for column in columns if column in row}
    try:
        return orjson.dumps(known, option=orjson.OPT_PASSTHROUGH_SUBCLASS).decode()
    except TypeError:  # half of a surrogate pair, or a number that keeps its spelling
        return exact.dumps(known).decode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    # Half of a surrogate pair, which no encoding has, is shown as JSON spells it.
    text = str(value) if isinstance(value, str | list | dict) else ""
    return text.encode("utf-8", "backslashreplace").decode() if _HALF.search(text) else value


@contextmanager
def opened(path: str | None) -> Iterator[TextIO]:
    """Standard output for None and ``-``; else a file that takes its name only if the block ends well.

    Raises:
        ConfigError: it cannot be written.
        SinkUnavailable: there is no room.
        ReaderGone: it is a pipe, and whoever read it has left.
    """
    if path in (None, "-"):
        with StandardOutput().text() as stream:
            yield stream
        return
    target = Path(str(path)).expanduser()
    try:
        if target.exists() and not target.is_file():  # a device or a pipe: nothing to take the name of
            with target.open("w", encoding="utf-8", newline="") as stream:
                yield stream
        else:
            with replacing(target.resolve()) as stream:
                yield stream
    except BrokenPipeError as error:
        raise ReaderGone(f"{target} was closed") from error
    except OSError as error:
        raise refusal(error, target, "Give --output another file.", "Run again then.") from error
