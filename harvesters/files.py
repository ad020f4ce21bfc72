"""Writing to files and to standard output: whole, and on the disk when it says so.

What an operating system refuses is turned into ours by `refusal`: a disk without room is 69, with its directory's name.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import io
import os
import select
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import orjson

from harvesters.errors import ConfigError, HarvestError, ReaderGone, SinkUnavailable, Unavailable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_TEXT_AT_ONCE = 65_536  # characters


def refusal(
    error: OSError,
    path: Path,
    remedy: str,
    again: str = "Nothing is lost: run again then.",
    unavailable: type[Unavailable] = SinkUnavailable,
) -> HarvestError:
    """What it means for a run that `path` could not be written.

    Args:
        remedy: what to do where the place cannot be written at all.
        again: what to do once there is room.
    """
    text = f"{path} cannot be written: {error.strerror or error}"
    directory = path.absolute().parent
    if error.errno in _NO_ROOM:
        return unavailable(f"{text}. Make room in {directory}. {again}")
    if error.errno == errno.EIO:
        return unavailable(f"{text}. Look after the disk that holds {directory}. {again}")
    return ConfigError(f"{text}. {remedy}")


def write_all(handle: int, data: bytes) -> None:
    """Write all of `data`, however little the system takes at once, and wait where it takes none for now."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(handle, view) :]
        except BlockingIOError:  # a pipe that somebody made non-blocking, and that is full
            poll = select.poll()
            poll.register(handle, select.POLLOUT)
            poll.poll()


def sync_directory(directory: Path) -> None:
    """Make a rename or a new file in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, mode: int = 0o644) -> Iterator[int]:
    """The descriptor of the file at `path` (made if missing), opened to append, while no other process has it so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # ends when the file is closed, also by a kill
            if _still_there(handle, path):  # who waited may have opened a file that was replaced meanwhile
                yield handle
                return
        finally:
            os.close(handle)


def _still_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def replace(path: Path, content: bytes, mode: int | None = None) -> None:
    """Put `content` in the place of the file at `path`, whole and durably, for one writer at a time.

    `mode`: of the new file; that of the old one without it.
    """
    _replace(path, [content], mode=mode)


def rewrite(path: Path, pieces: Iterable[bytes]) -> None:
    """As `replace`, of a content in pieces; a file that would be empty is removed."""
    _replace(path, pieces, keep_empty=False)


def _replace(path: Path, pieces: Iterable[bytes], keep_empty: bool = True, mode: int | None = None) -> None:
    beside = path.parent / f".{path.name}.new"  # what a killed writer left there is written over
    try:
        with open(beside, "wb", opener=_opener_like(path)) as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            empty = file.tell() == 0
        if empty and not keep_empty:
            path.unlink()
            beside.unlink()
        else:
            beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)  # a disk that is full needs its room
        raise
    sync_directory(path.parent)


def _opener_like(path: Path) -> Callable[[str, int], int]:
    """Opens a file that the same users may read as the one at `path`, from its first byte on."""

    def opener(name: str, flags: int) -> int:
        try:
            there = path.stat()
        except OSError:
            return os.open(name, flags, 0o666)
        handle = os.open(name, flags, stat.S_IMODE(there.st_mode))
        os.fchmod(handle, stat.S_IMODE(there.st_mode))
        with suppress(OSError):
            os.fchown(handle, there.st_uid, there.st_gid)  # only root may; for others it is theirs already
        return handle

    return opener


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text that takes the name `path` (and the mode of the file that had it) only if the block ends well."""
    with replacing_all([path]) as (stream,):
        yield stream


@contextmanager
def replacing_all(paths: Sequence[Path]) -> Iterator[list[TextIO]]:
    """As `replacing`, of several: all are whole before the first takes its name.

    Half of a surrogate pair, which no encoding has, is written as JSON spells it.
    """
    parts = [path.with_name(f".{path.name}.{os.getpid()}.part") for path in paths]
    try:
        with ExitStack() as stack:
            yield [
                stack.enter_context(part.open("w", encoding="utf-8", errors="backslashreplace", newline=""))
                for part in parts
            ]
        for path, part in zip(paths, parts, strict=True):
            if path.exists():
                shutil.copymode(path, part)
            part.replace(path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


class LinesFile:
    """A file that grows by whole batches: after a kill in the middle of one, the next append removes its torn end.

    Before each append a note beside the file (``.NAME.append``) says which file it is and how long it was. A note
    that is still there means the append did not finish, so its lines were never acknowledged. Several processes may
    append to one file.
    """

    def __init__(self, path: Path, mode: int = 0o644) -> None:
        self.path = path
        self.mode = mode
        self._note = path.parent / f".{path.name}.append"

    @property
    def empty(self) -> bool:
        """True when there is no such file, or nothing in it."""
        try:
            return self.path.stat().st_size == 0
        except FileNotFoundError:
            return True

    def append(self, lines: Sequence[bytes]) -> None:
        """Add lines (without their newline); they are on the disk when it returns.

        Raises:
            OSError: the file system refused; the file is as it was, or the next append makes it so.
        """
        data = b"".join([line + b"\n" for line in lines])
        if self.path.suffix == ".gz":
            data = gzip.compress(data, compresslevel=6, mtime=0)  # each batch a member of its own
        with locked(self.path, self.mode) as handle:
            self._mend(handle)
            status = os.fstat(handle)
            self._write_note({"inode": status.st_ino, "size": status.st_size})
            if self._torn(handle, status.st_size):
                data = b"\n" + data
            write_all(handle, data)
            os.fsync(handle)
            self._note.unlink(missing_ok=True)
        # A note that came back after a power cut would have what was acknowledged cut off.
        sync_directory(self.path.parent)

    def mend(self) -> None:
        """Remove the torn end that a killed run may have left."""
        if self._note.exists() and self.path.exists():
            with locked(self.path, self.mode) as handle:
                self._mend(handle)

    def _mend(self, handle: int) -> None:
        try:
            note = orjson.loads(self._note.read_bytes())
        except (FileNotFoundError, ValueError):
            return  # no append was cut off, or not even its note was finished
        status = os.fstat(handle)
        if note.get("inode") == status.st_ino and note.get("size", 0) < status.st_size:
            os.ftruncate(handle, note["size"])
            os.fsync(handle)
        self._note.unlink(missing_ok=True)

    def _torn(self, handle: int, size: int) -> bool:
        """Whether the last line has no end, as where somebody else wrote it: ours is to be its own."""
        return size > 0 and self.path.suffix != ".gz" and os.pread(handle, 1, size - 1) != b"\n"

    def _write_note(self, note: dict[str, int]) -> None:
        handle = os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(handle, orjson.dumps(note))
            os.fsync(handle)
        finally:
            os.close(handle)


class StandardOutput:
    """Standard output, or `stream`: every byte of a `write` is written, or an error says that it was not.

    Python's own stream is passed by: unbuffered (``PYTHONUNBUFFERED``), or onto a pipe that does not block, its
    `write` may take a part of the data and say so to nobody.
    """

    name = "standard output"

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Write all of `data`, past every buffer.

        Raises:
            ReaderGone: nobody reads it any more, or it was closed from the beginning.
            SinkUnavailable: it cannot be written, for another reason.
        """
        stream, handle = self._opened()
        try:
            stream.flush()
            if handle is not None:
                write_all(handle, data)
            else:
                _write_to(stream, data)
        except BrokenPipeError as error:
            raise ReaderGone("standard output was closed") from error
        except OSError as error:
            raise SinkUnavailable(f"standard output cannot be written: {error.strerror or error}") from error

    def check(self) -> None:
        """Raise `ReaderGone` if the reader has left after the last write, for what it left unread is lost."""
        _, handle = self._opened()
        if handle is None:
            return  # not a real file, so nobody can leave it
        poll = select.poll()
        poll.register(handle, 0)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            raise ReaderGone("standard output was closed")

    @contextmanager
    def text(self) -> Iterator[TextIO]:
        """It as a text, written in larger pieces and whole when the block has ended well."""
        lines = _Text(self)
        yield cast(TextIO, lines)
        lines.flush()

    def _opened(self) -> tuple[BinaryIO, int | None]:
        stream = self._stream
        if stream is None:
            if sys.stdout is None or sys.stdout.closed:
                raise ReaderGone("standard output was closed")
            sys.stdout.flush()
            stream = sys.stdout.buffer
        try:
            return stream, stream.fileno()
        except OSError:
            return stream, None


class _Text(io.TextIOBase):
    """Collects text for a `StandardOutput`."""

    def __init__(self, out: StandardOutput) -> None:
        self._out = out
        self._parts: list[str] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._parts.append(text)
        self._size += len(text)
        if self._size >= _TEXT_AT_ONCE:
            self.flush()
        return len(text)

    def flush(self) -> None:
        data = "".join(self._parts).encode("utf-8", "backslashreplace")
        self._parts, self._size = [], 0
        if data:
            self._out.write(data)


def _write_to(stream: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) or 0 :]
    stream.flush()
