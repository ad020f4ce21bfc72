"""Answers that are failures of ours, told to Sentry: by the route, and nothing that was asked."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvesters import sentry
from harvesters.web.parts import part_of

_FIRST = 501  # a 500 is a bug, which its log line tells


class Failures:
    """Tells of each 503 and the like."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= _FIRST:
                sentry.answered(message["status"], scope["method"], _route(scope))
            await send(message)

        return await self.app(scope, receive, watched)


def _route(scope: Scope) -> str:
    """The route as it is declared: FastAPI tells its own, and others are a root of a part."""
    part = part_of(scope["path"])
    root = scope["path"] if part is not None and scope["path"] in part.roots else "-"
    return str(getattr(scope.get("route"), "path", root))
