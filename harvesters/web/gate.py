"""Who asks, how often, and whether he may."""

from __future__ import annotations

import math

from cachetools import TTLCache
from starlette.types import ASGIApp, Receive, Scope, Send

from harvesters.web.hosts import household
from harvesters.web.keys import Key, Keys
from harvesters.web.limits import Rate
from harvesters.web.parts import is_open, part_of, wants_key
from harvesters.web.problems import Problem, refuse

KEY = "harvest.key"
"""In the scope of a request: the name of its key; None where it has none."""

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="harvest", charset="UTF-8"'}
_LOCKED_OUT = 10_000  # addresses that are remembered


class Gate:
    """Lets in who has a key that opens the part, and has not asked too often; without keys it only counts.

    A request with a right key counts as that key's, any other one as its address's. An address that has tried so many
    wrong keys that it is over its rate is refused whatever it presents next, else it could go on until one is right.
    """

    def __init__(self, app: ASGIApp, keys: Keys, rate: Rate) -> None:
        self.app, self.keys, self.rate = app, keys, rate
        self._locked_out: TTLCache[str, float] = TTLCache(_LOCKED_OUT, 60.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]):
            return await self.app(scope, receive, send)
        key = self.keys.find(scope["headers"])
        problem = await self._refusal(scope, key)
        if problem is not None:
            return await refuse(problem, scope, receive, send)
        return await self.app({**scope, KEY: key.name if key is not None else None}, receive, send)

    async def _refusal(self, scope: Scope, key: Key | None) -> Problem | None:
        address = household(scope["client"][0])
        if address in self._locked_out:
            return _too_often(self._locked_out[address])
        wait = await self.rate.take(f"key:{key.name}" if key is not None else f"address:{address}")
        if wait:
            if self.keys and key is None:
                self._locked_out[address] = wait
            return _too_often(wait)
        return self._missing_right(key, scope) if self.keys and wants_key(scope["path"]) else None

    def _missing_right(self, key: Key | None, scope: Scope) -> Problem | None:
        if key is None:
            return Problem(401, "This wants a key (X-API-Key, Authorization).", _CHALLENGE)
        part = part_of(scope["path"])
        if not key.opens(part.name if part is not None else None, scope["method"]):
            return Problem(403, "The key does not open this part.")
        return None


def _too_often(seconds: float) -> Problem:
    return Problem(429, "Too many requests within a minute.", {"Retry-After": str(max(1, math.ceil(seconds)))})
