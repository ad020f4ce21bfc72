"""Lists of whose profile the survey updated, or failed to, with free-form dates."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from harvesters.errors import BadInput, ConfigError
from harvesters.messages.exports.sheet import DELIMITERS

USER = "wenet_id"
UPDATED, FAILED = "last_update", "failure_datetime"

Entry = tuple[str, datetime]


def read(path: Path, column: str) -> list[Entry]:
    """Each user in a csv or tsv file, with the time in `column`; one without an offset is UTC.

    Raises:
        ConfigError: the file cannot be read.
        BadInput: a column is missing, or a row holds no id or no time.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(_entries(csv.reader(stream, delimiter=DELIMITERS[path.suffix.lower()]), path, column))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}. Check its name.") from error
    except UnicodeDecodeError:
        raise BadInput(f"{path} is no UTF-8: save it as UTF-8 and run again.") from None
    except csv.Error as error:
        raise BadInput(f"{path} is no {path.suffix[1:]} file: {error}") from None


def _entries(lines: Iterator[list[str]], path: Path, column: str) -> Iterator[Entry]:
    names = [name.strip() for name in next(lines, [])]
    for wanted in (USER, column):
        if names.count(wanted) != 1:
            raise BadInput(f"{path} needs a column {wanted}; its first line is: {', '.join(names)[:200]}")
    user_at, moment_at = names.index(USER), names.index(column)
    for number, row in enumerate(lines, 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = [*(cell.strip() for cell in row), *[""] * len(names)]
        user, text = cells[user_at], cells[moment_at]
        moment = _moment(text)
        if not user or moment is None:
            what = f"{column} {text[:40]!r} is no time" if user else f"{USER} is empty"
            raise BadInput(f"{path}, row {number}: {what}. Mend or remove the row, and run again.")
        yield user, moment


def _moment(text: str) -> datetime | None:
    try:
        moment: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        moment = _free_form(text)
    if moment is None:
        return None
    try:
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None


def _free_form(text: str) -> datetime | None:
    import dateparser

    try:
        found: datetime | None = dateparser.parse(text, settings={"TIMEZONE": "UTC", "RETURN_AS_TIMEZONE_AWARE": True})
        return found
    except (ValueError, OverflowError, TypeError, LookupError, AttributeError):  # what it raises for odd texts
        return None
