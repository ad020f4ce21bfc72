"""The harvest of user actions: a window, read in the dialect that the server speaks, and mapped with its episodes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from harvesters.cursor import TimeCursor
from harvesters.document import Document
from harvesters.errors import ProtocolError
from harvesters.harvest import Page
from harvesters.opencast import actions, dialect
from harvesters.opencast.arrival import Arrival
from harvesters.opencast.bounds import DayTally, Second, seconds_to_ask, shown, start_end
from harvesters.opencast.client import OpencastClient
from harvesters.opencast.dialect import Dialect
from harvesters.opencast.episodes import EpisodeLookup
from harvesters.opencast.jettison import text
from harvesters.opencast.reader import Edge, PlainTally, QueryReader
from harvesters.opencast.witness import Contradicted, Witness
from harvesters.stores.cache import Cache
from harvesters.timespan import Window, day_window

log = logging.getLogger(__name__)

# What is asked for to see a row near some moment: more than a day, so that there is one however quiet the night was,
# and so that no time zone is far enough from ours to hide it.
_NEAR = timedelta(hours=27)
_DAY = timedelta(days=1)


@dataclass
class UserActions:
    """User actions of one Opencast.

    Args:
        zone: the server's (``OPENCAST_TIMEZONE``).
        batch_size: actions a request.
        wait: seconds between two requests.
        name: short name of the Opencast (``OPENCAST_SOURCE``); "" where no other shares the output.
        stepwise: whether the run may commit in its middle, which costs a small request for each page but the last.
    """

    client: OpencastClient
    episodes: EpisodeLookup
    cache: Cache
    zone: ZoneInfo
    batch_size: int = 1000
    wait: float = 0.0
    stepwise: bool = True
    name: str = ""
    kind: str = actions.KIND
    _witness: Witness = field(init=False)
    _dialect: Dialect | None = field(default=None, init=False)
    _doubted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._witness = Witness(self.client.base_url, self.zone)

    @property
    def source(self) -> str:
        """The engage host."""
        return self.client.base_url

    def time(self) -> datetime | None:
        """The server's clock, by one small request, whose row shows whether what is remembered still holds.

        Raises:
            ConfigError: the server is not in our time zone.
        """
        try:
            self._dialect = dialect.remembered(self.client, self.cache, self.zone)
            if self._dialect is not None:
                now = self.client.now()
                self._look(Window(now, now), before=True)
            else:
                self._dialect = self._find()
        except Contradicted as contradiction:
            self._forget(contradiction)
        return self.client.time()

    def only_days(self) -> bool:
        """Whether the server can be asked for whole days of its zone only, found out by a few small requests.

        Raises:
            ProtocolError: it contradicts itself.
            ConfigError: the server is not in our time zone.
        """
        first: Contradicted | None = None
        while True:
            try:
                self._dialect = dialect.remembered(self.client, self.cache, self.zone) or self._find()
                return self._dialect is Dialect.STOCK
            except Contradicted as contradiction:
                if first is not None:
                    raise self._refusal(first, contradiction) from None
                self._forget(contradiction)
                first = contradiction

    def pages(self, window: Window) -> Iterator[Page]:
        """The actions of `window`, read to its end, or an error.

        An answer that contradicts what the server was taken for has the window read anew, from its start, in the
        dialect that is found then.

        Raises:
            ProtocolError: it happened a second time.
            ConfigError: the server is not in our time zone.
        """
        if window.empty:
            return
        reader = QueryReader(self.client, self.batch_size, self.wait)
        try:
            yield from self._read(reader, window)
            return
        except Contradicted as contradiction:
            self._forget(contradiction)
            first = contradiction
        try:
            yield from self._read(reader, window)
        except Contradicted as second:
            raise self._refusal(first, second) from None

    def acknowledged(self, page: Page) -> None:
        """Nothing is kept of a page."""

    def row_id(self, row: Any) -> str:
        """The id of the action's document."""
        try:
            number = text(row.get("id"))
            return actions.document_id(self.name, number) if number else ""
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
        """Drop look-ups that have not begun, and the connections."""
        self.episodes.close()
        self.client.close()

    def _document(self, row: Any, episodes: dict[str, dict[str, Any]]) -> Document | str:
        try:
            moment = actions.created(row, self.zone)
            return actions.to_document(row, moment, episodes.get(actions.mpid_of(row) or "", {}), self.name)
        except actions.PoisonRow as error:
            return str(error)

    def _read(self, reader: QueryReader, window: Window) -> Iterator[Page]:
        """All of `window`, in the server's dialect; an empty table is asked as DCE's, which is right for both."""
        if self._dialect is None:
            self._dialect = dialect.remembered(self.client, self.cache, self.zone) or self._find()
        if self._dialect is Dialect.STOCK:
            yield from self._by_day(reader, window)
        else:
            yield from self._by_start_and_end(reader, window)

    def _find(self) -> Dialect:
        """Find out the dialect; a table that is empty after it showed rows is one more contradiction."""
        spoken = dialect.probe(self.client, self.cache, self._witness)
        if spoken is Dialect.EMPTY and self._doubted:
            raise Contradicted(f"{self.source} shows actions, and then none at all")
        return spoken

    def _forget(self, contradiction: Contradicted) -> None:
        log.warning("%s; finding out anew what the server honours", contradiction)
        dialect.forget(self.client, self.cache, self.zone)
        self._dialect = None
        self._doubted = True

    def _refusal(self, first: Contradicted, second: Contradicted) -> Exception:
        """What an answer means that contradicts for the second time."""
        if first.explained is not None and second.explained is not None:
            return second.explained
        return ProtocolError(
            f"{second}, and that after it was found out anew what the server honours. Something between here and "
            "Opencast may strip the query, or several servers of different kinds answer in turn: point "
            "MATTERHORN_ENGAGE_HOST at the presentation node itself, and make sure that it is an Opencast. Nothing is "
            "lost: the checkpoint lies before all that was not delivered."
        )

    def _look(self, window: Window, before: bool) -> None:
        """Have a row from near `window` heard, if there is one.

        Args:
            before: from the day before, or else from the day after; where days are all that can be asked for.
        """
        if self._dialect is Dialect.STOCK:
            days = [day for day, _ in window.days(self.zone)] or [window.start.astimezone(self.zone).date()]
            day = days[0] - _DAY if before else days[-1] + _DAY
            asked, params = day_window(day, self.zone), {"day": f"{day:%Y%m%d}"}
        else:
            params = start_end(Window(window.start - _NEAR, window.end + _NEAR), self.zone)
            asked = shown(params, self.zone)
        self._witness.hear(self.client.actions(**params, limit=1, offset=0).rows, asked)

    def _vouch(self, window: Window) -> None:
        """Make sure that no rows in `window` means that there are none, and not that the server's time is another.

        Zones may differ in summer only, so a row from near there says more than any other.

        Raises:
            ConfigError: it is.
        """
        if self._dialect is Dialect.EMPTY:
            return
        heard = self._witness.heard
        for before in (True, False) if self._dialect is Dialect.STOCK else (True,):
            self._look(window, before)
            if heard != self._witness.heard:
                return
        self._witness.hear(self.client.actions(limit=1, offset=0).rows, None)

    def _by_start_and_end(self, reader: QueryReader, window: Window) -> Iterator[Page]:
        params = start_end(window, self.zone)
        hear = partial(self._witness.hear, asked=shown(params, self.zone))
        arrival = Arrival()
        heard = self._witness.heard
        for rows, moments, total in reader.pages(params, PlainTally(), hear):
            if self.stepwise and arrival.ordered:
                for moment in moments:
                    arrival.add(moment)
            kept = _within(rows, moments, window)
            try:
                safe = self._safe(window, arrival, total or 0)
            except Contradicted:
                yield Page(kept, None, total or 0)  # they are not shown again
                raise
            yield Page(kept, safe, total or 0)
        if heard == self._witness.heard:
            self._ask_again(params, shown(params, self.zone), window)
        if heard == self._witness.heard or reader.fell:
            self._vouch(window)

    def _ask_again(self, params: dict[str, str], asked: Window, window: Window) -> None:
        """Make sure that there is nothing in `window`: one blank answer must not pass for a quiet time.

        `asked` is what a request with `params` can show.

        Raises:
            Contradicted: there is a row. (One that came in between is found when the window is read anew.)
        """
        rows = self.client.actions(**params, limit=self.batch_size, offset=0).rows
        moments = self._witness.hear(rows, asked)
        if any(moment is not None and moment in window for moment in moments):
            raise Contradicted(f"{self.source} shows no action of {window}, and a moment later there is one")

    def _safe(self, window: Window, arrival: Arrival, total: int) -> TimeCursor | None:
        """The second of the latest row, if there is no row before it that has not come yet.

        Rows that came in order so far need not go on so: a table read in order of ids shows those of one node (ids
        are handed out in blocks) and then goes back in time. So the server is asked how many rows there are.
        """
        if not self.stepwise or not arrival.ordered or arrival.latest is None or arrival.count >= total:
            return None  # after the last page the whole window is safe anyway
        cut = arrival.cut(arrival.latest)
        if cut <= window.start:
            return None
        params = start_end(Window(window.start, cut), self.zone)
        page = self.client.actions(**params, limit=1, offset=0)
        self._witness.hear(page.rows, shown(params, self.zone))
        return TimeCursor(arrival.latest) if page.total == arrival.until(cut) else None

    def _by_day(self, reader: QueryReader, window: Window) -> Iterator[Page]:
        """Day by day; the last page of a day says that it is done.

        A day without a row is done when rows of a later one are heard, for it might be empty because the server's day
        is another. At the end a row of before is asked for.
        """
        silent = False
        for day, part in window.days(self.zone):
            heard = self._witness.heard
            fraction = (part.end - window.start) / (window.end - window.start)
            for page, last in _with_last(self._one_day(reader, day, part)):
                if last and heard == self._witness.heard:
                    whole = day_window(day, self.zone)
                    self._ask_again({"day": f"{day:%Y%m%d}"}, whole, whole)
                silent = last and heard == self._witness.heard
                done = last and not silent and not reader.fell
                yield replace(page, cursor=TimeCursor(part.end), fraction=fraction) if done else page
        if silent or reader.fell:
            self._vouch(window)

    def _one_day(self, reader: QueryReader, day: date, part: Window) -> Iterator[Page]:
        params = {"day": f"{day:%Y%m%d}"}
        hear = partial(self._witness.hear, asked=day_window(day, self.zone))
        tally = DayTally()
        seconds = seconds_to_ask(day, part, self.zone)
        if not seconds:
            for rows, moments, _ in reader.pages(params, tally, hear):
                yield Page(_within(rows, moments, part))
        while seconds:
            nearest = min(seconds, key=lambda second: second.wait(self.client.now()))
            seconds.remove(nearest)
            edge = Edge(partial(self._wait_for, nearest), nearest.lo > 30)
            for rows, moments, _ in reader.everything(params, tally, hear, edge):
                yield Page(_within(rows, moments, part))

    def _wait_for(self, second: Second) -> None:
        while (pause := second.wait(self.client.now())) > 0:
            log.info("waiting %.1f s, because the day's edge shows at that second of a minute only", pause)
            self.client.clock.sleep(pause)


def _within(rows: list[Any], moments: list[datetime | None], part: Window) -> list[Any]:
    """The rows that happened in `part`, and those that do not say when: `documents` will say what is wrong."""
    pairs = zip(rows, moments, strict=True)
    return [row for row, moment in pairs if moment is None or moment in part]


def _with_last(pages: Iterator[Page]) -> Iterator[tuple[Page, bool]]:
    """Each page, and whether it is the last; none is kept back when the next one has everything read anew."""
    held: Page | None = None
    try:
        for page in pages:
            if held is not None:
                yield held, False
            held = page
    except Contradicted:
        if held is not None:
            yield held, False
        raise
    if held is not None:
        yield held, True
