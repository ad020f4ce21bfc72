"""WeNet's platform on loopback: one URL, below which the four services lie that a logger asks.

Bounds are whole seconds and inclusive. The hub looks at its two only if it is given both, and takes 0 for none. Lists
come in pages of at most `page_cap` rows, and their offsets move when a task is created.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.wenet.world import Row, World

KEY_HEADER = "x-wenet-component-apikey"
_LIMIT = 10  # rows of a page when nobody asks for more

Test = Callable[[Row], bool]


class _BadRequest(Exception):
    """A parameter that is none."""


class WenetSimulator(Simulator):
    """The services of `world` at `url`, which is what ``INSTANCE`` is to be.

    key, refusal: the key that is wanted, and the status of who has another.
    page_cap: the most rows of a page, whatever is asked for.
    newest_first: the order of tasks.
    arriving: so many tasks of each application asked for are created, one after each page of tasks.
    accepted: profiles come with 202 instead of 200.
    now: the clock of what arrives, in seconds of the epoch.
    """

    def __init__(
        self,
        world: World | None = None,
        port: int = 0,
        *,
        key: str = "platform-key",
        refusal: int = 401,
        page_cap: int = 100,
        newest_first: bool = False,
        arriving: int = 0,
        accepted: bool = False,
        now: Callable[[], float] = time.time,
        latency: float = 0.0,
    ) -> None:
        self.world = world if world is not None else World()
        self.key = key
        self.refusal = refusal
        self.page_cap = page_cap
        self.newest_first = newest_first
        self.arriving = arriving
        self.accepted = accepted
        self.clock = now
        super().__init__(port, latency=latency)

    def handle(self, request: Request) -> Response:
        """Answer a question to any of the services."""
        if not hmac.compare_digest(request.headers.get(KEY_HEADER, "").encode("latin-1"), self.key.encode()):
            return Response.json({"message": "Invalid authentication credentials"}, self.refusal)
        segments = [unquote(segment) for segment in request.path.strip("/").split("/")]
        if request.method != "GET":
            return _missing("resource")
        try:
            return self._answer(request, segments)
        except _BadRequest as error:
            return Response.json({"code": "bad_parameter", "message": str(error)}, 400)

    def _answer(self, request: Request, segments: list[str]) -> Response:
        match segments:
            case ["hub", "frontend", "data", "app", app]:
                found = self.world.apps.get(app)
                return Response.json(found.row()) if found is not None else Response.json({}, 404)
            case ["hub", "frontend", "data", "app", app, "user"]:
                return self._users(request, app)
            case ["task_manager", "tasks"]:
                return self._tasks(request)
            case ["task_manager", "taskTransactions"]:
                return self._transactions(request)
            case ["profile_manager", "profiles", user]:
                profile = self.world.profiles.get(user)
                return Response.json(profile, 202 if self.accepted else 200) if profile else _missing("profile")
            case ["incentive_server", "api", "UsersCohorts"]:
                return Response.json(self.world.cohorts)
        return _missing("resource")

    def _users(self, request: Request, app: str) -> Response:
        found = self.world.apps.get(app)
        if found is None:
            return Response.json({}, 404)
        since, until = _number(request, "fromTs"), _number(request, "toTs")
        enabled = found.users.items()
        if since and until:
            return Response.json([user for user, second in enabled if since <= second <= until])
        return Response.json([user for user, _ in enabled])

    def _tasks(self, request: Request) -> Response:
        tests = [
            _equal(request, "appId", "appId"),
            _equal(request, "requesterId", "requesterId"),
            *_times(request, "creation", "_creationTs"),
            *_times(request, "update", "_lastUpdateTs"),
            *_times(request, "close", "closeTs"),
            _closed(request),
        ]
        rows = self.world.all_tasks()
        answer = self._page(request, "tasks", reversed(rows) if self.newest_first else rows, tests)
        if self.arriving > 0:
            self.arriving -= 1
            self.world.create(request.param("appId"), int(self.clock()))
        return answer

    def _transactions(self, request: Request) -> Response:
        app = request.param("appId")
        tasks = {task["id"] for task in self.world.all_tasks() if app in ("", task["appId"])}
        tests = [
            lambda row: row["taskId"] in tasks,
            _equal(request, "taskId", "taskId"),
            _equal(request, "label", "label"),
            *_times(request, "creation", "_creationTs"),
            *_times(request, "update", "_lastUpdateTs"),
        ]
        return self._page(request, "transactions", self.world.transactions(), tests)

    def _page(self, request: Request, field: str, rows: Iterable[Row], tests: list[Test]) -> Response:
        found = [row for row in rows if all(test(row) for test in tests)]
        offset = _number(request, "offset") or 0
        limit = _number(request, "limit")
        page = found[offset : offset + min(_LIMIT if limit is None else limit, self.page_cap)]
        return Response.json({"offset": offset, "total": len(found)} | ({field: page} if page else {}))


def _number(request: Request, name: str) -> int | None:
    text = request.param(name)
    try:
        return int(text) if text else None
    except ValueError:
        raise _BadRequest(f"{name} is no number: {text}") from None


def _equal(request: Request, name: str, field: str) -> Test:
    wanted = request.param(name)
    return lambda row: wanted in ("", row[field])


def _times(request: Request, name: str, field: str) -> Iterator[Test]:
    """Tests of both bounds, which are inclusive; a row without a time meets none."""
    since, until = _number(request, f"{name}From"), _number(request, f"{name}To")

    def holds(row: Row) -> bool:
        second: Any = row[field]
        return second is not None and (since is None or since <= second) and (until is None or second <= until)

    if since is not None or until is not None:
        yield holds


def _closed(request: Request) -> Test:
    wanted = request.param("hasCloseTs").lower()
    return lambda row: not wanted or (row["closeTs"] is not None) == (wanted == "true")


def _missing(what: str) -> Response:
    return Response.json({"code": f"not_found_{what}", "message": f"Not found the {what}"}, 404)
