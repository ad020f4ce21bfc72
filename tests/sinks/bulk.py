"""A stand-in for the bulk endpoint of Elasticsearch, whose answers a test decides."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from harvesters.simulators.base import Request, Response, Simulator

HEADERS = {"X-Elastic-Product": "Elasticsearch", "Content-Type": "application/json"}

WELCOME = {"cluster_uuid": "simulated", "version": {"number": "8.19.21"}}
"""What ``GET /`` says."""

Item = tuple[int, dict[str, Any] | None]
TAKEN: Item = (201, None)


def error(type: str, reason: str = "because", **more: Any) -> dict[str, Any]:
    return {"type": type, "reason": reason, **more}


class Bulk(Simulator):
    """Answers each item of a bulk request as `judge` says of its id and how often it was sent before.

    `whole`: answers to whole requests, taken first. `batches`: the ids in each request.
    """

    def __init__(self, judge: Callable[[str, int], Item] = lambda id, before: TAKEN) -> None:
        super().__init__()
        self.judge = judge
        self.whole: list[Response] = []
        self.batches: list[list[str]] = []
        self.sent: Counter[str] = Counter()
        self.stored: dict[str, Any] = {}
        self.most_bytes = 1 << 30
        self.authorization: set[str] = set()

    def handle(self, request: Request) -> Response:
        self.authorization.add(request.headers.get("authorization", ""))
        if not request.path.startswith("/_bulk"):
            return answer(WELCOME)
        body = request.body
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        lines = body.split(b"\n")[:-1]
        pairs = list(zip(lines[::2], lines[1::2], strict=True))
        ids = [json.loads(action)["index"]["_id"] for action, _ in pairs]
        self.batches.append(ids)
        if self.whole:
            return self.whole.pop(0)
        if len(body) > self.most_bytes:
            return Response(413, b"", HEADERS)
        return answer({"items": [self._item(id, line) for id, (_, line) in zip(ids, pairs, strict=True)]})

    def _item(self, id: str, line: bytes) -> dict[str, Any]:
        status, reason = self.judge(id, self.sent[id])
        self.sent[id] += 1
        if status < 300:
            self.stored[id] = json.loads(line)
        return {"index": {"status": status, **({"error": reason} if reason else {})}}


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    return Response(status, json.dumps(body).encode(), {**HEADERS, **headers})
