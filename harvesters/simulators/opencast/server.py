"""An Opencast on loopback: engage and admin node in one, of a chosen version and dialect.

It answers as the real one does, quirks included: the day that lacks its first seconds, rows without an order, numbers
that were strings, Digest that must be asked for. Start here; what each endpoint does is in the file of its name.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.opencast import search as opencast_search
from harvesters.simulators.opencast import usertracking as opencast_usertracking
from harvesters.simulators.opencast import workflow as opencast_workflow
from harvesters.simulators.opencast.auth import COOKIE, Auth, Caller, Gate, Refused
from harvesters.simulators.opencast.data import ActionRow, Episode, MediaElement, Operation, Segment, Session, Workflow
from harvesters.simulators.opencast.generate import ActionMaker, Growth, Players, make_episodes, make_workflow
from harvesters.simulators.opencast.rudeness import Rudeness
from harvesters.simulators.opencast.table import ActionTable, Order, Precision
from harvesters.simulators.opencast.usertracking import ActionWriter, Broken, Dialect

__all__ = ["ActionRow", "Episode", "MediaElement", "OpencastSimulator", "Operation", "Segment", "Session", "Workflow"]

_PUBLIC = re.compile(r"/(usertracking|search)/|/info/me\.json\Z")
_LOGIN_PAGES = ("/login.html", "/admin-ng/login.html")
_NOT_FOUND = "<h2>HTTP ERROR 404</h2>"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OpencastSimulator(Simulator):
    """A simulated Opencast.

    dialect: ``dce`` honours ``start``/``end`` and knows ``isPlaying`` 2, ``stock`` ignores the one and lacks the other.
    version: the major release; 7 and 8, 11 and 12, 15 and 16 are where answers change shape.
    timezone: the server's zone, in which ``day``, ``start`` and ``end`` are read and ``created`` is written.
    auth: which schemes are listened to; anonymous: whether usertracking and search are open to everyone, as by default.
    plugin: False is Opencast 13 and newer as installed, where usertracking answers 404.
    order: of rows; ``shuffled`` is another one at every request. precision: of ``created``.
    broken: ``day`` ignores that parameter too. now: the server's clock.
    `rude` has the switches for what happens between request and answer.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        dialect: Dialect = "dce",
        version: int = 16,
        timezone: str = "UTC",
        user: str = "matterhorn_system_account",
        password: str = "CHANGE_ME",
        auth: Auth = "both",
        anonymous: bool = True,
        nonce_validity: float = 300,
        plugin: bool = True,
        order: Order = "created",
        precision: Precision = "seconds",
        now: Callable[[], datetime] = _utc_now,
        latency: float = 0.0,
        broken: Broken = "",
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(port, host=host, latency=latency)
        self.dialect = dialect
        self.version = version
        self.zone = ZoneInfo(timezone)
        self.plugin = plugin
        self.broken = broken
        self.now = now
        self.gate = Gate(version, user, password, auth, anonymous, nonce_validity, now)
        self.table = ActionTable(order, precision)
        self.episodes: dict[str, Episode] = {}
        self.workflows: dict[int, Workflow] = {}
        self.rude = Rudeness()
        self._writer = ActionWriter(version, dialect, self.zone, self.table.stored)
        self._growth: Growth | None = None
        self._growing = threading.Lock()
        self._counting = threading.Lock()

    def add(self, *things: ActionRow | Episode | Workflow) -> None:
        """Add rows, episodes and workflows; an episode or workflow with a known id replaces the old one."""
        self.table.extend(thing for thing in things if isinstance(thing, ActionRow))
        self.episodes.update({thing.mpid: thing for thing in things if isinstance(thing, Episode)})
        self.workflows.update({thing.id: thing for thing in things if isinstance(thing, Workflow)})

    def add_rows(self, rows: Iterable[ActionRow]) -> None:
        """Add many rows."""
        self.table.extend(rows)

    def update(self, row_id: int, **changes: Any) -> ActionRow:
        """Change fields of a row, as when a FOOTPRINT grows: same id, same ``created``."""
        return self.table.update(row_id, **changes)

    @property
    def players(self) -> Players:
        """What people watch with, by who runs this server and by its version."""
        return "dce" if self.dialect == "dce" else "paella6" if self.version < 16 else "paella7"

    def move(self, timezone: str) -> None:
        """Be a server of that time zone from now on."""
        self.zone = ZoneInfo(timezone)
        self._writer = ActionWriter(self.version, self._writer.dialect, self.zone, self.table.stored)

    def generate(
        self,
        actions: int = 1000,
        episodes: int = 20,
        start: datetime | None = None,
        end: datetime | None = None,
        seed: int = 1,
    ) -> None:
        """Fill it with rows created in ``[start, end)`` (by default since midnight UTC) and with their episodes."""
        end = end or self.now()
        start = start or end.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        made = make_episodes(episodes, start, end, random.Random(f"{seed}/episodes"))
        self.add(*made)
        first = max(self.workflows, default=4210) + 1
        self.add(*(make_workflow(first + place, episode) for place, episode in enumerate(made)))
        self.table.extend(ActionMaker(made, actions // 25, seed, self.players).spread(actions, start, end))

    def grow(self, per_minute: int = 60, seed: int = 1, since: datetime | None = None) -> None:
        """From now on (or from `since`) show `per_minute` new rows of the known episodes, as the clock goes on."""
        maker = ActionMaker(list(self.episodes.values()), per_minute, seed, self.players)
        self._growth = Growth(maker, per_minute, since or self.now())

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        if request.path in _LOGIN_PAGES:
            return Response.html(200, "<form action='/j_spring_security_check'>Please log in</form>")
        try:
            caller = self.gate.admit(request, public=bool(_PUBLIC.match(request.path)) and request.method == "GET")
        except Refused as refused:
            return refused.response
        try:
            response = self._route(request, caller)
        except Refused as refused:
            response = refused.response
        if caller.cookie:
            response.headers["Set-Cookie"] = f"{COOKIE}={caller.cookie};Path=/;HttpOnly"
        return response

    def _route(self, request: Request, caller: Caller) -> Response:
        path = request.path
        if request.method != "GET":
            return Response.html(405, "<h2>HTTP ERROR 405</h2>")
        if path == "/usertracking/actions.json" and self.plugin:
            return self._actions(request)
        if path == "/search/episode.json":
            known = list(self.episodes.values())
            return opencast_search.episodes(request, known, caller, self.version, self.dialect, self.zone)
        if path == "/info/me.json":
            return Response.json(_me(caller))
        if path.startswith("/workflow/"):
            return self._workflow(request)
        if path.startswith("/api/"):
            return opencast_workflow.api(request, self.workflows, self.version)
        return Response.html(404, _NOT_FOUND)

    def _actions(self, request: Request) -> Response:
        at = self.now()
        if self._growth is not None:
            with self._growing:
                self.table.extend(self._growth.until(at))
        with self._counting:
            request = self.rude.asked(request)
            if self.rude.counted in self.rude.moves:
                self.move(self.rude.moves[self.rude.counted])
            response = opencast_usertracking.actions(
                request, self.table, self._writer, at, self.broken, self.rude.cap, self.rude.less
            )
            return self.rude.answered(response)

    def _workflow(self, request: Request) -> Response:
        known = list(self.workflows.values())
        if request.path == "/workflow/instances.json" and self.version < 12:
            return opencast_workflow.instances(request, known, self.episodes, self.version, self.zone)
        of_one = re.fullmatch(r"/workflow/mediaPackage/([^/]+)/instances\.json", request.path)
        if of_one and self.version >= 12:
            mpid = unquote(of_one[1])
            return opencast_workflow.of_media_package(mpid, known, self.episodes, self.version, self.zone)
        return Response.html(404, _NOT_FOUND)


def _me(caller: Caller) -> dict[str, Any]:
    role = "ROLE_ADMIN" if caller.user else "ROLE_ANONYMOUS"
    name = caller.user or "anonymous"
    return {
        "org": {"id": "mh_default_org", "name": "Opencast Project", "anonymousRole": "ROLE_ANONYMOUS"},
        "roles": [role],
        "userRole": f"ROLE_USER_{name.upper()}",
        "user": {"provider": "opencast", "username": name, "name": name},
    }
