"""Projects that get other names: the file of ``setup migrate --rename-projects``."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harvesters.messages.ids import LONGEST, text_of

HEADER = ["old", "new", "from", "to"]
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class RenamesUnreadable(ValueError):
    """The file cannot be used; the text names the line, and what is wrong with it."""


@dataclass(frozen=True)
class Rename:
    """Project `old` becomes `new` in what is of ``[start, end)``."""

    line: int
    old: str
    new: str
    start: datetime = _FIRST
    end: datetime = _LAST

    def meets(self, other: Rename) -> bool:
        """Whether some moment is in both."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Renames:
    """All of them, none of which is in another's way."""

    rows: tuple[Rename, ...] = ()
    _by_old: dict[str, list[Rename]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            self._by_old.setdefault(row.old, []).append(row)

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def digest(self) -> str:
        """By which one set of them is told from another."""
        told = repr([(row.old, row.new, row.start, row.end) for row in self.rows])
        return hashlib.sha256(told.encode()).hexdigest()[:16] if self.rows else ""

    def of(self, project: Any, timestamp: Any) -> Any:
        """What `project` is called that something of `timestamp` (ISO 8601) names; the same where no row is for it."""
        rows = self._by_old.get(text_of(project) or "", ())
        if not rows:
            return project
        moment = _moment(timestamp)
        for row in rows:
            everything = (row.start, row.end) == (_FIRST, _LAST)
            if everything or (moment is not None and row.start <= moment < row.end):
                return row.new
        return project

    @classmethod
    def read(cls, path: Path) -> Renames:
        """The rows of a file: ``old,new,from,to``, with or without that header; an empty time is open.

        Raises:
            RenamesUnreadable: there is none, or a line is wrong.
        """
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RenamesUnreadable(f"{path} cannot be read: {error}") from error
        rows: list[Rename] = []
        reader = csv.reader(text.splitlines(keepends=True), strict=True)
        try:
            for cells in reader:
                values = [cell.strip() for cell in cells]
                if any(values) and not (values == HEADER and not rows):
                    rows.append(_fitting(_row(values, reader.line_num), rows))
        except (ValueError, csv.Error) as error:
            raise RenamesUnreadable(f"{path}, line {reader.line_num}: {error}") from error
        if not rows:
            raise RenamesUnreadable(f"{path}, line 1: it renames nothing; a line is old,new,from,to")
        return cls(tuple(rows))


def _row(cells: list[str], line: int) -> Rename:
    if len(cells) != len(HEADER):
        raise ValueError(f"it has {len(cells)} fields and not {len(HEADER)} (old,new,from,to)")
    old, new, start, end = cells
    for name, value in (("old", old), ("new", new)):
        if not value or text_of(value) is None:
            raise ValueError(f"{name} is no name of 1 to {LONGEST} characters")
    if old == new:
        raise ValueError(f"{old!r} would keep its name")
    made = Rename(line, old, new, _bound("from", start, _FIRST), _bound("to", end, _LAST))
    if made.start >= made.end:
        raise ValueError("from is not before to")
    return made


def _bound(name: str, text: str, otherwise: datetime) -> datetime:
    if not text:
        return otherwise
    moment = _moment(text)
    if moment is None:
        raise ValueError(f"{name} is no time in ISO 8601: {text!r}")
    return moment


def _moment(value: Any) -> datetime | None:
    """The instant; without an offset it is UTC, as in the cluster."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _fitting(row: Rename, rows: list[Rename]) -> Rename:
    """The row, if the file may be applied a second time and does nothing then."""
    for other in rows:
        if row.meets(other) and row.old == other.old:
            raise ValueError(f"{row.old!r} has another name at the same time in line {other.line}")
        if row.meets(other) and (row.old == other.new or row.new == other.old):
            raise ValueError(
                f"what line {other.line} renames would be renamed once more; use two files, one after both"
            )
    return row
