"""Dead letters in a directory: files of JSON lines, which harvesters may append to all the while."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from harvesters import files
from harvesters.errors import ConfigError
from harvesters.operate.letters.box import AT_ONCE, Found
from harvesters.operate.letters.letter import Letter
from harvesters.settings import Settings
from harvesters.stores.blob import Blob
from harvesters.stores.file import FileBlob

_REMEDY = "Dead letters are there: let this user read and write them."


@dataclass
class DirectoryBox:
    """The files of `directory`."""

    directory: Path
    settings: Settings

    @property
    def name(self) -> str:
        """The directory."""
        return str(self.directory)

    @property
    def lease(self) -> Blob | None:
        """Beside the files; None where there are none."""
        return FileBlob(self.directory / ".replay.lease") if self.directory.is_dir() else None

    def count(self) -> int:
        """The lines."""
        return sum(1 for path in self._paths() for _ in self._lines(path))

    def hidden(self) -> int:
        """None."""
        return 0

    def portions(self) -> Iterator[FilePortion]:
        """File by file, by their days."""
        for path in self._paths():
            lines = enumerate(self._lines(path), 1)
            while several := list(islice(lines, AT_ONCE)):
                yield self._portion(path, several)

    def close(self) -> None:
        """Nothing is held."""

    def _portion(self, path: Path, lines: list[tuple[int, bytes]]) -> FilePortion:
        found = FilePortion(path)
        for number, line in lines:
            letter = Letter.read(line, str(path), self.settings) if line.endswith(b"\n") else None
            if letter is not None:
                found.letters.append(letter)
            elif line.strip():
                found.strange.append(f"{path}, line {number}")
        return found

    def _paths(self) -> list[Path]:
        try:
            paths = [*self.directory.glob("*.jsonl")] if self.directory.is_dir() else []
        except OSError as error:
            raise ConfigError(f"{self.directory} cannot be read: {error.strerror}. {_REMEDY}") from error
        return sorted((path for path in paths if path.name[0] != "."), key=lambda path: (path.stem[-10:], path.name))

    def _lines(self, path: Path) -> Iterator[bytes]:
        """The lines that are whole now: what is being appended belongs to a later look."""
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                left = os.fstat(file.fileno()).st_size
                fcntl.flock(file, fcntl.LOCK_UN)
                for line in file:
                    if left <= 0:
                        return
                    yield line
                    left -= len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}. {_REMEDY}") from error


class FilePortion(Found):
    """Some lines of a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def settle(self, changes: Mapping[Letter, bytes | None]) -> None:
        """Write the file anew beside the old one, and put it in its place, while nobody can append to the old one."""
        if not changes:
            return
        instead = {letter.raw: line for letter, line in changes.items()}
        try:
            if self.path.exists():
                with files.locked(self.path, 0o600), self.path.open("rb") as old:
                    files.rewrite(self.path, _changed(old, instead))
        except OSError as error:
            raise files.refusal(error, self.path, _REMEDY) from error


def _changed(old: BinaryIO, instead: Mapping[bytes, bytes | None]) -> Iterator[bytes]:
    for line in old:
        line = line if line.endswith(b"\n") else line + b"\n"  # what is appended later is a line of its own
        if line not in instead:
            yield line
        elif (now := instead[line]) is not None:
            yield now + b"\n"
