"""What real installations do to a harvest: nodes that differ, proxies that cut or keep, servers that move."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, replace

from harvesters.simulators.base import Request, Response


@dataclass
class Rudeness:
    """Switches, of which all are off; each may be changed while the simulator serves.

    Containers name requests for actions by their number, from 1 on; `counted` may be set back to 0.

    Attributes:
        ignores: these are answered by a stock node of two: ``start`` and ``end`` are not looked at.
        strips: these reach Opencast without any query, by way of a proxy that drops it.
        lags: these are answered by a node whose table lacks its last `behind` rows.
        cap: rows an answer, at most; 0 for no end.
        age: the ``Age`` that a cache adds to these answers, by their number; `via` is its name.
        moves: from these requests on the server is in that time zone.
    """

    ignores: Container[int] = ()
    strips: Container[int] = ()
    lags: Container[int] = ()
    behind: int = 0
    cap: int = 0
    age: dict[int, int] = field(default_factory=dict)
    via: str = "1.1 varnish"
    moves: dict[int, str] = field(default_factory=dict)
    counted: int = 0

    def asked(self, request: Request) -> Request:
        """Count a request for actions; what of it reaches the node that answers."""
        self.counted += 1
        if self.counted in self.strips:
            return replace(request, query=())
        if self.counted in self.ignores:
            return replace(request, query=tuple(pair for pair in request.query if pair[0] not in ("start", "end")))
        return request

    @property
    def less(self) -> int:
        """How many rows the node that answers now lacks."""
        return self.behind if self.counted in self.lags else 0

    def answered(self, response: Response) -> Response:
        """What of the answer reaches the client."""
        if self.counted in self.age:
            response.headers |= {"Age": str(self.age[self.counted]), "Via": self.via}
        return response
