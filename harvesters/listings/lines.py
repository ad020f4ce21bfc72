"""The input of `listings send`: JSON lines, or the ids of listings that are to be deleted."""

from __future__ import annotations

import gzip
import io
import os
import select
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from harvesters.errors import BadInput
from harvesters.listings.message import id_text, parse_listing

_LONGEST = 64 * 1024 * 1024  # bytes of a line that are read; no topic takes messages of that size
_GLANCE = 0.2  # seconds between two looks at whether we are told to stop


@dataclass(frozen=True, slots=True)
class Line:
    """A message to send, or the reason why it cannot be sent."""

    number: int
    key: str = ""
    value: bytes | None = None
    refusal: str = ""


def listings_in(path: str, stop: threading.Event) -> Iterator[Line]:
    """Each line of a file with something in it; ``-`` is standard input, and a name that ends in .gz is compressed.

    Standard input ends, perhaps in the middle of a line, where `stop` is set while we wait for more of it.

    Raises:
        BadInput: the file cannot be read, or only its beginning.
    """
    try:
        with _opened(path, stop) as file:
            for number, line in enumerate(_lines(file), 1):
                if line is None:
                    yield Line(number, refusal=f"it has more than {_LONGEST} bytes")
                elif value := line.strip():
                    yield _listing(number, value)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BadInput(f"{path} cannot be read: {reason}") from error


def deletions(ids: Sequence[str]) -> Iterator[Line]:
    """A message for each id that deletes its listing."""
    for number, id in enumerate(ids, 1):
        try:
            yield Line(number, id_text(id, "the id"))
        except BadInput as error:
            yield Line(number, refusal=str(error))


def _listing(number: int, value: bytes) -> Line:
    try:
        return Line(number, parse_listing(value).id, value)
    except BadInput as error:
        return Line(number, refusal=str(error))


@contextmanager
def _opened(path: str, stop: threading.Event) -> Iterator[BinaryIO]:
    if path == "-":
        yield io.BufferedReader(_StandardInput(stop))
        return
    name = Path(path).expanduser()
    with gzip.open(name) if name.suffix == ".gz" else name.open("rb") as file:
        yield cast(BinaryIO, file)


class _StandardInput(io.RawIOBase):
    """Standard input; a pipe in which nothing comes does not keep us from ending."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._file = sys.stdin.fileno()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not select.select([self._file], (), (), _GLANCE)[0]:
            if self._stop.is_set():
                return 0
        return os.readv(self._file, [buffer])


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Every line; None for one that is longer than anything that can be sent."""
    while line := file.readline(_LONGEST):
        if line.endswith(b"\n") or len(line) < _LONGEST:
            yield line
            continue
        while rest := file.readline(_LONGEST):
            if rest.endswith(b"\n"):
                break
        yield None
