"""JSON lines into a file (gzip by suffix) and onto standard output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from harvesters.document import Document, Outcome
from harvesters.errors import ConfigError, HarvestError
from harvesters.files import LinesFile, StandardOutput, refusal
from harvesters.sinks.base import encodable


class FileSink:
    """Appends to a JSON-lines file.

    Raises:
        ConfigError: the path is a directory, a pipe or a device, or cannot be looked at.
    """

    durable = True

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.path = path.expanduser()
            other = self.path.exists() and not self.path.is_file()
        except OSError as error:  # such as a name that is too long, or a directory that is closed to us
            raise self._failed(error) from error
        except RuntimeError as error:
            raise ConfigError(f"{path}: nobody has this home directory. Give --output another path.") from error
        if other:
            raise ConfigError(f"{self.path} is no regular file. Give --output a file, or - for standard output.")
        self._file = LinesFile(self.path)

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def address(self) -> str:
        """``file`` and the absolute path."""
        return f"file {self.path.absolute()}"

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
        self.write([document.encoded for document in good])
        return outcomes + [Outcome(document) for document in good]

    def write(self, lines: Sequence[bytes]) -> None:
        """Lines without their newlines, on the disk when it returns."""
        if lines:
            try:
                self._file.append(lines)
            except OSError as error:
                raise self._failed(error) from error

    def finish(self) -> None:
        """Everything is on the disk already."""

    def close(self) -> None:
        """Nothing stays open."""

    def _failed(self, error: OSError) -> HarvestError:
        return refusal(error, self.path, "Give --output a file that can be written.")


class StdoutSink:
    """JSON lines on standard output. Whether the reader got them is known at the end at best: not durable."""

    durable = False
    name = StandardOutput.name
    address = "-"

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._out = StandardOutput(stream)

    def identity(self) -> tuple[str, bool]:
        """All standard outputs are one."""
        return "stdout", False

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Write and flush."""
        good, outcomes = encodable(documents)
        self.write([document.encoded for document in good])
        return outcomes + [Outcome(document) for document in good]

    def write(self, lines: Sequence[bytes]) -> None:
        """Lines without their newlines."""
        self._out.write(b"".join([line + b"\n" for line in lines]))

    def finish(self) -> None:
        """Raise `ReaderGone` if the reader has left after the last write, for what it left unread is lost."""
        self._out.check()

    def close(self) -> None:
        """Standard output is not ours to close."""
