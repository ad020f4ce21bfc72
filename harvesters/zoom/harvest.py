"""The harvest of meetings and their participant sessions: a window, some days at a time, meeting by meeting."""

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
from harvesters.harvest import Page, ending_at
from harvesters.timespan import Window, iso
from harvesters.zoom import meetings, sessions
from harvesters.zoom.client import ZoomClient
from harvesters.zoom.gather import gather
from harvesters.zoom.listed import ListedMeeting
from harvesters.zoom.listing import Route, TooMany
from harvesters.zoom.packed import PackedRows
from harvesters.zoom.ranges import Days, horizon
from harvesters.zoom.refusals import (
    Misunderstood,
    NoSuchMeeting,
    NoSuchUser,
    NotAMeeting,
    PlanMissing,
    check_share,
)
from harvesters.zoom.routes import Routes
from harvesters.zoom.state import RunState

log = logging.getLogger(__name__)

Row = dict[str, Any]
_ROWS = 500  # from which on a page is handed over, whatever else is finished; none has over twice as many


@dataclass
class _Attended:
    """A meeting and its participant rows; None where Zoom does not give them.

    Attributes:
        webinar: it is none of ours.
        missing: Zoom has no such meeting or user, or not in this report, as for each meeting of one person.
        refused: Zoom does not give them for a reason of its own, and not because there are none.
    """

    meeting: ListedMeeting
    participants: PackedRows | None
    webinar: bool = False
    missing: bool = False
    refused: bool = False

    @property
    def counts(self) -> bool:
        """It was asked for, and says whether Zoom and we understand each other."""
        return bool(self.meeting.uuid) and not self.webinar and not self.missing


@dataclass(frozen=True)
class MeetingsPage(Page):
    """Rows of some meetings; a large one has pages of its own before the one that completes it.

    Attributes:
        meetings: those that are complete with this page.
        given: how many of them Zoom gave; others are webinars, or were not asked for.
        chunk: the part of the window that is done with it, on its last page.
        refused: the meetings of that part that Zoom refused, which count as done only then.
        ends: it is the last page of the window.
    """

    meetings: Sequence[ListedMeeting] = ()
    given: int = 0
    chunk: Window | None = None
    refused: Sequence[ListedMeeting] = ()
    ends: bool = False


@dataclass
class ZoomHarvest:
    """Meetings that ended in a window with their sessions, of which a large meeting has more than one page.

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
    _counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("meetings", "sessions", "without_sessions", "meetings_refused"), 0)
    )
    _webinars: int = 0
    _skipped: int = 0
    _asked: int = 0

    @property
    def source(self) -> str:
        """The account."""
        return self.account

    def pages(self, window: Window) -> Iterator[Page]:
        """The meetings of `window`; what is done is left out.

        Raises:
            SpanRefused: it begins before what Zoom keeps.
        """
        self._check(window)
        since = self.state.since if self.resumes else None
        start = max(since or window.start, window.start)
        notebook = self.routes.notebook
        before = self.state.good, self.state.refused
        while start < window.end:
            route = self.routes.current
            chunk = notebook.chunk(start, window.end)
            try:
                listed = route.meetings(chunk, window.end)
            except PlanMissing as error:
                self.routes.next(error)  # once at most
                continue
            except TooMany as error:
                notebook.shorten(Days.of(chunk), error.rows)  # to a single day at the least, which is never too long
                continue
            self.routes.settle()
            refused: list[ListedMeeting] = []
            pages: Iterator[MeetingsPage] = ending_at(
                self._judged(self._chunk(route, listed, refused), before),
                MeetingsPage(()),
                cursor=TimeCursor(chunk.end),
                fraction=(chunk.end - window.start) / (window.end - window.start),
                chunk=chunk,
                refused=refused,  # it is full by then
                ends=chunk.end == window.end,
            )
            yield from pages
            notebook.done(len(listed))
            start = chunk.end

    def acknowledged(self, page: Page) -> None:
        """The meetings of a page are done; with the last page of a chunk everything that ended in it is."""
        assert isinstance(page, MeetingsPage)
        for meeting in (*page.meetings, *page.refused):
            self.state.add(meeting)
        self.state.good += page.given
        self.state.refused += len(page.refused)
        if page.ends:
            self.state.good = self.state.refused = 0
        if page.chunk is not None and self.resumes:
            self.state.since = page.chunk.end
            self.state.forget(page.chunk.end)
        self.keep()

    def time(self) -> datetime | None:
        """What time it is at Zoom; None where it does not say."""
        return self.client.time()

    def row_id(self, row: Row) -> str:
        """The id of the row's document."""
        return str(row["id"])

    def documents(self, rows: Sequence[Row]) -> list[Document | str]:
        """A meeting's or a session's document for each row."""
        return [document_of(row, self.geoip) for row in rows]

    def report(self) -> dict[str, Any]:
        """What was found, and what the calls cost."""
        budgets = self.client.budgets
        return {
            **self._counts,
            "meetings_done_before": self._skipped,
            "webinars": self._webinars + self.routes.report.webinars,
            "hosts_without_id": self.routes.hosts.missing,
            "hosts_refused": len(self.routes.report.strangers | self.routes.report.refused),
            "route": self.routes.name,
            "calls": sum(budgets.calls.values()),
            "answers_429": budgets.refusals,
        }

    def close(self) -> None:
        """Drop calls that have not begun, and the connections."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    def _check(self, window: Window) -> None:
        first = horizon(self.client.clock.now())
        if not window.empty and window.start.date() < first:
            raise SpanRefused(
                f"the window begins at {iso(window.start)}, and Zoom keeps meetings for six months: since {first}. "
                "What is older cannot be harvested any more; give --start a later time (a checkpoint of --live that is "
                "older can be deleted)."
            )

    def _judged(self, pages: Iterator[MeetingsPage], before: tuple[int, int]) -> Iterator[MeetingsPage]:
        """`pages`, at whose end too many refusals are an error; `before` counts what earlier runs met."""
        yield from pages
        check_share("meetings", before[1] + self._counts["meetings_refused"], sum(before) + self._asked)

    def _chunk(self, route: Route, listed: list[ListedMeeting], refused: list[ListedMeeting]) -> Iterator[MeetingsPage]:
        """The pages of `listed`; those that Zoom refuses are added to `refused`, for they are not done until judged."""
        todo = [meeting for meeting in listed if not self.state.has(meeting)]
        self._skipped += len(listed) - len(todo)
        log.info("%d meetings listed (%s), %d to do", len(listed), route.name, len(todo))
        # In the order of their ends, so that a checkpoint can follow; those without an end come first.
        todo.sort(key=lambda meeting: (meeting.end is not None, meeting.filed, meeting.uuid))
        route.find_hosts(todo)
        order, whole = iter(todo), True
        for results in gather(self.pool, lambda meeting: self._fetch(route, meeting), todo, 128, full=_full):
            # After a failure come those that had begun; the checkpoint must not pass the one that failed.
            whole = whole and all(one.meeting is meeting for one, meeting in zip(results, order, strict=False))
            refused += [one.meeting for one in results if one.refused]
            for rows, complete in self._bundles(route.name, results):
                last = complete[-1].meeting.end if complete and whole and not refused else None
                yield MeetingsPage(
                    rows,
                    TimeCursor(last) if last is not None else None,
                    requests=len(complete) or 1,
                    meetings=[one.meeting for one in complete if not one.refused],
                    given=sum(one.counts and not one.refused for one in complete),
                )

    def _bundles(self, route: str, results: list[_Attended]) -> Iterator[tuple[list[Row], list[_Attended]]]:
        """Rows for one page each, and the meetings that are complete with them; only a very large one is divided."""
        rows: list[Row] = []
        complete: list[_Attended] = []
        for one in results:
            if rows and len(rows) + len(one.participants or ()) > 2 * _ROWS:
                yield rows, complete
                rows, complete = [], []
            for row in self._rows(route, one):
                if len(rows) >= 2 * _ROWS:
                    yield rows, complete
                    rows, complete = [], []
                rows.append(row)
            complete.append(one)
        yield rows, complete

    def _fetch(self, route: Route, meeting: ListedMeeting) -> _Attended:
        if not meeting.uuid:
            return _Attended(meeting, None)
        try:
            return _Attended(meeting, route.participants(meeting.uuid))
        except (NoSuchMeeting, NoSuchUser) as refusal:
            log.info("a meeting without sessions: %s", refusal)
            return _Attended(meeting, None, missing=True)
        except NotAMeeting:
            return _Attended(meeting, None, webinar=True)
        except Misunderstood as refusal:
            if not refusal.of_one:
                raise
            log.warning("a meeting without sessions: %s", refusal)
            return _Attended(meeting, None, refused=True)

    def _rows(self, route: str, attended: _Attended) -> Iterator[Row]:
        meeting, participants = attended.meeting, attended.participants
        if attended.webinar:
            self._webinars += 1
            return
        self._asked += attended.counts
        self._counts["meetings"] += 1
        self._counts["without_sessions"] += participants is None
        self._counts["meetings_refused"] += attended.refused
        common = {"route": route, "filed": iso(meeting.filed)}
        ids = sessions.ids(meeting.uuid, participants) if participants is not None else []
        count = sum(id is not None for id in ids) if participants is not None else None
        listed = {"row": meeting.row, "host": meeting.host, "sessions": count}
        yield {"of": meetings.KIND, "id": meeting.uuid, **listed, **common}
        for id, row in zip(ids, participants or (), strict=True):
            if id is not None:
                self._counts["sessions"] += 1
                yield {"of": sessions.KIND, "id": id, "row": row, "meeting": meeting.uuid, **common}


def document_of(row: Row, geoip: Callable[[str], Mapping[str, Any] | None]) -> Document | str:
    """A meeting's or a session's document, or the reason why there can be none."""
    if not row["id"]:
        return f"the {row['of'].rstrip('s')} has no id"
    filed = datetime.fromisoformat(row["filed"])
    try:
        if row["of"] == meetings.KIND:
            return meetings.to_document(row["row"], row["host"], row["route"], filed, row["sessions"])
        address = row["row"].get("ip_address")
        place = geoip(address) if isinstance(address, str) and address else None
        return sessions.to_document(row["id"], row["row"], row["meeting"], row["route"], filed, place)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        return f"a {row['of'].rstrip('s')} that cannot be read: {error}"


def _full(results: list[_Attended]) -> bool:
    return sum(len(one.participants or ()) + 1 for one in results) >= _ROWS
