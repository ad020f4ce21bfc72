"""``/health``: the process lives. ``/ready``: and so does Elasticsearch."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from harvesters.web.backend import Backend
from harvesters.web.problems import describe


class Health(BaseModel):
    """That the process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """That Elasticsearch answers."""

    status: Literal["ready"] = "ready"


def router(backend: Backend) -> APIRouter:
    """Both; neither wants a key or counts against a rate, so however many ask, the cluster is asked once at a time."""
    routes = APIRouter(tags=["health"])
    asking: asyncio.Task[object] | None = None

    @routes.get("/health", summary="Whether the process lives.")
    async def health() -> Health:
        return Health()

    @routes.get("/ready", summary="Whether Elasticsearch answers.", responses=describe(503))
    async def ready() -> Ready:
        nonlocal asking
        if asking is None or asking.done():
            asking = asyncio.ensure_future(backend.answer(backend.client.meet))
        await asyncio.shield(asking)
        return Ready()

    return routes
