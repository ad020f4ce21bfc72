"""Every row is a witness: of whether the server looked at what was asked for, and of the time zone that it lives in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from harvesters.errors import ConfigError
from harvesters.opencast import actions
from harvesters.timespan import Window, iso

_STEP = timedelta(minutes=15)  # what the offsets of all time zones are multiples of
_WEST, _EAST = timedelta(hours=-12), timedelta(hours=14)
_REMEDY = "Set OPENCAST_TIMEZONE to the time zone of the server; otherwise every harvest would miss what it looks for."


class Contradicted(Exception):
    """An answer does not fit the question: the server speaks another dialect than it was taken for.

    Attributes:
        explained: what the answer means if the server is not in our time zone, where that explains all of its rows.
    """

    def __init__(self, reason: str, explained: ConfigError | None = None) -> None:
        super().__init__(reason)
        self.explained = explained


@dataclass
class Witness:
    """Hears the rows of one server before any of them is used.

    Args:
        zone: the server's (``OPENCAST_TIMEZONE``).

    Attributes:
        heard: how many rows fitted.
    """

    base_url: str
    zone: ZoneInfo
    heard: int = 0

    def hear(self, rows: Sequence[Any], asked: Window | None) -> list[datetime | None]:
        """When each row happened; None for one that does not say so.

        Args:
            asked: what can have been shown; None when any row of the table could.

        Raises:
            ConfigError: a row has an offset that our zone does not have then.
            Contradicted: a row lies outside of `asked`.
        """
        moments = [self._moment(row) for row in rows]
        known = [moment for moment in moments if moment is not None]
        if known and asked is not None:
            first, last = min(known), max(known)
            if first not in asked or last not in asked:
                raise self._contradiction(first, last, asked)
        self.heard += len(known)
        return moments

    def _moment(self, row: Any) -> datetime | None:
        try:
            moment, offset = actions.written(row, self.zone)
        except actions.PoisonRow:
            return None  # kept: the mapping will say what is wrong with it
        if offset is not None and (ours := moment.astimezone(self.zone).utcoffset()) != offset:
            raise ConfigError(
                f"{self.base_url} shows an action of {row['created']}, so its offset is {_named(offset)} then, but "
                f"that of OPENCAST_TIMEZONE ({self.zone.key}) is {_named(ours)}. {_REMEDY}"
            )
        return moment

    def _contradiction(self, first: datetime, last: datetime, asked: Window) -> Contradicted:
        stray = first if first not in asked else last
        reason = f"{self.base_url} shows an action of {iso(stray)} when asked for {asked}"
        offset = self._explaining(first, last, asked)
        if offset is None:
            return Contradicted(reason)
        return Contradicted(
            reason,
            ConfigError(
                f"{reason}, as a server would whose time zone has the offset {_named(offset)} then, unlike "
                f"OPENCAST_TIMEZONE ({self.zone.key}). {_REMEDY}"
            ),
        )

    def _explaining(self, first: datetime, last: datetime, asked: Window) -> timedelta | None:
        """The offset of a server that read what we asked for as the time of these rows."""
        ours = first.astimezone(self.zone).utcoffset() or timedelta()
        candidates = (ours - number * _STEP for number in sorted(range(-104, 105), key=abs))
        for theirs in candidates:
            shift = ours - theirs
            if shift and _WEST <= theirs <= _EAST and first - shift in asked and last - shift in asked:
                return theirs
        return None


def _named(offset: timedelta | None) -> str:
    minutes = round((offset or timedelta()).total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
