"""``/analytic``: descriptors are kept, what is computed of them is given out; workers compute."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Query, Request

from harvesters.clock import SystemClock
from harvesters.errors import ConfigError, HarvestError
from harvesters.messages import descriptors
from harvesters.messages.analytics import AnalyticStore, threshold
from harvesters.messages.analytics.computer import forget
from harvesters.messages.forms import Forms
from harvesters.messages.windows import FIXED, MOVING
from harvesters.tasks.messages import UPDATE, UPDATE_ALL, send
from harvesters.web.backend import Backend, later
from harvesters.web.problems import Problem

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger(__name__)

T = TypeVar("T")

_PATIENCE = 3.5  # seconds that a broker has to take a task; the answer is due in five
_AGAIN = 10  # seconds after which it is to be tried again
_THREADS = 8  # that wait for it
_KINDS = (MOVING, FIXED)

Parameter = Annotated[str | None, Query()]


def router(backend: Backend) -> APIRouter:
    """The routes.

    Raises:
        ConfigError: a setting of what is computed cannot be read.
    """
    routes = APIRouter(tags=["analytics"], include_in_schema=False)
    zone = backend.settings.timezone("MESSAGES_TIMEZONE")
    threshold(backend.settings)
    clock, queue, forms = SystemClock(), _Queue(backend), Forms("analytics")

    async def ask(work: Callable[[AnalyticStore], T]) -> T:
        return await backend.answer(lambda: work(AnalyticStore(backend.client, forms)))

    @routes.post("/analytic")
    async def create(request: Request) -> dict[str, str]:
        """Keep what is to be computed; the answer's `id` is that of the analytic. It has no result yet."""
        now = clock.now()
        try:
            descriptor = descriptors.parse(orjson.loads(await request.body()))
            descriptor.window.bounds(now, zone)
        except orjson.JSONDecodeError:
            raise Problem(400, "Malformed request: data is missing, or no JSON.") from None
        except ValueError as error:
            raise Problem(400, f"Malformed request: analytic not valid. Cause: {error}") from None
        return {"id": await ask(lambda store: store.create(descriptor, now))}

    @routes.get("/analytic")
    async def read(id: Parameter = None) -> dict[str, Any]:
        """The analytic, whose `result` is null until it is computed."""
        wanted = _required(id)
        found = await ask(lambda store: store.find(wanted))
        if found is None:
            raise Problem(404, "Not found: there is no such analytic.")
        return found.out()

    @routes.delete("/analytic")
    async def delete(id: Parameter = None) -> dict[str, str]:
        """Delete it; one that there is not is as good as deleted."""
        wanted = _required(id)

        def work(store: AnalyticStore) -> None:
            if store.delete(wanted):
                forget(store.client, wanted)

        await ask(work)
        return {}

    @routes.post("/analytic/compute")
    async def compute(id: Parameter = None, timeWindowType: Parameter = None) -> dict[str, str]:  # noqa: N803
        """Queue one analytic, or all with that type of window, or all. Workers compute them."""
        if id is not None:
            await queue.send(UPDATE, [_required(id)])
            return {}
        kind = timeWindowType.lower() if timeWindowType is not None else None
        if kind is not None and kind not in _KINDS:
            raise Problem(400, "Malformed request: timeWindowType is neither moving nor fixed.")
        await queue.send(UPDATE_ALL, [kind])
        return {}

    return routes


def _required(id: str | None) -> str:
    if not id:
        raise Problem(400, "Malformed request: missing required parameter `id`.")
    return id


class _Queue:
    """Sends tasks in threads of its own, so that nothing else waits while the broker is away."""

    def __init__(self, backend: Backend) -> None:
        self._settings = backend.settings
        self._threads = ThreadPoolExecutor(_THREADS, "task")
        backend.closing(lambda: self._threads.shutdown(wait=False, cancel_futures=True))

    async def send(self, name: str, arguments: list[Any]) -> None:
        """Queue a task.

        Raises:
            Problem: 503, the broker has not taken it.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.get_running_loop().run_in_executor(self._threads, self._send, name, arguments)
        except TimeoutError:
            log.warning("503: the broker has not answered within %g seconds", _PATIENCE)
            raise later("The broker of workers does not answer.", _AGAIN) from None
        except ConfigError as error:
            log.warning("503: %s", error)
            raise later(
                "Workers cannot be told: the server lacks an extra or a setting, its log says which.", _AGAIN
            ) from None
        except HarvestError as error:
            log.warning("503: %s", error)
            raise later("The broker of workers does not answer.", _AGAIN) from None

    def _send(self, name: str, arguments: list[Any]) -> None:
        send(self._app, [(name, arguments, str(uuid.uuid4()))])

    @cached_property
    def _app(self) -> Celery:
        from harvesters.tasks.app import make_app

        return make_app(self._settings)
