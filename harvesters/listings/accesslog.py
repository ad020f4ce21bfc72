"""The access log, for the one process that writes it: each line once, whenever that is killed.

A batch of lines is written, and is on the disk; then the offsets are replaced, which say how many bytes there are and
which messages they come from. What a killed process wrote after that is cut off when the next one begins, and so comes
again. Nothing is written to a log that does not fit its offsets.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from harvesters import files
from harvesters.errors import LeaseHeld
from harvesters.listings.logfiles import LogFiles
from harvesters.listings.offsets import Offsets

_MODE = 0o640  # it says who looked at what
_REMEDY = "Set ACCESS_LOG to a file in a directory that can be written."

Run = tuple[int, int]
"""Lines that follow one another and are of the same minute: that minute, and how many they are."""


class AccessLog:
    """The log of `files`, which it locks; a context manager.

    Args:
        most: size in bytes at which a file is closed, and the next one begun; None for one that grows for ever.

    Attributes:
        offsets: what is there for good.
    """

    def __init__(self, files: LogFiles, most: float | None = None) -> None:
        self.files = files
        self.most = most
        self.offsets = Offsets("")
        self._lock = self._log = self._times = -1

    @property
    def fresh(self) -> bool:
        """Whether nothing was written yet, so that nothing says where to begin."""
        return not self.offsets.topics

    def __enter__(self) -> Self:
        try:
            self._lock = self._locked()
            self._mend()
            self._log, self._times = _opened(self.files.path), _opened(self.files.times)
        except OSError as error:
            self.__exit__()
            raise self._refusal(error) from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in (self._log, self._times, self._lock):  # the lock last
            if handle >= 0:
                os.close(handle)
        self._lock = self._log = self._times = -1

    def append(self, lines: bytes, runs: Sequence[Run], topic: str, offsets: Mapping[int, int]) -> None:
        """Add lines, and note which messages of a topic are in the log now. Both are for good when it returns.

        Args:
            runs: when the views were, in the order of the lines.
            topic: id of the topic.
            offsets: of each partition the one that comes next.

        Raises:
            SinkUnavailable: the disk is full, or broken. The lines are not in the log.
            ConfigError: somebody else changed the log, or it cannot be written.
        """
        now = self.offsets
        self._see_that_it_is_ours()
        try:
            if self.most is not None and lines and now.size and now.size + len(lines) > self.most:
                now = self._close_file()
            if lines:
                files.write_all(self._log, lines)
                os.fsync(self._log)
            finished, (minute, count) = _joined((now.minute, now.lines), runs)
            if finished:
                files.write_all(self._times, finished)
                os.fsync(self._times)
            if now.number != self.offsets.number:
                files.sync_directory(self.files.path.parent)
            self._note(
                replace(
                    now,
                    size=now.size + len(lines),
                    times=now.times + len(finished),
                    minute=minute,
                    lines=count,
                    topics={**now.topics, topic: dict(offsets)},
                )
            )
        except OSError as error:
            raise self._refusal(error) from error

    def _note(self, offsets: Offsets) -> None:
        files.replace(self.files.offsets, offsets.encode())
        self.offsets = offsets

    def _locked(self) -> int:
        """The handle of the lock, which ends with the process.

        Raises:
            LeaseHeld: another process has it.
        """
        path = self.files.lock
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, _MODE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise LeaseHeld(
                f"another process writes {self.files.path} (it holds the lock on {path}); one log has one writer, "
                "which reads all partitions"
            ) from None
        return handle

    def _mend(self) -> None:
        """Bring the files to what the offsets say.

        Raises:
            ConfigError: they do not fit them; nothing was changed.
        """
        offsets = self.files.load()
        if offsets is None:
            offsets = Offsets(uuid.uuid4().hex)
            self._note(offsets)  # before there are lines, which would mean nothing without them
        self.files.check(offsets)
        begun = self.files.closed(offsets.number)
        if begun.exists():  # closed, and the offsets do not say so
            os.replace(begun, self.files.path)
            files.sync_directory(self.files.path.parent)
        for path, size in ((self.files.path, offsets.size), (self.files.times, offsets.times)):
            _cut(path, size)
        self.offsets = offsets

    def _close_file(self) -> Offsets:
        """Give the file the next number, and begin another one."""
        now = self.offsets
        closed = self.files.closed(now.number)
        if closed.exists():
            raise self.files.wrong(f"{closed} is in the way: the log needs that name now")
        os.replace(self.files.path, closed)
        os.close(self._log)
        self._log = -1
        self._log = _opened(self.files.path)
        return replace(now, size=0, closed=(*now.closed, now.size))

    def _see_that_it_is_ours(self) -> None:
        """Raise if the log was moved, cut or written by somebody else, such as logrotate."""
        try:
            there = os.fstat(self._log)
            moved = not os.path.samestat(there, self.files.path.stat())
        except FileNotFoundError:
            moved = True
        if moved or there.st_size != self.offsets.size or not self.files.offsets.exists():
            what = "was moved away" if moved else "was changed"
            raise self.files.wrong(
                f"{self.files.path} {what} by another program while it was written (ACCESS_LOG_MAX_BYTES does what "
                "logrotate would)"
            )

    def _refusal(self, error: OSError) -> Exception:
        return files.refusal(error, self.files.path, _REMEDY, "Nothing is lost: start it again then.")


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE)


def _cut(path: Path, size: int) -> None:
    """Cut off what a killed process wrote and did not vouch for."""
    try:
        handle = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return  # it has no bytes, and needs none
    try:
        if os.fstat(handle).st_size > size:
            os.ftruncate(handle, size)
            os.fsync(handle)
    finally:
        os.close(handle)


def _joined(open_run: Run, runs: Sequence[Run]) -> tuple[bytes, Run]:
    """The runs that are finished, as they are written, and the last one, which may go on."""
    minute, lines = open_run
    finished: list[bytes] = []
    for next_minute, more in runs:
        if next_minute == minute or not lines:
            minute, lines = next_minute, lines + more
        else:
            finished.append(b"%d\t%d\n" % (minute, lines))
            minute, lines = next_minute, more
    return b"".join(finished), (minute, lines)
