"""A blob in a file: an atomic rename under a lock file."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from harvesters import files
from harvesters.errors import ConfigError, Unavailable
from harvesters.stores.blob import Blob, Conflict, Version

_REMEDY = "Set HARVEST_STATE_DIR to a directory that can be written."


class FileBlob(Blob):
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

    @property
    def place(self) -> str:
        """This host, the absolute path, and which directory that is: two containers may have both in common."""
        path = self.path.resolve()
        try:
            number = path.parent.stat().st_ino
        except OSError:
            number = 0
        return f"{socket.gethostname()}:{path}#{number}"

    def now(self) -> datetime:
        """The time that a file gets which is touched beside it: on a network, that of the file server."""
        beside = self.path.parent / f".{self.path.name}.now"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.utime(handle)
                return datetime.fromtimestamp(os.fstat(handle).st_mtime, UTC)
            finally:
                os.close(handle)
        except OSError as error:
            raise files.refusal(error, beside, _REMEDY, unavailable=Unavailable) from error

    def write(self, content: bytes, etag: str | None) -> str:
        """Write beside it, sync, and rename over it, if it is still the version tagged `etag`."""
        try:
            with self._locked():
                current = self.read()
                if (current.etag if current is not None else None) != etag:
                    raise Conflict(self.name)
                files.replace(self.path, content)
        except OSError as error:
            raise files.refusal(error, self.path, _REMEDY, unavailable=Unavailable) from error
        return hashlib.sha256(content).hexdigest()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (self.path.parent / f".{self.path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file closes, also by a kill
            yield


def names(directory: Path) -> list[str]:
    """The names of the blobs in `directory`: what has a dot first is beside one.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return [path.name for path in directory.iterdir() if not path.name.startswith(".") and path.is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{directory} cannot be read: {error.strerror}") from error
