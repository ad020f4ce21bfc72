"""Which of the two routes to take: by the token's scopes, or by the first refusal."""

from __future__ import annotations

import logging
from concurrent.futures import Executor

from harvesters.errors import CredentialsRefused
from harvesters.zoom.client import ZoomClient
from harvesters.zoom.dashboard import DashboardRoute
from harvesters.zoom.hosts import Hosts
from harvesters.zoom.listing import Lists, Route
from harvesters.zoom.notebook import Notebook
from harvesters.zoom.ranges import horizon
from harvesters.zoom.refusals import PlanMissing
from harvesters.zoom.report import ReportRoute

log = logging.getLogger(__name__)


class Routes:
    """The Dashboard where the app and the account have it, the reports otherwise.

    Args:
        pool: runs calls at once.
        notebook: holds lists of an earlier run; the route that it names is gone on with.
    """

    def __init__(self, client: ZoomClient, notebook: Notebook, pool: Executor) -> None:
        self.client = client
        self.notebook = notebook
        lists, first = Lists(client, notebook), horizon(client.clock.now())
        self.hosts = Hosts(lists, first)
        self.dashboard = DashboardRoute(lists, self.hosts, first)
        self.report = ReportRoute(lists, first, pool)
        self._chosen: Route | None = None
        self._settled = False

    @property
    def current(self) -> Route:
        """The route to take, chosen when first asked for.

        Raises:
            CredentialsRefused: the app may take neither; the message names the scopes that are missing.
        """
        if self._chosen is None:
            self._choose()
        assert self._chosen is not None
        return self._chosen

    @property
    def name(self) -> str | None:
        """Its name, if one was chosen."""
        return self._chosen.name if self._chosen is not None else None

    def next(self, refusal: PlanMissing) -> None:
        """The account has not what the route needs: take the other one.

        Raises:
            CredentialsRefused: there is no other.
        """
        if self._settled or self._chosen is not self.dashboard:
            raise refusal
        lacking = missing(self.client.scopes(), self.report)
        if lacking:
            raise CredentialsRefused(
                f"{refusal} The Report route needs no Dashboard, but the app lacks its scopes: {', '.join(lacking)}."
            )
        log.info("going by the Report route, for this account has no Dashboard: %s", refusal)
        self._take(self.report)

    def settle(self) -> None:
        """The route works: a refusal from now on is an error."""
        self._settled = True

    def _choose(self) -> None:
        scopes = self.client.scopes()
        if self.notebook.route == self.report.name and not missing(scopes, self.report):
            self._take(self.report)
            return
        lacking = missing(scopes, self.dashboard)
        if not lacking:
            self._take(self.dashboard)
            return
        also = missing(scopes, self.report)
        if also:
            raise CredentialsRefused(
                f"the Zoom app lacks scopes: {', '.join(lacking)} for the Dashboard (Business plans), or "
                f"{', '.join(also)} for the reports (Pro plans). Add them to the app in the Zoom App Marketplace."
            )
        log.info("going by the Report route, for the app lacks %s", ", ".join(lacking))
        self._take(self.report)

    def _take(self, route: Route) -> None:
        self.notebook.take(route.name)
        self._chosen = route


def missing(scopes: frozenset[str] | None, route: Route) -> list[str]:
    """What `route` needs and a token with `scopes` may not do, each once, as apps of its kind spell it."""
    if scopes is None:
        return []
    # Older apps have the classic scopes, resource:action:level; newer ones resource:action:what:level.
    classic = bool(scopes) and all(scope.count(":") < 3 for scope in scopes)
    lacking = [names for names in route.needs if not any(_granted(name, scopes) for name in names)]
    return list(dict.fromkeys(names[1] if classic else names[0] for names in lacking))


def _granted(name: str, scopes: frozenset[str]) -> bool:
    return name in scopes or f"{name.removesuffix(':admin')}:master" in scopes
