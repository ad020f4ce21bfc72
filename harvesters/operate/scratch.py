"""A directory for what a run reads ahead, which holds rows as they came. It goes with the run.

What a killed process left goes with the next one: a directory that is in use is locked, and the lock ends with its
process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "harvest-ahead-"


class Scratch:
    """A new directory that only its user may read; `close` removes it."""

    def __init__(self) -> None:
        _sweep()
        self.path, self._handle = _locked()

    def close(self) -> None:
        """Remove it, and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._handle)


@contextmanager
def scratch() -> Iterator[Path]:
    """The path of one, as long as the block lasts."""
    made = Scratch()
    try:
        yield made.path
    finally:
        made.close()


def _locked() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if path.is_dir():  # somebody may have taken it for one that was left
            return path, handle
        os.close(handle)


def _sweep() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(handle)
