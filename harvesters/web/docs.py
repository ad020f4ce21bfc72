"""``/docs``: the routes, as /openapi.json has them, on a page without any file of another host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse

from harvesters.web.pages import Pages


@dataclass(frozen=True)
class Route:
    """One route, in the words of the OpenAPI."""

    method: str
    path: str
    summary: str
    parameters: list[Mapping[str, Any]]
    responses: Mapping[str, Mapping[str, Any]]


def router(app: FastAPI, pages: Pages) -> APIRouter:
    """The page."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return pages.render("docs.html", title="Routes", routes=list(_routes(app.openapi())))

    return routes


def _routes(description: Mapping[str, Any]) -> Iterator[Route]:
    for path, methods in description["paths"].items():
        for method, said in methods.items():
            yield Route(method.upper(), path, said["summary"], said.get("parameters", []), said["responses"])
