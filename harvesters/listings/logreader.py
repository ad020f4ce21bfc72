"""The access log, for whoever counts: from where they were, as far as the offsets vouch for it, in pieces."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import log2
from typing import BinaryIO, NamedTuple

from msgspec import Struct

from harvesters.listings import hot
from harvesters.listings.logfiles import LogFiles
from harvesters.listings.offsets import Offsets

_PIECE = 16 * 1024 * 1024  # bytes, which are some 150 MB while they are counted
_SPAN = 500  # powers of two, of the thousand that a double has above 1
_TIMES = 64 * 1024
_ITEM = re.compile(rb"\t([^\n]*)\n")


class Position(NamedTuple):
    """Up to where the log was read.

    Attributes:
        file: number of the file.
        size: bytes of it.
        times: bytes of the times.
        lines: how many lines of the run that begins there.
    """

    file: int = 1
    size: int = 0
    times: int = 0
    lines: int = 0


class Views(Struct, frozen=True, gc=False):
    """How many views there were of a listing, and what they count together (see `hot`)."""

    number: int
    hot: float

    def with_more(self, other: Views) -> Views:
        """These and others."""
        return Views(self.number + other.number, hot.together(self.hot, other.hot))


@dataclass(frozen=True)
class Piece:
    """The views in a piece of the log, by the id of their listing, and where it ends."""

    lines: int
    views: dict[bytes, Views]
    end: Position


def pieces(files: LogFiles, offsets: Offsets, begin: Position, half_life: float, size: int = _PIECE) -> Iterator[Piece]:
    """The log from `begin` on.

    Raises:
        ConfigError: a file that is needed is not there, or does not hold what the offsets say.
    """
    times = _Times(files, offsets, begin)
    try:
        at = begin
        for number in range(begin.file, offsets.number + 1):
            limit = offsets.closed[number - 1] if number < offsets.number else offsets.size
            place = at.size if number == at.file else 0
            if place >= limit:
                continue
            with files.opened(offsets, number) as file:
                while place < limit:
                    file.seek(place)
                    data = file.read(min(size, limit - place))
                    data = data[: data.rfind(b"\n") + 1]
                    if not data:
                        raise files.wrong(f"{file.name} does not end with the end of a line")
                    place += len(data)
                    lines, views = _counted(data, times, half_life)
                    yield Piece(lines, views, Position(number, place, *times.position))
                    del data, views  # before there are the next ones
    finally:
        times.close()


def _counted(data: bytes, times: _Times, half_life: float) -> tuple[int, dict[bytes, Views]]:
    """How many lines there are, and the views of each listing.

    They are summed up in units of a few moments, as far apart as a double allows; the sums of different units are added
    by their logarithms, which takes four times as long.
    """
    items: list[bytes] = _ITEM.findall(data)
    sums: dict[float, defaultdict[bytes, float]] = {}
    done = 0
    while done < len(items):
        minute, lines = times.take(len(items) - done)
        weight = hot.weight(minute, half_life)
        unit = weight - weight % _SPAN
        some, one = sums.setdefault(unit, defaultdict(float)), 2.0 ** (weight - unit)
        for item in items[done : done + lines]:
            some[item] += one
        done += lines
    heat: dict[bytes, float] = {}
    for unit, some in sums.items():
        for item, total in some.items():
            more = unit + log2(total)
            heat[item] = hot.together(heat[item], more) if item in heat else more
    return len(items), {item: Views(number, heat[item]) for item, number in Counter(items).items()}


class _Times:
    """Reads when the views were, run by run."""

    def __init__(self, files: LogFiles, offsets: Offsets, begin: Position) -> None:
        self._files = files
        self._end = offsets.times
        self._last = (offsets.minute, offsets.lines)
        self._at, self._used = begin.times, begin.lines
        self._runs: list[tuple[int, int, int]] = []  # minute, lines, bytes; the next one is the last
        self._file: BinaryIO | None = None

    @property
    def position(self) -> tuple[int, int]:
        """Bytes of the runs that are used up, and lines of the one after them."""
        return self._at, self._used

    def take(self, most: int) -> tuple[int, int]:
        """The minute of the next lines, and how many of it, `most` at most."""
        minute, lines = self._next()
        taken = min(most, lines - self._used)
        self._used += taken
        return minute, taken

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _next(self) -> tuple[int, int]:
        """The run that has lines left."""
        while True:
            if not self._runs and self._at < self._end:
                self._runs = self._read()
            minute, lines, size = self._runs[-1] if self._runs else (*self._last, 0)
            if lines > self._used:
                return minute, lines
            if lines < self._used or not size:
                raise self._files.wrong(f"{self._files.times} does not have the time of every line")
            self._runs.pop()
            self._at, self._used = self._at + size, 0

    def _read(self) -> list[tuple[int, int, int]]:
        try:
            if self._file is None:
                self._file = self._files.times.open("rb")
            self._file.seek(self._at)
            data = self._file.read(min(_TIMES, self._end - self._at))
            lines = data[: data.rfind(b"\n")].split(b"\n")
            runs = [(int(minute), int(count), len(line) + 1) for line in lines for minute, count in [line.split(b"\t")]]
        except (FileNotFoundError, ValueError) as error:
            raise self._files.wrong(f"{self._files.times} cannot be read: {error}") from error
        return runs[::-1]
