"""``/listings/{id}``: a listing, and that somebody looked at it. ``POST /api/v1/listings``: a new one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse

from harvesters.listings.search import SHOWN, Shown
from harvesters.listings.searchindex import ListingIndex
from harvesters.web.backend import Backend
from harvesters.web.outbox import Outbox
from harvesters.web.pages import Pages
from harvesters.web.parameters import Parameters
from harvesters.web.problems import Problem, describe
from harvesters.web.visitors import Visitors

_LONGEST_ID = 512
_TYPE = "application/json"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            _TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["id"],
                    "properties": {
                        "id": {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]},
                        "title": {"type": "string"},
                        "description": {"type": "string"},
                        "created": {"type": "string", "description": "ISO 8601."},
                    },
                }
            }
        },
    }
}

Answer = Callable[[Callable[[ListingIndex], dict[str, Any] | None]], Awaitable[dict[str, Any] | None]]


class Named(Parameters):
    """Which listing."""

    id: Annotated[str, Field(max_length=_LONGEST_ID)]


class Acknowledged(BaseModel):
    """Where Kafka has a listing; it is found as soon as `listings index` has read it."""

    id: str
    topic: str
    partition: int
    offset: int


def link(id: str) -> str:
    """The path of a listing's page, as browsers and proxies leave it."""
    if {".", ".."} & {*id.split("/")}:  # in a path these mean something, however they are spelled
        return f"/listings?{urlencode({'id': id})}"
    return f"/listings/{quote(id, safe='')}"


def views(visits: int) -> str:
    """``1 view``."""
    return f"{visits:,} {'view' if visits == 1 else 'views'}"


def router(backend: Backend, pages: Pages, answer: Answer) -> APIRouter:
    """The routes.

    Raises:
        ConfigError: a setting cannot be read.
    """
    routes = APIRouter()
    outbox = Outbox(backend.settings, backend.patience)
    backend.closing(outbox.close)
    visitors = Visitors(backend.settings.require("LISTINGS_USER_HEADER"))

    async def show(request: Request, id: str) -> HTMLResponse:
        source = await answer(partial(_fields, id=id))
        if source is None:
            raise Problem(404, "There is no such listing.")
        if (user := visitors.user(request.scope)) is not None:
            outbox.view(user, id)
        listing = Shown.of(source)
        return pages.render(
            "listing.html",
            title=listing.title or id,
            foreign=True,
            listing=listing,
            visits=views(listing.visits),
        )

    @routes.get("/listings", include_in_schema=False)
    async def named(request: Request, named: Annotated[Named, Query()]) -> HTMLResponse:
        return await show(request, named.id)

    @routes.get("/listings/{id:path}", include_in_schema=False)
    async def page(request: Request, id: str) -> HTMLResponse:
        return await show(request, id)

    @routes.post(
        "/api/v1/listings",
        summary="A new listing, or a new version of one.",
        status_code=202,
        responses=describe(413, 415, 422, 503),
        openapi_extra=_BODY,
    )
    async def post(request: Request) -> Acknowledged:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
            raise Problem(415, f"A listing is sent as {_TYPE}.")
        id, sent = await outbox.listing(await request.body())
        return Acknowledged(id=id, **vars(sent))

    return routes


def _fields(index: ListingIndex, id: str) -> dict[str, Any] | None:
    return index.get(id, SHOWN)
