"""What the exports and analytics ask of the platform."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any, Self, TypeVar
from urllib.parse import quote

from harvesters.errors import ConfigError
from harvesters.messages.platform.door import Door
from harvesters.messages.platform.paging import Listing, Page, Row
from harvesters.messages.platform.seconds import Bounds
from harvesters.privacy import excerpt, protect
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings

T = TypeVar("T")
R = TypeVar("R")

_PAGE = 100  # rows that are asked for at once; the task manager may grant fewer
_LOOK = 0.2  # seconds between two looks whether the run is told to stop
_CREATED = "_creationTs"


class UnknownApp(ConfigError):
    """The hub knows no application of that id."""


class Platform:
    """The services below one URL, asked with one key and so many requests at a time.

    Windows are half open, ``[start, end)``, of aware times; None leaves that side open. All errors are those of
    `Door.get`.
    """

    def __init__(self, instance: str, key: str, retry: RetryPolicy, timeout: float = 60.0, parallel: int = 8) -> None:
        def door(name: str, path: str) -> Door:
            return Door(name, f"{instance}/{path}", key, retry, timeout, parallel)

        self._hub = door("the hub", "hub/frontend")
        self._tasks = door("the task manager", "task_manager")
        self._profiles = door("the profile manager", "profile_manager")
        self._incentives = door("the incentive server", "incentive_server/api")
        self._retry = retry
        self._parallel = parallel
        self._pool = ThreadPoolExecutor(parallel, "platform")

    @classmethod
    def from_settings(cls, settings: Settings, retry: RetryPolicy) -> Self:
        """The platform of ``INSTANCE`` and ``APIKEY``.

        Raises:
            ConfigError: one of them is not set, or cannot be read.
        """
        settings.require_all("INSTANCE", "APIKEY")
        parallel = settings.number("HARVEST_PLATFORM_PARALLEL", minimum=1)
        timeout = settings.number("HARVEST_HTTP_TIMEOUT", minimum=0.001)
        key = settings.get("APIKEY")
        protect([key])  # given by a flag it is in no setting that was read at the start
        return cls(settings.url("INSTANCE"), key, retry, timeout, int(min(parallel, 256)))

    def close(self) -> None:
        """Let go of connections and threads; what is under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for door in (self._hub, self._tasks, self._profiles, self._incentives):
            door.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def app(self, app: str) -> Row:
        """An application: ``id``, ``name``, ``status`` and so on.

        Raises:
            UnknownApp: there is none.
        """
        found: Row = self._known(app, self._hub.get(_app_path(app), _is_object))
        return found

    def users(self, app: str, start: datetime | None = None, end: datetime | None = None) -> list[str]:
        """The ids of those who enabled an application in the window, each once, in the hub's order.

        Raises:
            UnknownApp: there is no such application.
        """
        params: dict[str, str] = {}
        if start is not None or end is not None:
            # The hub looks at its bounds only if it is given both, and takes 0 for none.
            first, last = Bounds(start, end).whole()
            first = max(1, first) if first is not None else 1
            last = last if last is not None else 2**31 - 1
            if last < first:
                self.app(app)
                return []
            params = {"fromTs": str(first), "toTs": str(last)}
        found = self._known(app, self._hub.get(f"{_app_path(app)}/user", _is_list, params))
        return list(dict.fromkeys(str(user) for user in found))

    def tasks(self, app: str, start: datetime | None = None, end: datetime | None = None) -> list[Row]:
        """The tasks of an application that were created in the window, with their transactions, each once."""
        return self._listed("tasks", {"appId": app}, start, end, lambda task: str(task.get("id")))

    def transactions(
        self, app: str, start: datetime | None = None, end: datetime | None = None, task: str | None = None
    ) -> list[Row]:
        """The transactions that were created in the window in tasks of an application, or in one of them."""
        params = {"appId": app} | ({"taskId": task} if task is not None else {})
        return self._listed(
            "transactions",
            params,
            start,
            end,
            lambda done: f"{done.get('taskId')} {done.get('id')}",
            "taskTransactions",
        )

    def profile(self, user: str) -> Row | None:
        """Somebody's profile; None when it is gone."""
        found: Row | None = self._profiles.get(f"/profiles/{quote(user, safe='')}", _is_object)
        return found

    def profiles(self, users: Iterable[str]) -> Iterator[Row | None]:
        """The profile of each, in their order, asked for at the same time."""
        return self._each(self.profile, users)

    def cohorts(self) -> list[Row]:
        """Who is in which cohort of which application: ``user_id``, ``app_id``, ``cohort``."""
        found = self._incentives.get("/UsersCohorts/", _is_rows)
        if found is None:
            raise ConfigError(f"{self._incentives.name} knows no cohorts (404). Check INSTANCE.")
        return list(found)

    def _known(self, app: str, answer: Any) -> Any:
        if answer is None:
            raise UnknownApp(
                f"{self._hub.name} knows no application {excerpt(app, 100)!r}. Check its id, and INSTANCE."
            )
        return answer

    def _listed(
        self,
        field: str,
        params: dict[str, str],
        start: datetime | None,
        end: datetime | None,
        key: Callable[[Row], str],
        path: str = "",
    ) -> list[Row]:
        bounds = Bounds(start, end)
        first, last = bounds.around()
        if last is not None and last <= max(0, first or 0):
            return []

        def ask(offset: int, until: int | None) -> Page:
            latest = min((bound for bound in (last, until) if bound is not None), default=None)
            named = {"creationFrom": first if first is None else max(0, first), "creationTo": latest}
            asked = {name: str(value) for name, value in named.items() if value is not None}
            answer = self._tasks.get(
                f"/{path or field}",
                lambda answer: _is_page(answer, field),
                {**params, **asked, "offset": str(offset), "limit": str(_PAGE)},
            )
            if answer is None:
                raise ConfigError(f"{self._tasks.name} knows no {field} (404). Check INSTANCE.")
            return Page(answer.get(field) or [], answer["total"])

        listing = Listing(ask, key, lambda row: _number(row.get(_CREATED)))
        rows = self._retry.call(lambda: listing.read(self._each), self._tasks.name)
        return [row for row in rows if bounds.holds(row.get(_CREATED))]

    def _each(self, call: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """What `call` returns for each, in order; so many are under way at a time, and as many wait to be taken."""
        ahead: deque[Future[R]] = deque()
        try:
            for item in items:
                ahead.append(self._pool.submit(call, item))
                if len(ahead) >= 2 * self._parallel:
                    yield self._result(ahead.popleft())
            while ahead:
                yield self._result(ahead.popleft())
        finally:
            for future in ahead:
                future.cancel()

    def _result(self, future: Future[R]) -> R:
        while not wait([future], _LOOK).done:
            self._retry.clock.sleep(0)  # raises when the run is told to stop
        return future.result()


def _app_path(app: str) -> str:
    return f"/data/app/{quote(app, safe='')}"


def _is_object(answer: Any) -> bool:
    return isinstance(answer, dict)


def _is_list(answer: Any) -> bool:
    return isinstance(answer, list)


def _is_rows(answer: Any) -> bool:
    return isinstance(answer, list) and all(map(_is_object, answer))


def _is_page(answer: Any, field: str) -> bool:
    return isinstance(answer, dict) and type(answer.get("total")) is int and _is_rows(answer.get(field) or [])


def _number(value: Any) -> float | None:
    """`value`, if it is a number that a moment can be."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 else None
