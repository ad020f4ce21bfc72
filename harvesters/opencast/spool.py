"""An answer of any size, on disk: read row by row, so that memory does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import IO, Any

from harvesters.retry import Transient

_END = 64


class OddAnswer(Exception):
    """An answer came whole, and holds what a stream cannot read, such as a number of hundreds of digits."""


def total(file: IO[bytes]) -> int | None:
    """Read a spooled answer through once, so that one that is cut off is found out before a row of it is used.

    Raises:
        Transient: it is cut off, or is no JSON at all.
        OddAnswer: it is whole.
    """
    import ijson

    stated: int | None = None
    file.seek(0)
    try:
        for prefix, event, value in ijson.parse(file, use_float=True):
            if prefix == "actions.total" and event in ("string", "number"):
                stated = int(value)
    except (ijson.JSONError, ValueError) as error:
        if _whole(file):
            raise OddAnswer(str(error)) from None
        raise Transient(f"sent JSON that cannot be read: {error}") from None
    return stated


def _whole(file: IO[bytes]) -> bool:
    size = file.seek(0, 2)
    file.seek(max(0, size - _END))
    return b"".join(file.read().split()).endswith(b"}}")


class SpooledRows(Iterator[Any]):
    """The rows of a spooled answer, once; close it if they are not read to the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._rows = self._read()

    def __next__(self) -> Any:
        return next(self._rows)

    def close(self) -> None:
        """Drop the file."""
        self._file.close()

    def _read(self) -> Iterator[Any]:
        import ijson

        with closing(self._file) as file:
            file.seek(0)
            events = ijson.parse(file, use_float=True)
            start = next((event for prefix, event, _ in events if prefix == "actions.action"), "")
            file.seek(0)
            path = "actions.action.item" if start == "start_array" else "actions.action"
            yield from ijson.items(file, path, use_float=True)
