"""The files of an access log, whose names all begin with its own, and whether they are what its offsets say.

    ACCESS_LOG             the lines: user, tab, listing
    ACCESS_LOG.1, .2, …    the lines before them, in files that were closed; .1 is the oldest
    ACCESS_LOG.offsets     how much of them counts, and which messages that is
    ACCESS_LOG.times       when the views were: a minute since 1970, a tab, and how many lines follow one another
    ACCESS_LOG.counts      what `listings count` made of them
    ACCESS_LOG.lock, .lease   who writes, and who counts

A file is closed by a new name first, and by the offsets afterwards. In between, and after a kill there, what the
offsets mean by the log has the number that comes next.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harvesters.errors import ConfigError
from harvesters.listings.offsets import Offsets
from harvesters.settings import Settings

_REMEDY = (
    "Put back what is missing, as from a backup of all of {path}*. Or move all of it away: `listings log` begins a new "
    "log then, with what its group VIEWS_GROUP has not read yet, and views are counted from there."
)
_NUMBER = re.compile(r"\.[1-9][0-9]*")
_TRIES = 100  # a file that gets another name at that moment is looked for again


@dataclass(frozen=True)
class LogFiles:
    """The files of the log at `path`."""

    path: Path

    @classmethod
    def of(cls, settings: Settings) -> LogFiles:
        """Those of ``ACCESS_LOG``; they lie where the log itself does, and not beside a link to it.

        Raises:
            ConfigError: something else has its name, such as a directory or a pipe.
        """
        given = settings.get("ACCESS_LOG")
        path = os.path.realpath(Path(given).expanduser() if given else settings.state_dir() / "access.log")
        if os.path.exists(path) and not os.path.isfile(path):
            raise ConfigError(f"{path} is no file that lines can be added to: set ACCESS_LOG to another one.")
        return cls(Path(path))

    @property
    def offsets(self) -> Path:
        """How much of the log counts."""
        return self._beside("offsets")

    @property
    def times(self) -> Path:
        """When the views were."""
        return self._beside("times")

    @property
    def lock(self) -> Path:
        """Locked by who writes the log."""
        return self._beside("lock")

    @property
    def counts(self) -> Path:
        """What was counted."""
        return self._beside("counts")

    @property
    def lease(self) -> Path:
        """Held by who counts."""
        return self._beside("lease")

    def closed(self, number: int) -> Path:
        """The file that was closed as number `number`."""
        return self._beside(str(number))

    def load(self) -> Offsets | None:
        """What the offsets say; None where there is neither a log nor offsets.

        Raises:
            ConfigError: they cannot be read, or there are lines without them.
        """
        try:
            content = self.offsets.read_bytes()
        except FileNotFoundError:
            for lines in (self.path, *self._all_closed()):
                if size_of(lines):
                    raise self.wrong(f"{lines} holds lines, and there is no {self.offsets}") from None
            return None
        except OSError as error:
            raise ConfigError(f"{self.offsets} cannot be read: {error.strerror}") from error
        try:
            return Offsets.decode(content)
        except ConfigError as error:
            raise self.wrong(f"{self.offsets}: {error}") from error

    def check(self, offsets: Offsets) -> None:
        """See that the files hold at least what the offsets say. Closed files may be gone.

        Raises:
            ConfigError: one is shorter, or another file has a name that is the log's.
        """
        for number, size in enumerate(offsets.closed, 1):
            there = size_of(self.closed(number))
            if there is not None and there != size:
                raise self._misfit(self.closed(number), there, size)
        stray = size_of(self.closed(offsets.number))
        if stray is not None and stray != offsets.size:
            raise ConfigError(
                f"{self.closed(offsets.number)} is no part of the log, which would need that name next: move it away."
            )
        there = stray if stray is not None else size_of(self.path) or 0
        if there < offsets.size:
            raise self._misfit(self.path, there, offsets.size)
        there = size_of(self.times) or 0
        if there < offsets.times:
            raise self._misfit(self.times, there, offsets.times)

    def require_all(self, offsets: Offsets, why: str) -> None:
        """See that the whole log is there.

        Raises:
            ConfigError: a file that was closed is not.
        """
        for number, size in enumerate(offsets.closed, 1):
            if size_of(self.closed(number)) is None:
                raise ConfigError(
                    f"{why}, so the log has to be counted from its beginning, and {self.closed(number)} ({size} bytes) "
                    "is not there. Put it back, or undo what was changed. Nothing was changed here."
                )

    @contextmanager
    def opened(self, offsets: Offsets, number: int) -> Iterator[BinaryIO]:
        """The file number `number`, to read, though the log may be written meanwhile.

        Raises:
            ConfigError: it is not there, or shorter than the offsets say.
        """
        size = offsets.closed[number - 1] if number < offsets.number else offsets.size
        path = self.closed(number) if number < offsets.number else self.path
        try:
            with path.open("rb") if number < offsets.number else self._opened(offsets) as file:
                there = os.fstat(file.fileno()).st_size
                if there < size:
                    raise self._misfit(path, there, size)
                yield file
        except FileNotFoundError:
            raise self._misfit(path, None, size) from None

    def wrong(self, what: str) -> ConfigError:
        """The error of a log that does not fit its offsets."""
        return ConfigError(f"{what}. Nothing was changed. {_REMEDY.format(path=self.path)}")

    def _opened(self, offsets: Offsets) -> BinaryIO:
        """The file that the offsets mean by the log: it has the next number where it was just being closed."""
        for _ in range(_TRIES):
            try:
                plain = self.path.open("rb")
            except FileNotFoundError:
                plain = None
            closed = self.closed(offsets.number).exists()
            if plain is not None and not closed and _is_at(plain, self.path):
                return plain  # and had its name all the time
            if plain is not None:
                plain.close()
            if not closed:
                continue
            try:
                return self.closed(offsets.number).open("rb")
            except FileNotFoundError:
                continue
        raise FileNotFoundError(self.path)

    def _misfit(self, path: Path, there: int | None, wanted: int) -> ConfigError:
        found = "is not there" if there is None else f"has {there} bytes"
        return self.wrong(f"{path} {found}, and {self.offsets} says that it has {wanted}")

    def _all_closed(self) -> list[Path]:
        """What has the name of a file that was closed. The oldest may have been removed."""
        name = self.path.name
        found = [
            each for each in self.path.parent.glob(f"{glob.escape(name)}.*") if _NUMBER.fullmatch(each.name, len(name))
        ]
        return sorted(found)

    def _beside(self, what: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{what}")


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def size_of(path: Path) -> int | None:
    """The size of a file; None where there is none.

    Raises:
        ConfigError: it cannot be looked at.
    """
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
