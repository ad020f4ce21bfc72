"""A blob in a file: an atomic rename under a lock file."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harvesters.errors import ConfigError, Unavailable
from harvesters.stores.blob import Conflict, Version


class FileBlob:
    """A file that is replaced as a whole. Readers need no lock, writers of one host exclude one another."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    def read(self) -> Version | None:
        """The file's content, or None when there is no file."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}") from error
        return Version(content, hashlib.sha256(content).hexdigest())

    def write(self, content: bytes, etag: str | None) -> str:
        """Write beside it, sync, and rename over it, if it is still the version tagged `etag`."""
        try:
            with self._locked():
                current = self.read()
                if (current.etag if current is not None else None) != etag:
                    raise Conflict(self.name)
                self._replace(content)
        except PermissionError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}") from error
        except OSError as error:
            raise Unavailable(f"{self.path} cannot be written: {error.strerror}") from error
        return hashlib.sha256(content).hexdigest()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (self.path.parent / f".{self.path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file closes, also by a kill
            yield

    def _replace(self, content: bytes) -> None:
        # Under the lock there is one writer, so one name will do; what a killed one left there is overwritten.
        beside = self.path.parent / f".{self.path.name}.new"
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)
        sync_directory(self.path.parent)


def sync_directory(directory: Path) -> None:
    """Make a rename or a new file in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
