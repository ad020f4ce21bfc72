"""The web face, put together: what a request passes, and the routes behind it."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from harvesters import __version__, sentry
from harvesters.addresses import is_loopback
from harvesters.assembly import Assembly
from harvesters.errors import ConfigError
from harvesters.settings import Settings
from harvesters.web import docs, health, keys
from harvesters.web.backend import REDIS_PATIENCE, Backend
from harvesters.web.cursors import Cursors
from harvesters.web.failures import Failures
from harvesters.web.gate import Gate
from harvesters.web.headers import Head, Headers
from harvesters.web.hosts import Hosts, Proxies
from harvesters.web.limits import Bodies, Rate
from harvesters.web.pages import STATIC, Pages
from harvesters.web.parameters import known_and_once
from harvesters.web.parts import PARTS, Part
from harvesters.web.problems import Bugs, ProblemBody, add_handlers, describe

_REDIS_AGAIN = 60.0  # seconds after which a Redis that failed is tried again
_ANYWHERE = (400, 401, 403, 405, 413, 422, 429)  # what stands before the routes may answer this


def create(
    settings: Settings, parts: Sequence[str] = tuple(PARTS), host: str = "127.0.0.1", cursor_key: bytes = b""
) -> FastAPI:
    """The app.

    Args:
        parts: names of those that are served.
        host: where it will listen.
        cursor_key: shared by the workers of one start, where ``HARVEST_CURSOR_KEY`` is not set.

    Raises:
        ConfigError: a setting cannot be read, or anybody who reaches `host` could ask without a key.
    """
    known = keys.read_keys(settings.get(keys.SETTING), PARTS)
    if not known and not is_loopback(host):
        raise ConfigError(
            f"{host} can be reached from other machines, and no key is set: set {keys.SETTING}, or listen on 127.0.0.1."
        )
    served = [PARTS[name] for name in PARTS if name in parts]
    backend, pages = Backend(settings), Pages(served)
    assembly = Assembly(settings)
    rate = Rate(assembly.slots_again(_REDIS_AGAIN, REDIS_PATIENCE), _whole(settings, "HARVEST_API_RATE"))
    cursors = Cursors(settings.get("HARVEST_CURSOR_KEY").encode() or cursor_key or secrets.token_bytes(32))

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        sentry.finish()  # of a worker, whose process ends with its signal
        backend.close()
        rate.close()
        assembly.close()

    app = FastAPI(
        title="harvest",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        redirect_slashes=False,
        dependencies=[Depends(known_and_once)],
        responses=describe(*_ANYWHERE),
        middleware=[
            Middleware(Headers),
            Middleware(Bugs),
            Middleware(Hosts, loopback_only=not known, proxies=Proxies.read(settings.names("HARVEST_PROXY"))),
            Middleware(Gate, keys=known, rate=rate),
            Middleware(Head),
            Middleware(Bodies),
            Middleware(Failures),  # last, for the route is known to none before
        ],
    )
    app.state.pages = pages
    add_handlers(app)
    app.mount("/static", StaticFiles(directory=STATIC))
    # Routes are tried one after the other, so those come first that machines ask often.
    for part in sorted(served, key=lambda part: not part.roots):
        app.include_router(importlib.import_module(part.module).router(backend, pages, cursors))
    app.include_router(health.router(backend))
    app.include_router(docs.router(app, pages))
    _add_front_door(app, served)
    _describe(app, bool(known))
    return app


def _whole(settings: Settings, name: str) -> int:
    value = settings.number(name)
    if value % 1:
        raise ConfigError(f"{name}={settings.get(name)!r} is no whole number")
    return int(value)


def _add_front_door(app: FastAPI, served: Sequence[Part]) -> None:
    @app.get("/", include_in_schema=False)
    async def front_door() -> RedirectResponse:
        return RedirectResponse(next((part.page for part in served if part.page), "/docs"), 303)


def _describe(app: FastAPI, locked: bool) -> None:
    """Have /openapi.json name problems and keys, which FastAPI knows nothing of."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            said = get_openapi(title=app.title, version=app.version, routes=app.routes)
            parts = said.setdefault("components", {})
            schemas = parts.setdefault("schemas", {})
            schemas[ProblemBody.__name__] = ProblemBody.model_json_schema()
            if locked:
                parts["securitySchemes"] = {
                    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "basic": {"type": "http", "scheme": "basic"},
                }
                said["security"] = [{"key": []}, {"bearer": []}, {"basic": []}]
            app.openapi_schema = said
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
