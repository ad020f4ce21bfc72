"""The harvest of user actions: a window, read in the dialect that the server speaks, and mapped with its episodes."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from harvesters.cursor import TimeCursor
from harvesters.document import Document
from harvesters.opencast import actions
from harvesters.opencast.bounds import DayTally, Second, seconds_to_ask, start_end
from harvesters.opencast.client import OpencastClient
from harvesters.opencast.dialect import Dialect, find_dialect, forget_dialect
from harvesters.opencast.episodes import EpisodeLookup
from harvesters.opencast.jettison import text
from harvesters.opencast.reader import PlainTally, QueryReader
from harvesters.pipeline import Page, ending_at
from harvesters.stores.cache import Cache
from harvesters.timespan import Window, floor_second

log = logging.getLogger(__name__)

# A row this far outside of what was asked for was not looked for there: no clock or daylight saving explains it.
_SLACK = timedelta(hours=2)
_SECOND = timedelta(seconds=1)


class _IgnoresWindow(Exception):
    """The server shows rows from outside of what ``start`` and ``end`` asked for."""


@dataclass
class _Arrival:
    """Whether rows come in order of time, and how many of them lie before the second of the latest."""

    ordered: bool = True
    count: int = 0
    latest: datetime | None = None
    _fractions: bool = False
    _counted: int = 0
    _recent: deque[datetime | None] = field(default_factory=deque)

    def add(self, moment: datetime | None) -> None:
        """A row came; one that does not say when it happened takes its place between its neighbours."""
        self.count += 1
        self._recent.append(moment)
        if moment is not None:
            self.ordered = self.ordered and (self.latest is None or moment >= self.latest)
            self.latest = moment if self.latest is None else max(self.latest, moment)
            self._fractions = self._fractions or moment.microsecond > 0
        if not self.ordered:
            self._recent.clear()  # nobody asks any more, and it would grow with the window

    def cut(self, latest: datetime) -> datetime:
        """The last whole second before which rows can be counted: of the latest one there may be more to come."""
        return floor_second(latest) - (timedelta() if self._fractions else _SECOND)

    def until(self, cut: datetime) -> int:
        """How many rows came up to and with `cut`, which must not go back from call to call."""
        while self._recent and ((first := self._recent[0]) is None or first <= cut):
            self._recent.popleft()
            self._counted += 1
        return self._counted


@dataclass
class UserActions:
    """User actions of one Opencast.

    Args:
        zone: the server's (``OPENCAST_TIMEZONE``).
        batch_size: actions a request.
        wait: seconds between two requests.
        stepwise: whether the run may commit in its middle, which costs a small request for each page but the last.
    """

    client: OpencastClient
    episodes: EpisodeLookup
    cache: Cache
    zone: ZoneInfo
    batch_size: int = 1000
    wait: float = 0.0
    stepwise: bool = True
    kind: str = actions.KIND

    @property
    def source(self) -> str:
        """The engage host."""
        return self.client.base_url

    def time(self) -> datetime | None:
        """The node does not say."""
        return None

    def pages(self, window: Window) -> Iterator[Page]:
        """The actions of `window`."""
        if window.empty:
            return
        reader = QueryReader(self.client, self.batch_size, self.wait)
        dialect = find_dialect(self.client, self.cache, self.zone)
        if dialect is Dialect.DCE:
            try:
                yield from self._by_start_and_end(reader, window)
                return
            except _IgnoresWindow:
                log.warning("%s no longer honours start and end; finding out what it does", self.source)
                forget_dialect(self.client, self.cache)
                dialect = find_dialect(self.client, self.cache, self.zone)
        if dialect is Dialect.STOCK:
            yield from self._by_day(reader, window)

    def acknowledged(self, page: Page) -> None:
        """Nothing is kept of a page."""

    def row_id(self, row: Any) -> str:
        """The action's id."""
        try:
            return text(row.get("id")) or ""
        except (AttributeError, ValueError):
            return ""

    def documents(self, rows: Sequence[Any]) -> list[Document | str]:
        """Map rows, with their episodes; the reason for each that cannot be mapped."""
        episodes = self.episodes.find({mpid for row in rows if (mpid := actions.mpid_of(row)) is not None})
        return [self._document(row, episodes) for row in rows]

    def report(self) -> dict[str, Any]:
        """How the episodes were found."""
        return {"cache_hits": self.episodes.hits, "missing_episodes": self.episodes.missing}

    def close(self) -> None:
        """Drop look-ups that have not begun."""
        self.episodes.close()

    def _document(self, row: Any, episodes: dict[str, dict[str, Any]]) -> Document | str:
        try:
            moment = actions.created(row, self.zone)
            return actions.to_document(row, moment, episodes.get(actions.mpid_of(row) or "", {}))
        except actions.PoisonRow as error:
            return str(error)

    def _by_start_and_end(self, reader: QueryReader, window: Window) -> Iterator[Page]:
        asked = Window(window.start - _SLACK, window.end + _SLACK)
        arrival = _Arrival()
        for rows, total in reader.pages(start_end(window, self.zone), PlainTally()):
            kept = []
            for row in rows:
                moment = self._moment(row)
                if moment is not None and moment not in asked:
                    raise _IgnoresWindow
                if moment is None or moment in window:
                    kept.append(row)
                if self.stepwise and arrival.ordered:
                    arrival.add(moment)
            yield Page(kept, self._safe(window, arrival, total or 0), total or 0)

    def _safe(self, window: Window, arrival: _Arrival, total: int) -> TimeCursor | None:
        """The second of the latest row, if there is no row before it that has not come yet.

        Rows that came in order so far need not go on so: a table read in order of ids shows those of one node (ids
        are handed out in blocks) and then goes back in time. So the server is asked how many rows there are.
        """
        if not self.stepwise or not arrival.ordered or arrival.latest is None or arrival.count >= total:
            return None  # after the last page the whole window is safe anyway
        cut = arrival.cut(arrival.latest)
        if cut <= window.start:
            return None
        stated = self.client.actions(**start_end(Window(window.start, cut), self.zone), limit=1, offset=0).total
        return TimeCursor(arrival.latest) if stated == arrival.until(cut) else None

    def _by_day(self, reader: QueryReader, window: Window) -> Iterator[Page]:
        for day, part in window.days(self.zone):
            fraction = (part.end - window.start) / (window.end - window.start)
            pages = self._one_day(reader, day, part)
            yield from ending_at(pages, Page(()), cursor=TimeCursor(part.end), fraction=fraction)

    def _one_day(self, reader: QueryReader, day: date, part: Window) -> Iterator[Page]:
        params = {"day": f"{day:%Y%m%d}"}
        seconds = seconds_to_ask(day, part, self.zone)
        if not seconds:
            for rows, _ in reader.pages(params, DayTally()):
                yield Page(self._within(rows, part))
        while seconds:
            nearest = min(seconds, key=lambda second: second.wait(self.client.now()))
            seconds.remove(nearest)
            for rows, _ in reader.everything(params, partial(self._wait_for, nearest)):
                yield Page(self._within(rows, part))

    def _within(self, rows: list[Any], part: Window) -> list[Any]:
        moments = ((row, self._moment(row)) for row in rows)
        return [row for row, moment in moments if moment is None or moment in part]

    def _wait_for(self, second: Second) -> None:
        while (pause := second.wait(self.client.now())) > 0:
            log.info("waiting %.1f s, because the day's edge shows at that second of a minute only", pause)
            self.client.clock.sleep(pause)

    def _moment(self, row: Any) -> datetime | None:
        try:
            return actions.created(row, self.zone)
        except actions.PoisonRow:
            return None  # kept: `documents` will say what is wrong with it
