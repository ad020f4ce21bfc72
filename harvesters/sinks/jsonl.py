"""JSON lines into a file (gzip by suffix) and onto standard output."""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import orjson

from harvesters.document import Document, Outcome
from harvesters.errors import ConfigError, ReaderGone, SinkUnavailable
from harvesters.sinks.base import encodable
from harvesters.stores.file import sync_directory


class JsonLinesFile:
    """A file that grows by whole batches: after a kill in the middle of one, the next append removes its torn end.

    Before each append a note beside the file (``.NAME.append``) says which file it is and how long it was. A note
    that is still there means the append did not finish, so its documents were never acknowledged. Several processes
    may append to one file.
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
            OSError: the file system refused.
        """
        data = b"".join([line + b"\n" for line in lines])
        if self.path.suffix == ".gz":
            data = gzip.compress(data, compresslevel=6, mtime=0)  # each batch a member of its own
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, self.mode)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._mend(handle)
            status = os.fstat(handle)
            self._write_note({"inode": status.st_ino, "size": status.st_size})
            write_all(handle, data)
            os.fsync(handle)
            self._note.unlink(missing_ok=True)
        finally:
            os.close(handle)
        # A note that came back after a power cut would have what was acknowledged cut off.
        sync_directory(self.path.parent)

    def mend(self) -> None:
        """Remove the torn end that a killed run may have left."""
        if self._note.exists() and self.path.exists():
            handle = os.open(self.path, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._mend(handle)
            finally:
                os.close(handle)

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

    def _write_note(self, note: dict[str, int]) -> None:
        handle = os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(handle, orjson.dumps(note))
            os.fsync(handle)
        finally:
            os.close(handle)


class FileSink:
    """Appends to a JSON-lines file.

    Raises:
        ConfigError: the path is a directory, a pipe or a device.
    """

    durable = True

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser()
        if self.path.exists() and not self.path.is_file():
            raise ConfigError(f"{self.path} is no regular file. Give --output a file, or - for standard output.")
        self._file = JsonLinesFile(self.path)

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def address(self) -> str:
        """``file`` and the file's absolute path."""
        return f"file {self.path.resolve()}"

    def identity(self) -> tuple[str, bool]:
        """The file's absolute path; an empty or missing file is fresh."""
        try:
            self._file.mend()
            return f"file:{self.path.resolve()}", self._file.empty
        except OSError as error:
            raise self._failed(error) from error

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """One line each, on the disk when it returns."""
        good, outcomes = encodable(documents)
        if good:
            try:
                self._file.append([document.encoded for document in good])
            except OSError as error:
                raise self._failed(error) from error
        return outcomes + [Outcome(document) for document in good]

    def finish(self) -> None:
        """Everything is on the disk already."""

    def close(self) -> None:
        """Nothing stays open."""

    def _failed(self, error: OSError) -> ConfigError | SinkUnavailable:
        text = f"{self.path} cannot be written: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            return SinkUnavailable(f"{text}. Nothing is lost: make room and run again.")
        return ConfigError(f"{text}. Give --output a file that can be written.")


class StdoutSink:
    """JSON lines on standard output. Whether the reader got them is known at the end at best: not durable."""

    durable = False
    name = "standard output"
    address = "-"

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout.buffer

    def identity(self) -> tuple[str, bool]:
        """All standard outputs are one."""
        return "stdout", False

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Write and flush."""
        good, outcomes = encodable(documents)
        try:
            self._stream.write(b"".join([document.encoded + b"\n" for document in good]))
            self._stream.flush()
        except BrokenPipeError as error:
            raise ReaderGone("standard output was closed") from error
        except OSError as error:
            raise SinkUnavailable(f"standard output cannot be written: {error.strerror}") from error
        return outcomes + [Outcome(document) for document in good]

    def finish(self) -> None:
        """Raise `ReaderGone` if the reader has left after the last write, for what it left unread is lost."""
        try:
            descriptor = self._stream.fileno()
        except OSError:
            return  # not a real file, so nobody can leave it
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            raise ReaderGone("standard output was closed")

    def close(self) -> None:
        """Standard output is not ours to close."""


def write_all(handle: int, data: bytes) -> None:
    """Write all of `data`, however little the system takes at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
