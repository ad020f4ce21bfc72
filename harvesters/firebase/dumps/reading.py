"""A dump of a database in a file, read as a stream: an object, an array, or the JSON lines of an export; gzip too."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path as FilePath
from typing import Any, BinaryIO, NoReturn, Protocol, cast

from harvesters.errors import BadInput, ConfigError
from harvesters.firebase import exact
from harvesters.firebase.keys import Path, children_of

_HEAD = 64 * 1024
_LINE = re.compile(rb'\s*\{\s*"key"\s*:\s*"(?:[^"\\]|\\.)*"\s*,\s*"value"\s*:')
_HALF = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_CUT = re.compile(rb"\xed[\xa0-\xbf]?\Z")
# A whole number longer than `int` reads, at which the parser in C takes the process down with it.
_ENDLESS = re.compile(rb"[:\[,]\s*-?[0-9]{4301}")
_OVERLAP = 4500  # bytes of a block that are looked at with the next one: a number may begin in one and end in another
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
# What reading ends with, beside what ijson says; numbers that neither int nor Decimal takes are among it.
_DAMAGE = (ValueError, ArithmeticError, EOFError, zlib.error, OSError)


@dataclass
class Dump:
    """One file.

    Args:
        path: the file.
        inside: where in it the children are; ``()`` when it holds nothing else.
    """

    path: FilePath
    inside: Path = ()
    children: int = 0
    _raw: BinaryIO | None = None
    _size: int = field(default=0)

    def check(self) -> None:
        """Look at the beginning and the end of the file, before anything is done with it.

        Raises:
            BadInput: it is empty, null, a scalar, or cut off as far as its end shows.
            ConfigError: it cannot be read.
        """
        with self._opened() as file:
            head = self._head(file)
            if not head:
                raise BadInput(f"{self.path} is empty")
            if head[:1] not in b"{[":
                what = "null: there is no such node" if head.strip() == b"null" else "a single value"
                raise BadInput(f"{self.path} holds {what}, where an object or an array of children is expected")
        lines = _LINE.match(head) is not None
        if self.inside and not lines:
            self._shape_inside()
        last = self._last_line(lines)
        if lines and not _is_json(last):
            self._fail("it is cut off in the middle of its last line")
        if not lines and last[-1:] != (b"}" if head[:1] == b"{" else b"]"):
            self._fail("it is cut off: its end is missing")

    def pairs(self) -> Iterator[tuple[str, Any]]:
        """The children, (key, value), as they stand in the file; nulls are none.

        Raises:
            BadInput: the file is damaged; what came before was yielded already.
        """
        import ijson

        with self._opened() as file:
            head = self._head(file)
            try:
                for key, value in self._pairs(file, head):
                    self.children += 1
                    yield key, value
            except (ijson.JSONError, RecursionError, *_DAMAGE) as error:
                self._fail(_short(error))

    @property
    def fraction(self) -> float:
        """How much of the file is read."""
        if self._raw is None or self._raw.closed or not self._size:
            return 0.0
        return min(1.0, self._raw.tell() / self._size)

    def _head(self, file: BinaryIO) -> bytes:
        try:
            return _lstripped(file)
        except (EOFError, zlib.error, OSError) as error:
            self._fail(str(error))

    def _pairs(self, file: BinaryIO, head: bytes) -> Iterator[tuple[str, Any]]:
        import ijson

        if _LINE.match(head):
            yield from self._from_lines(file)
            return
        shape = self._shape_inside() if self.inside else head[:1]
        read = 0
        try:
            for member in self._members(cast(BinaryIO, _Watched(file, _check_unchanged)), shape, fast=True):
                read += 1
                if _is_child(member):
                    yield member
            return
        except (UnicodeDecodeError, _WouldChange):
            pass
        except ijson.JSONError as error:
            if "overflow" not in _short(error) and "UTF8" not in _short(error):
                raise
        # A number beyond 64 bits or a double, or half of a surrogate pair as bytes: the fast reader takes neither, or
        # makes another number of it, and the other one goes on where it stopped.
        with self._opened() as again:
            self._head(again)
            mended = cast(BinaryIO, _Watched(_Mended(again), _check_ends))
            for key, value in filter(_is_child, islice(self._members(mended, shape, fast=False), read, None)):
                yield key, _plain(value)

    def _members(self, file: BinaryIO, shape: bytes, fast: bool) -> Iterator[tuple[str, Any]]:
        """All that is at `inside`; without `fast` any number is taken, and floats come as decimals."""
        import ijson

        prefix = ".".join(self.inside)
        if shape == b"{":
            yield from ijson.kvitems(file, prefix, use_float=fast)
        else:
            items = ijson.items(file, f"{prefix}.item".lstrip("."), use_float=fast)
            yield from ((str(index), item) for index, item in enumerate(items))

    def _from_lines(self, file: BinaryIO) -> Iterator[tuple[str, Any]]:
        found = False
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                entry = exact.loads(line, keys=3)
                key, value = str(entry["key"]), entry["value"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise ValueError(f"line {number} is no {{key, value}}") from None
            for child in self._below(key, value):
                found = True
                yield child
        if self.inside and not found:
            raise BadInput(f"{self.path} has nothing at /{'/'.join(self.inside)}")

    def _below(self, key: str, value: Any) -> Iterator[tuple[str, Any]]:
        """What an exported entry has to do with `inside`: it lies there, holds it, or neither."""
        if not self.inside:
            yield key, value
            return
        path = tuple(key.split("/"))
        if len(path) > len(self.inside) and path[: len(self.inside)] == self.inside:
            yield "/".join(path[len(self.inside) :]), value
        elif self.inside[: len(path)] == path:
            for step in self.inside[len(path) :]:
                value = dict(children_of(value)).get(step)
            yield from children_of(value)

    def _shape_inside(self) -> bytes:
        """Whether an object or an array is at `inside`."""
        import ijson

        prefix, begun = ".".join(self.inside), False
        with self._opened() as file:
            self._head(file)
            try:
                for where, event, _ in ijson.parse(cast(BinaryIO, _Watched(file, _check_ends))):
                    if where == prefix:
                        begun = True
                        if event in ("start_map", "start_array"):
                            return b"{" if event == "start_map" else b"["
            except (ijson.JSONError, *_DAMAGE) as error:
                self._fail(_short(error))
        what = "holds a single value at" if begun else "has nothing at"
        raise BadInput(f"{self.path} {what} /{'/'.join(self.inside)}")

    def _opened(self) -> BinaryIO:
        try:
            self._raw = self.path.open("rb")
            self._size = os.fstat(self._raw.fileno()).st_size
            magic = self._raw.read(2)
            self._raw.seek(0)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}") from error
        if magic == b"\x1f\x8b":
            return cast(BinaryIO, _Gzip(self._raw))
        return self._raw

    def _last_line(self, lines: bool) -> bytes:
        """The last line (of JSON lines), or what stands last in the file, without blanks behind it."""
        with self._opened() as file:
            if isinstance(file, _Gzip):
                return self._last_of_stream(file, lines)
            end = self._size
            tail = b""
            while end > 0:
                start = max(0, end - _HEAD)
                file.seek(start)
                tail = file.read(end - start) + tail
                stripped = tail.rstrip(_BLANK)
                if stripped and (not lines or b"\n" in stripped):
                    break
                end = start
            return tail.rstrip(_BLANK).rpartition(b"\n")[2].removeprefix(_BOM)

    def _last_of_stream(self, file: BinaryIO, lines: bool) -> bytes:
        """The same of what can only be read from the beginning, which also shows whether all of it is there."""
        last = b""
        try:
            if lines:
                for line in file:
                    last = line.strip() or last
                return last.removeprefix(_BOM)
            while block := file.read(1 << 20):
                last = block.rstrip(_BLANK)[-1:] or last
        except (EOFError, zlib.error, OSError) as error:
            self._fail(str(error))
        return last

    def _fail(self, reason: str) -> NoReturn:
        raise BadInput(
            f"{self.path} is damaged after {self.children} children ({self.fraction:.0%} of the file read): {reason}. "
            "Get a whole dump and load it again; loading the same event twice is harmless."
        )


class _Gzip(gzip.GzipFile):
    """Closes the file below, too."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(fileobj=raw)
        self._below = raw

    def close(self) -> None:
        super().close()
        self._below.close()


def _lstripped(file: BinaryIO) -> bytes:
    """The beginning of the text; `file` is left where it begins, behind blanks and a byte order mark."""
    skipped = 0
    head = file.read(_HEAD)
    if head.startswith(_BOM):
        skipped, head = len(_BOM), head[len(_BOM) :]
    while head and not head.strip(_BLANK):
        skipped += len(head)
        head = file.read(_HEAD)
    file.seek(skipped)
    return head.lstrip(_BLANK)


def _is_child(member: tuple[str, Any]) -> bool:
    return member[1] is not None and not member[0].startswith(".")


def _plain(value: Any) -> Any:
    """`value` with floats for the decimals of the slower reader, or with the spelling of what is no float."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return exact.real(str(value).replace("E+", "e").replace("E", "e"))
    return exact.integer(value) if isinstance(value, int) else value


class _WouldChange(Exception):
    """There is a number that the fast reader may change."""


class _Readable(Protocol):
    """What a parser needs of a file."""

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""


class _Watched:
    """A file whose reader never sees what `check` raises for."""

    def __init__(self, file: _Readable, check: Callable[[bytes], None]) -> None:
        self._file = file
        self._check = check
        self._tail = b""

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        text = self._tail + block
        self._check(text)
        self._tail = text[-_OVERLAP:]
        return block


def _check_unchanged(text: bytes) -> None:
    if exact.may_change(text):
        raise _WouldChange


def _check_ends(text: bytes) -> None:
    if _ENDLESS.search(text) is not None:
        raise ValueError("it holds a number of more than 4300 digits")


class _Mended:
    """A file in which halves of surrogate pairs, where they stand as bytes, are U+FFFD, which is as long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._held = b""

    def read(self, size: int = -1) -> bytes:
        while True:
            block = self._file.read(size)
            text = self._held + block
            held = _CUT.search(text) if block else None  # the rest of it comes with the next block
            self._held = held[0] if held else b""
            text = _HALF.sub(b"\xef\xbf\xbd", text[: len(text) - len(self._held)])
            if text or not block:
                return text


def _is_json(text: bytes) -> bool:
    try:
        exact.loads(text)
    except ValueError:
        return False
    return True


def _short(error: Exception) -> str:
    """What is wrong, without what the file holds there: that may be a secret."""
    if isinstance(error, ArithmeticError):
        return "it holds a number that cannot be read"
    text = error.args[0] if error.args else ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(error)
    return text.strip().partition("\n")[0] or type(error).__name__
