"""The service: a proxy to a node that lets nothing pass unless it is signed.

What it checks is what Amazon is known to check, and it answers a refusal in Amazon's words. It stands where a load
balancer does, so headers that those change do not reach the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import urllib3

from harvesters.simulators.amazon.ism import Ism
from harvesters.simulators.amazon.signature import Key, Unsigned, check
from harvesters.simulators.base import Request, Response, Simulator

_PASSED_ON = ("content-type", "content-encoding", "accept")
_VERBS = {"GET": "Get", "POST": "Post", "PUT": "Put", "DELETE": "Delete", "HEAD": "Head"}


class OpenSearchService(Simulator):
    """A domain in front of the node at `target`.

    Args:
        keys: those that sign, by their ids; looked at for each request.
        most_bytes: of a body; 10 MiB on Amazon's small instances.

    Attributes:
        allowed: whether the access policy lets the keys' owner do anything.
        refused: what was said to each request that was refused.
    """

    def __init__(
        self,
        target: str,
        keys: Mapping[str, Key],
        service: str = "es",
        region: str = "eu-central-1",
        most_bytes: int = 10_485_760,
    ) -> None:
        super().__init__()
        self.target, self.keys, self.service, self.region = target, keys, service, region
        self.most_bytes = most_bytes
        self.allowed = True
        self.refused: list[str] = []
        self._pool = urllib3.PoolManager(maxsize=32, retries=False)
        self.ism = Ism(lambda name: self._pool.request("HEAD", f"{target}/{name}").status == 200)

    def stop(self) -> None:
        super().stop()
        self._pool.clear()

    def handle(self, request: Request) -> Response:
        """Pass it on, if it is signed."""
        if len(request.body) > self.most_bytes:
            return Response.json({"message": f"Request size exceeded {self.most_bytes} bytes"}, 413)
        try:
            check(request, self.keys, self.service, self.region, datetime.now(UTC))
        except Unsigned as error:
            self.refused.append(str(error))
            return Response.json({"message": str(error)}, 403)
        if not self.allowed:
            action = f"es:ESHttp{_VERBS.get(request.method, request.method)}"
            words = f"User: arn:aws:sts::123456789012:assumed-role/harvest/i-0 is not authorized to perform: {action}"
            return Response.json({"Message": f"{words} because no resource-based policy allows it"}, 403)
        return self.ism.handle(request) or self._forwarded(request)

    def _forwarded(self, request: Request) -> Response:
        answer = self._pool.request(
            request.method,
            f"{self.target}{request.target}",
            body=request.body or None,
            headers={name: request.headers[name] for name in _PASSED_ON if name in request.headers},
            decode_content=False,
        )
        named = {name: answer.headers[name] for name in ("content-type", "content-encoding") if name in answer.headers}
        return Response(answer.status, answer.data, named)
