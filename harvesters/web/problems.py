"""Errors: ``application/problem+json`` (RFC 9457), or a page for a browser."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvesters.web.parts import part_of

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_DETAILS = {
    404: "There is nothing at this path.",
    405: "This path does not know the request's method.",
}
_OF_PERFORMANCE = {404: "resource not found", 405: "method not allowed"}


class Problem(Exception):
    """An answer that is an error. `detail` says what is wrong and what to do, without names of hosts and queries.

    `more`: what else the body of an error of the message service has.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, dict(headers or {}), dict(more or {})


class ProblemBody(BaseModel):
    """What an error says."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def describe(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route for the OpenAPI."""
    schema = {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def answer(problem: Problem, scope: Scope) -> Response:
    """The response: a page where the request names ``text/html`` among what it accepts, as browsers do."""
    part = part_of(scope["path"])
    if part is not None and part.roots:
        return _plain(problem, scope["path"])
    title = HTTPStatus(problem.status).phrase
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    pages = getattr(scope["app"].state, "pages", None)
    if b"text/html" in accepted and not scope["path"].startswith("/api/") and pages is not None:
        page: Response = pages.render("error.html", problem.status, title=title, problem=problem)
        page.headers.update(problem.headers)
        return page
    body = ProblemBody(title=title, status=problem.status, detail=problem.detail)
    return JSONResponse(body.model_dump(), problem.status, problem.headers, MEDIA_TYPE)


def _plain(problem: Problem, path: str) -> Response:
    """The response where clients of old are: they know 400, and a text with the status."""
    status = 400 if problem.status == 422 else problem.status
    if path.startswith("/performance"):
        body: dict[str, Any] = {"message": _OF_PERFORMANCE.get(status, problem.detail)}
    else:
        body = {"status": problem.detail, "code": status, **problem.more}
    return JSONResponse(body, status, problem.headers)


async def refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with `problem`; for what stands before the routes."""
    await answer(problem, scope)(scope, receive, send)


class Bugs:
    """The last resort: 500, and where it happened in the log, without the error's words, which may quote a query."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            pass  # before the end of the body: nobody waits for an answer
        except Exception as error:
            place = "".join(traceback.format_tb(error.__traceback__))
            told = {"error": error}  # of which Sentry tells the place
            log.error("a bug: %s while answering %s\n%s", type(error).__name__, scope["path"], place, extra=told)
            if begun:
                raise ConnectionAbortedError from None
            await refuse(Problem(500, "Something went wrong here; the server's log says where."), scope, receive, send)


def add_handlers(app: FastAPI) -> None:
    """Have every error of a route answered as `answer` does."""

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(error, request.scope)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = _DETAILS.get(error.status_code, str(error.detail))
        return answer(Problem(error.status_code, detail, error.headers), request.scope)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(Problem(422, "; ".join(map(_wrong, error.errors()))), request.scope)

    app.add_exception_handler(Problem, known)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _wrong(error: Mapping[str, Any]) -> str:
    """``limit: Input should be less than or equal to 100``."""
    name = ".".join(str(word) for word in error["loc"][1:])
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        text = "there is no such parameter"
    return f"{name}: {text}" if name else text
