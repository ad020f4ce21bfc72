"""Tables as Python's csv writes them: commas or tabs by the name of the file, lines that end with CR LF."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, TextIO

from harvesters.messages.windows import Bounds

DELIMITERS = {".csv": ",", ".tsv": "\t"}


class Sheet:
    """A table that is written to `stream`; dates are naive, in `zone`."""

    def __init__(self, path: Path, stream: TextIO, zone: tzinfo) -> None:
        self._writer = csv.writer(stream, delimiter=DELIMITERS[path.suffix.lower()])
        self._zone = zone

    def row(self, *values: Any) -> None:
        """A line; None is an empty value."""
        self._writer.writerow([self._value(value) for value in values])

    def rows(self, rows: Iterable[Iterable[Any]]) -> None:
        """A line for each."""
        for row in rows:
            self.row(*row)

    def head(self, rows: Iterable[Iterable[Any]], columns: Iterable[str]) -> None:
        """What stands above the table, an empty line, and the names of the columns."""
        self.rows(rows)
        self.row()
        self.row(*columns)

    def _value(self, value: Any) -> Any:
        return naive(value, self._zone) if isinstance(value, datetime) else value


def bounded(bounds: Bounds | None) -> list[tuple[str, datetime]]:
    """Rows of the bounds that there are."""
    named = zip(("from", "to"), bounds or (), strict=False)
    return [(name, bound) for name, bound in named if bound is not None]


def naive(moment: datetime, zone: tzinfo) -> datetime:
    """What a clock in `zone` shows then."""
    try:
        return moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError:  # a bound at an end of the calendar
        return moment.replace(tzinfo=None)
