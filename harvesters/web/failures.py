"""Answers that are failures of ours, told to Sentry: by the route, and nothing that was asked."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvesters import sentry

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
    """The route as it is declared: one that is not FastAPI's own, and has no parameters, is its path."""
    fixed = scope["path"] if "endpoint" in scope and not scope.get("path_params") else "-"
    return str(getattr(scope.get("route"), "path", fixed))
