"""A Sentry on loopback that keeps what it is sent."""

from __future__ import annotations

import gzip
import json
from typing import Any

from harvesters.simulators.base import Request, Response, Simulator

MARKER = "marker4711"
"""What is in every place that an event must not be made of."""


class Sentry(Simulator):
    """Takes envelopes."""

    @property
    def dsn(self) -> str:
        return self.url.replace("://", "://public-key@") + "/42"

    def handle(self, request: Request) -> Response:
        return Response.json({"id": "0" * 32})

    def raw(self) -> bytes:
        """All that came, with its addresses and headers."""
        return b"\n".join(
            repr((request.method, request.target, request.headers)).encode() + b"\n" + _body(request)
            for request in [*self.requests]
        )

    def events(self) -> list[dict[str, Any]]:
        """The events, oldest first."""
        found = []
        for request in [*self.requests]:
            _, kind, event = _body(request).split(b"\n")[:3]
            assert json.loads(kind)["type"] == "event"
            found.append(json.loads(event))
        return found


def _body(request: Request) -> bytes:
    packed = request.headers.get("content-encoding") == "gzip"
    return gzip.decompress(request.body) if packed else request.body
