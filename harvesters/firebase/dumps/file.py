"""What an export is written to: JSON lines or one JSON object, in a file that can be gone on with, or standard output.

JSON lines: ``{"key": …, "value": …}``; the key of what was found inside a child too big for one answer is its path,
such as ``events/-JsR2…`` (keys have no slash in them). One JSON object: an entry a line, so that its last whole entry
can be found again, closed when the export is done.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import BinaryIO, Protocol

from harvesters.errors import BadInput, HarvestError, TryLater
from harvesters.files import StandardOutput, refusal, write_all
from harvesters.firebase.dumps.formats import Format
from harvesters.firebase.keys import Path
from harvesters.firebase.walk import Entry


class ExportWriter(Protocol):
    """Takes the entries of an export, in order."""

    @property
    def name(self) -> str:
        """Where they go, for people."""

    def resume(self) -> Path | None:
        """The path of the last entry that is there already; ``()`` for none, None when the export is done."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Write entries."""

    def finish(self) -> None:
        """Nothing comes any more: complete what was written."""

    def close(self) -> None:
        """Let go of the file; called at the end of every run."""


class ExportFile:
    """A file. `restart`: what is in it is forgotten."""

    def __init__(self, path: FilePath, form: Format, restart: bool = False) -> None:
        self.path = path.expanduser()
        self._format = form
        self._restart = restart
        self._file: BinaryIO | None = None

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    def resume(self) -> Path | None:
        """Open the file, cut off what a kill left half written, and find where it ends.

        Raises:
            BadInput: it holds something else; it is left as it is.
            TryLater: another export writes to it.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)  # an export holds whatever the database holds
            self._file = os.fdopen(handle, "r+b")
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._restart:
                self._file.truncate(0)
            found = self._format.resume(self._file)
            os.lseek(handle, self._file.tell(), os.SEEK_SET)  # from here on it is written to unbuffered
        except BlockingIOError:
            raise TryLater(f"{self.path}: another export writes to this file") from None
        except ValueError as error:
            raise BadInput(
                f"{self.path} is there already and no export that could be gone on with: {error}. Give another "
                "--output, or --restart to write over it."
            ) from error
        except OSError as error:
            raise self._failed(error) from error
        return found

    def write(self, entries: Sequence[Entry]) -> None:
        """Append; what was written survives the end of this process."""
        self._append(self._format.encode(entries))

    def finish(self) -> None:
        """Complete the file and have it on the disk."""
        self._append(self._format.end())
        assert self._file is not None
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the file, which ends the lock."""
        if self._file is not None:
            self._file.close()

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        try:
            write_all(self._file.fileno(), data)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> HarvestError:
        again = "Run the same command again; it goes on where the file ends."
        return refusal(error, self.path, "Give --output a file that can be written.", again)


class ExportStdout:
    """Standard output."""

    name = StandardOutput.name

    def __init__(self, form: Format, stream: BinaryIO | None = None) -> None:
        self._format = form
        self._out = StandardOutput(stream)

    def resume(self) -> Path:
        """Always from the beginning."""
        return ()

    def write(self, entries: Sequence[Entry]) -> None:
        """Write and flush."""
        self._out.write(self._format.encode(entries))

    def finish(self) -> None:
        """Complete it."""
        self._out.write(self._format.end())

    def close(self) -> None:
        """Standard output is not ours to close."""
