"""What a harvest would cost: ``zoom --plan``. It takes a few calls itself, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harvesters.timespan import Window
from harvesters.zoom.client import PAGE_SIZE, ZoomClient
from harvesters.zoom.dashboard import KINDS, PATH
from harvesters.zoom.hosts import PATH as USERS
from harvesters.zoom.limits import HEAVY, INTENSIVE, PERIOD, PRO
from harvesters.zoom.listing import Route
from harvesters.zoom.ranges import Days
from harvesters.zoom.refusals import PlanMissing
from harvesters.zoom.routes import Routes
from harvesters.zoom.values import integer


@dataclass
class Estimate:
    """Calls by class for the days that a window touches; a meeting of over 300 sessions takes one more."""

    window: Window
    route: str
    meetings: int = 0
    hosts: int = 0
    intensive: int = 0
    heavy: int = 0

    def seconds(self, limits: dict[str, int]) -> float:
        """What the limits alone make it last."""
        waits = max(self.intensive - 1, 0) // limits[INTENSIVE]
        return waits * PERIOD[INTENSIVE] + self.heavy / limits[HEAVY]


def estimate(client: ZoomClient, routes: Routes, window: Window) -> Estimate:
    """Ask how much there is. Errors are those of a harvest."""
    while True:
        found = Estimate(window, routes.current.name)
        try:
            for chunk in _chunks(routes.current, window):
                days = Days.of(chunk)
                if routes.current is routes.dashboard:
                    _dashboard(client, found, days)
                else:
                    _report(routes, found, Days(max(days.before().first, routes.report.horizon), days.last))
            return found
        except PlanMissing as error:
            routes.next(error)


def lines(found: Estimate, client: ZoomClient) -> Iterator[str]:
    """The estimate, for people."""
    budgets = client.budgets
    limits = {name: budgets.limit(name) or PRO[name] for name in (HEAVY, INTENSIVE)}
    spent, most = budgets.day()
    calls = found.heavy + found.intensive
    yield f"window    {found.window}, by the {found.route} route"
    yield f"meetings  {found.meetings} on the days that it touches, of {found.hosts} hosts"
    yield f"calls     {found.intensive} resource-intensive, {found.heavy} heavy; one more for each 300 sessions of one"
    yield f"limits    {limits[INTENSIVE]} resource-intensive a minute, {limits[HEAVY]} heavy a second"
    if most is None:
        yield f"budget    {spent} calls of today are known of; the daily limit is not"
    else:
        left = max(most - spent, 0)
        enough = "" if calls <= left else "; not enough: the run will end with 75 and go on after 00:00 GMT"
        yield f"budget    {left} of {most} heavy and resource-intensive calls left today{enough}"
    yield f"time      about {_duration(found.seconds(limits))}"


def _chunks(route: Route, window: Window) -> Iterator[Window]:
    start = window.start
    while start < window.end:
        chunk = route.chunk(start, window.end)
        yield chunk
        start = chunk.end


def _dashboard(client: ZoomClient, found: Estimate, days: Days) -> None:
    for kind in KINDS:
        answer = client.get(PATH, INTENSIVE, type=kind, query_date_type="end_time", page_size=30, **days.params)
        total = _total(answer, "meetings")
        found.meetings += total
        found.intensive += max(1, -(-total // PAGE_SIZE))
        found.heavy += total
    answer = client.get(USERS, HEAVY, type="active", page_size=30, **days.params)
    hosts = _total(answer, "users")
    found.hosts = max(found.hosts, hosts)
    found.heavy += max(1, -(-hosts // PAGE_SIZE))


def _report(routes: Routes, found: Estimate, days: Days) -> None:
    users = routes.report.lists.read(USERS, HEAVY, "users", days, type="active")
    held = sum(integer(user.get("meetings")) or 0 for user in users if isinstance(user, dict))
    found.hosts = max(found.hosts, len(users))
    found.meetings += held
    found.heavy += max(1, -(-len(users) // PAGE_SIZE)) + 2 * len(users) + held


def _total(answer: dict[str, Any], field: str) -> int:
    total = integer(answer.get("total_records"))
    if total is not None:
        return total
    pages = integer(answer.get("page_count")) or 1
    return max(len(answer.get(field) or []), (pages - 1) * 30)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
