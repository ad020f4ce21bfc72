"""The harvest of meetings and their participant sessions: a window, day by day, meeting by meeting."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harvesters.cursor import TimeCursor
from harvesters.document import Document
from harvesters.errors import SpanRefused
from harvesters.pipeline import Page, ending_at
from harvesters.timespan import Window, iso
from harvesters.zoom import meetings, sessions
from harvesters.zoom.client import ZoomClient
from harvesters.zoom.gather import gather
from harvesters.zoom.listing import Meeting, Route
from harvesters.zoom.ranges import horizon
from harvesters.zoom.refusals import NoSuchMeeting, NoSuchUser, NotAMeeting, PlanMissing
from harvesters.zoom.routes import Routes
from harvesters.zoom.state import RunState

log = logging.getLogger(__name__)

Row = dict[str, Any]
_ROWS = 500  # from which on a page is handed over, whatever else is finished


@dataclass
class _Found:
    """A meeting and its participant rows; None where Zoom does not give them, or where it is a webinar."""

    meeting: Meeting
    participants: list[Any] | None
    webinar: bool = False


@dataclass(frozen=True)
class MeetingsPage(Page):
    """Rows of some meetings, each whole; `chunk` is the part of the window that is done with it, on its last page."""

    meetings: Sequence[Meeting] = ()
    chunk: Window | None = None


@dataclass
class ZoomHarvest:
    """Meetings that ended in a window, each on one page with all of its sessions.

    Args:
        state: which meetings are done already; `acknowledged` brings it up to date.
        account: where the rows come from.
        pool: runs calls at once; closed with the harvest.
        resumes: whether a run begins where the state says that an earlier one got to.
        geoip: what is known of an IP address.
        keep: called when the state has changed.
    """

    client: ZoomClient
    routes: Routes
    state: RunState
    account: str
    pool: Executor
    geoip: Callable[[str], Mapping[str, Any] | None] = lambda address: None
    resumes: bool = True
    keep: Callable[[], None] = lambda: None
    kind: str = "zoom"
    _found: dict[str, int] = field(default_factory=lambda: {"meetings": 0, "sessions": 0, "without_sessions": 0})
    _webinars: int = 0
    _skipped: int = 0

    @property
    def source(self) -> str:
        """The account."""
        return self.account

    def time(self) -> datetime | None:
        """Zoom does not say."""
        return None

    def pages(self, window: Window) -> Iterator[Page]:
        """The meetings of `window`; what is done is left out.

        Raises:
            SpanRefused: it begins before what Zoom keeps.
        """
        self._check(window)
        since = self.state.since if self.resumes else None
        start = max(since or window.start, window.start)
        while start < window.end:
            route = self.routes.current
            chunk = route.chunk(start, window.end)
            try:
                listed = route.meetings(chunk, window.end)
            except PlanMissing as error:
                self.routes.next(error)
                continue
            self.routes.settle()
            fraction = (chunk.end - window.start) / (window.end - window.start)
            pages: Iterator[MeetingsPage] = ending_at(
                self._chunk(route, listed),
                MeetingsPage(()),
                cursor=TimeCursor(chunk.end),
                fraction=fraction,
                chunk=chunk,
            )
            yield from pages
            self.routes.notebook.clear()
            start = chunk.end

    def acknowledged(self, page: Page) -> None:
        """The meetings of a page are done; with the last page of a chunk everything that ended in it is."""
        assert isinstance(page, MeetingsPage)
        for meeting in page.meetings:
            self.state.add(meeting)
        if page.chunk is not None and self.resumes:
            self.state.since = page.chunk.end
            self.state.forget(page.chunk.end)
        self.keep()

    def row_id(self, row: Row) -> str:
        """The id of the row's document."""
        return str(row["id"])

    def documents(self, rows: Sequence[Row]) -> list[Document | str]:
        """A meeting's or a session's document for each row."""
        return [self._document(row) for row in rows]

    def report(self) -> dict[str, Any]:
        """What was found, and what the calls cost."""
        budgets = self.client.budgets
        return {
            **self._found,
            "meetings_done_before": self._skipped,
            "webinars": self._webinars + self.routes.report.webinars,
            "hosts_without_id": self.routes.hosts.missing,
            "hosts_refused": self.routes.report.strangers,
            "route": self.routes.name,
            "calls": sum(budgets.calls.values()),
            "answers_429": budgets.refusals,
        }

    def close(self) -> None:
        """Drop calls that have not begun."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _check(self, window: Window) -> None:
        first = horizon(self.client.clock.now())
        if not window.empty and window.start.date() < first:
            raise SpanRefused(
                f"the window begins at {iso(window.start)}, and Zoom keeps meetings for six months: since {first}. "
                "What is older cannot be harvested any more; give --start a later time (a checkpoint of --live that is "
                "older can be deleted)."
            )

    def _chunk(self, route: Route, listed: list[Meeting]) -> Iterator[MeetingsPage]:
        todo = [meeting for meeting in listed if not self.state.has(meeting)]
        self._skipped += len(listed) - len(todo)
        log.info("%d meetings listed (%s), %d to do", len(listed), route.name, len(todo))
        # In the order of their ends, so that a checkpoint can follow; those without an end come first.
        todo.sort(key=lambda meeting: (meeting.end is not None, meeting.filed, meeting.uuid))
        route.find_hosts(todo)
        order, whole = iter(todo), True
        for found in gather(self.pool, lambda meeting: self._fetch(route, meeting), todo, 128, full=_full):
            rows = [row for one in found for row in self._rows(route.name, one)]
            # After a failure come those that had begun; the checkpoint must not pass the one that failed.
            whole = whole and all(one.meeting is meeting for one, meeting in zip(found, order, strict=False))
            last = found[-1].meeting.end if whole else None
            cursor = TimeCursor(last) if last is not None else None
            yield MeetingsPage(rows, cursor, requests=len(found), meetings=[one.meeting for one in found])

    def _fetch(self, route: Route, meeting: Meeting) -> _Found:
        if not meeting.uuid:
            return _Found(meeting, None)
        try:
            return _Found(meeting, route.participants(meeting.uuid))
        except (NoSuchMeeting, NoSuchUser) as refusal:
            log.info("a meeting without sessions: %s", refusal)
            return _Found(meeting, None)
        except NotAMeeting:
            return _Found(meeting, None, webinar=True)

    def _rows(self, route: str, found: _Found) -> Iterator[Row]:
        meeting, participants = found.meeting, found.participants
        if found.webinar:
            self._webinars += 1
            return
        self._found["meetings"] += 1
        self._found["without_sessions"] += participants is None
        common = {"route": route, "filed": iso(meeting.filed)}
        made = list(sessions.with_ids(meeting.uuid, participants or []))
        count = len(made) if participants is not None else None
        listed = {"row": meeting.row, "host": meeting.host, "sessions": count}
        yield {"of": meetings.KIND, "id": meeting.uuid, **listed, **common}
        for id, row in made:
            self._found["sessions"] += 1
            yield {"of": sessions.KIND, "id": id, "row": row, "meeting": meeting.uuid, **common}

    def _document(self, row: Row) -> Document | str:
        if not row["id"]:
            return f"the {row['of'].rstrip('s')} has no id"
        filed = datetime.fromisoformat(row["filed"])
        try:
            if row["of"] == meetings.KIND:
                return meetings.to_document(row["row"], row["host"], row["route"], filed, row["sessions"])
            address = row["row"].get("ip_address")
            geoip = self.geoip(address) if isinstance(address, str) and address else None
            return sessions.to_document(row["id"], row["row"], row["meeting"], row["route"], filed, geoip)
        except (ValueError, TypeError, AttributeError) as error:
            return f"a {row['of'].rstrip('s')} that cannot be read: {error}"


def _full(found: list[_Found]) -> bool:
    return sum(len(one.participants or ()) + 1 for one in found) >= _ROWS
