"""The two formats of an export, and how the end of a file that was cut off is found in each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Protocol

import orjson
from msgspec import Raw

from harvesters.firebase.keys import Path
from harvesters.firebase.walk import Entry

_BLOCK = 1 << 20
_MEMBER = re.compile(rb'("(?:[^"\\]|\\.)*"):')


class Format(Protocol):
    """How entries are written."""

    def resume(self, file: BinaryIO) -> Path | None:
        """Cut off what is behind the last whole entry of `file`, leave it positioned there, and return its path.

        ``()`` when there is none, None when the file is complete.

        Raises:
            ValueError: this is no such file; it was not changed.
        """

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Entries in order, behind those before."""

    def end(self) -> bytes:
        """What completes the file."""


class Lines:
    """One line an entry. A file of lines is never complete: a second run adds what has come behind its last key."""

    def resume(self, file: BinaryIO) -> Path | None:
        """Read the last whole line."""
        size = file.seek(0, os.SEEK_END)
        end = _last_newline(file, size)
        start = _last_newline(file, max(0, end - 1))
        if end == 0:
            _must_begin_with(file, size, b'{"key":')
            file.truncate(0)
            file.seek(0)
            return ()
        file.seek(start)
        try:
            key = json.loads(file.read(end - start).decode("utf-8", "replace"))["key"]  # a value may be no UTF-8
        except (ValueError, KeyError, TypeError):
            raise ValueError("its last line is no {key, value}") from None
        if not isinstance(key, str):
            raise ValueError("its last line has a key that is no text")
        file.truncate(end)
        file.seek(end)
        return tuple(key.split("/")) if key else None  # the value of a node without children is all there is

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """``{"key":…,"value":…}`` and a newline each."""
        return b"".join([_line("/".join(path), value) for path, value in entries])

    def end(self) -> bytes:
        """Nothing."""
        return b""


class OneObject:
    """One JSON document: an object whose members stand on lines of their own, nested where a child was too big.

    A scalar is written as it is, and nothing as ``null``.
    """

    def __init__(self) -> None:
        self._last: Path | None = None
        self._scalar = False

    def resume(self, file: BinaryIO) -> Path | None:
        """Read the lines from the beginning, for the enclosing objects are opened there."""
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        first = file.readline()
        if first != b"{\n":
            if first[:1] not in b"{[" and first.endswith(b"\n") and size == len(first) and _is_json(first):
                return None  # null or a scalar, whole
            _must_begin_with(file, size, b"{\n")
            file.truncate(0)
            file.seek(0)
            return ()
        good, self._last = self._last_entry(file)
        if good is None:
            return None
        file.truncate(good)
        file.seek(good)
        return self._last or ()

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Members, each but the first behind a comma and a newline."""
        parts: list[bytes] = []
        for path, value in entries:
            if not path:
                self._scalar = True
                return _dump(value) + b"\n"
            parts.append(self._between(path))
            parts.append(_dump(path[-1]) + b":" + _dump(value))
            self._last = path
        return b"".join(parts)

    def end(self) -> bytes:
        """Close what is open."""
        if self._last is None:
            return b"" if self._scalar else b"null\n"
        return b"\n}" * len(self._last) + b"\n"

    def _between(self, path: Path) -> bytes:
        """What stands between the last entry and the one at `path`: objects that end, and objects that begin."""
        last = self._last
        if last is None:
            return b"{\n" + _opened(path[:-1])
        common = 0
        while common < min(len(last), len(path)) - 1 and last[common] == path[common]:
            common += 1
        closed = b"\n}" * (len(last) - 1 - common)
        return closed + b",\n" + _opened(path[common:-1])

    def _last_entry(self, file: BinaryIO) -> tuple[int | None, Path | None]:
        """The offset behind the last whole entry, and its path; offset None when the object is complete."""
        above: list[str] = []
        good, last, offset = 0, None, 2
        for line in file:
            offset += len(line)
            if not line.endswith(b"\n"):
                break  # cut off: even if it looks whole, it may go on
            text = line[:-1].removesuffix(b",")
            if text == b"}":
                if not above:
                    return None, last
                above.pop()
            elif text.endswith(b":{"):
                above.append(_key_of(text))
            else:
                last = (*above, _key_of(text))
                good = offset - len(line) + len(text)
        return good, last


def _opened(path: Path) -> bytes:
    return b"".join(_dump(key) + b":{\n" for key in path)


def _key_of(member: bytes) -> str:
    found = _MEMBER.match(member)
    if found is None:
        raise ValueError("a line in it is no member of an object")
    return str(json.loads(found[1]))


def _line(key: str, value: Any) -> bytes:
    return b'{"key":%b,"value":%b}\n' % (_dump(key), value if value.__class__ is Raw else _dump(value))


def _dump(value: Any) -> bytes:
    if isinstance(value, Raw):
        return bytes(value)
    try:
        return orjson.dumps(value)
    except TypeError:  # half of a surrogate pair, which only escapes can write
        return json.dumps(value, separators=(",", ":")).encode()


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _must_begin_with(file: BinaryIO, size: int, start: bytes) -> None:
    """Raise ValueError unless what there is of the file (it may have been cut off) could be our first line."""
    file.seek(0)
    head = file.read(min(size, len(start)))
    if head != start[: len(head)]:
        raise ValueError("it begins with something else")


def _last_newline(file: BinaryIO, end: int) -> int:
    """The offset behind the last newline before offset `end`; 0 when there is none."""
    for start, block in _backwards(file, end):
        at = block.rfind(b"\n")
        if at >= 0:
            return start + at + 1
    return 0


def _backwards(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        yield start, file.read(end - start)
        end = start
