"""Which dead letters are kept already, so that a run which comes by the same rows again writes none twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harvesters import files
from harvesters.canonical import canonical, digest
from harvesters.errors import ConfigError

log = logging.getLogger(__name__)

_MOST = 100_000  # letters remembered; of older ones there may be a second copy


@dataclass
class Written:
    """The memory of all jobs, in one file: a line for each letter, its key and where it is.

    Args:
        owner: what belongs to every key: the job, and where its letters go.
    """

    path: Path
    owner: tuple[str, ...]
    _places: dict[str, str] | None = None
    _inode: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def key(self, *parts: Any) -> str:
        """What names a letter of this owner."""
        return digest(b"\0".join(canonical(part) for part in (*self.owner, *parts)), 12).hex()

    def place(self, key: str) -> str:
        """Where the letter is; "" where it is nowhere."""
        with self._lock:
            return self._load().get(key, "")

    def add(self, keys: Sequence[str], place: str) -> None:
        """These are kept now, at `place`.

        Raises:
            SinkUnavailable: the disk is full. (The letters are kept all the same.)
        """
        if not keys:
            return
        with self._lock:
            places = self._load()
            places.update(dict.fromkeys(keys, place))
            try:
                with files.locked(self.path, 0o600) as handle:
                    if len(places) > 2 * _MOST:
                        for key in list(places)[:-_MOST]:
                            del places[key]
                        files.replace(self.path, _lines(places))
                    else:
                        files.write_all(handle, _lines(dict.fromkeys(keys, place)))
            except OSError as error:
                meaning = files.refusal(error, self.path, "Dead letters may be written twice.")
                if not isinstance(meaning, ConfigError):
                    raise meaning from error
                log.debug("%s", meaning)

    def _load(self) -> dict[str, str]:
        inode = _inode(self.path)
        if self._places is None or inode != self._inode:  # another process has forgotten some
            self._inode = inode
            try:
                lines = self.path.read_text(errors="replace").splitlines()
            except OSError:
                lines = []
            found = (line.partition(" ") for line in lines)
            self._places = {key: place for key, _, place in found if len(key) == 24 and place}
        return self._places


def forget(path: Path, place: str) -> None:
    """What is written at `place` may be gone, so it is written again; for a place that cannot be looked at.

    Raises:
        OSError: the memory at `path` cannot be written.
    """
    if path.exists():
        with files.locked(path, 0o600), path.open("rb") as lines:
            end = f" {place}\n".encode()
            files.replace(path, b"".join(line for line in lines if not line.endswith(end)))


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _lines(places: dict[str, str]) -> bytes:
    return "".join(f"{key} {place}\n" for key, place in places.items()).encode()
