"""What a harvest would cost: ``zoom --plan``. It takes a few calls itself, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harvesters.timespan import Window
from harvesters.zoom.client import PAGE_SIZE, ZoomClient
from harvesters.zoom.dashboard import KINDS, PATH, WEEK
from harvesters.zoom.limits import HEAVY, INTENSIVE, PERIOD, PRO
from harvesters.zoom.listing import total
from harvesters.zoom.notebook import MOST_ROWS
from harvesters.zoom.ranges import Days
from harvesters.zoom.refusals import PlanMissing
from harvesters.zoom.routes import Routes
from harvesters.zoom.values import integer


@dataclass
class Estimate:
    """Calls by class for the days that a window touches; a meeting of over 300 sessions takes one more.

    Attributes:
        perhaps: resource-intensive calls more, where no row shows that Zoom lists by the end.
        known: hosts, by e-mail address.
    """

    window: Window
    route: str
    meetings: int = 0
    hosts: int = 0
    intensive: int = 0
    heavy: int = 0
    perhaps: int = 0
    known: set[str] = field(default_factory=set)

    def seconds(self, limits: dict[str, int]) -> float:
        """What the limits alone make it last."""
        waits = max(self.intensive - 1, 0) // limits[INTENSIVE]
        return waits * PERIOD[INTENSIVE] + self.heavy / limits[HEAVY]


def estimate(client: ZoomClient, routes: Routes, window: Window) -> Estimate:
    """Ask how much there is. Errors are those of a harvest."""
    for _ in range(2):  # one route, and if the account has not what it needs, the other
        sums = Estimate(window, routes.current.name)
        try:
            for chunk in _chunks(routes, window):
                if routes.current is routes.dashboard:
                    _dashboard(client, routes, sums, Days.of(chunk))
                else:
                    _report(routes, sums, Days.of(chunk), first=chunk.start == window.start)
            break
        except PlanMissing as error:
            routes.next(error)
    return sums


def lines(sums: Estimate, client: ZoomClient) -> Iterator[str]:
    """The estimate, for people."""
    budgets = client.budgets
    limits = {name: budgets.limit(name) or PRO[name] for name in (HEAVY, INTENSIVE)}
    spent, most = budgets.day()
    calls = sums.heavy + sums.intensive
    yield f"window    {sums.window}, by the {sums.route} route"
    yield f"meetings  {sums.meetings} on the days that it touches, of {sums.hosts} hosts"
    yield f"calls     {sums.intensive} resource-intensive, {sums.heavy} heavy; one more for each 300 sessions of one"
    if sums.perhaps:
        yield f"          and {sums.perhaps} resource-intensive more where Zoom turns out to list by the start"
    yield f"limits    {limits[INTENSIVE]} resource-intensive a minute, {limits[HEAVY]} heavy a second"
    if most is None:
        yield f"budget    {spent} calls of today are known of; the daily limit is not"
    else:
        left = max(most - spent, 0)
        enough = "" if calls <= left else "; not enough: the run will end with 75 and go on after 00:00 GMT"
        yield f"budget    {left} of {most} heavy and resource-intensive calls left today{enough}"
    yield f"time      about {_duration(sums.seconds(limits))}"


def _chunks(routes: Routes, window: Window) -> Iterator[Window]:
    start = window.start
    while start < window.end:
        chunk = routes.notebook.chunk(start, window.end)
        yield chunk
        start = chunk.end


def _dashboard(client: ZoomClient, routes: Routes, sums: Estimate, days: Days) -> None:
    for kind in KINDS:
        answer = client.get(PATH, INTENSIVE, type=kind, query_date_type="end_time", page_size=30, **days.params)
        rows = _total(answer, "meetings")
        sums.meetings += rows
        shorter = max(0, -(-rows // MOST_ROWS) - 1) if len(days) > 1 else 0  # ranges that turn out to be too long
        sums.intensive += max(1, -(-rows // PAGE_SIZE)) + shorter
        sums.heavy += rows
    if days.first == Days.of(sums.window).first and len(days) <= WEEK:
        sums.perhaps += len(KINDS)
    users = routes.report.users(days)
    if new := {str(user.get("email")).casefold() for user in users} - sums.known:  # else all hosts are known by then
        sums.known |= new
        sums.heavy += max(1, -(-len(users) // PAGE_SIZE))
    sums.hosts = len(sums.known)


def _report(routes: Routes, sums: Estimate, days: Days, first: bool) -> None:
    users = routes.report.users(Days(max(days.before().first, routes.report.horizon), days.last) if first else days)
    held = sum(integer(user.get("meetings")) or 0 for user in users)
    sums.hosts = max(sums.hosts, len(users))
    sums.meetings += held
    sums.heavy += max(1, -(-len(users) // PAGE_SIZE)) + 2 * len(users) + held


def _total(answer: dict[str, Any], field: str) -> int:
    return max(total(answer), len(answer.get(field) or []))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
