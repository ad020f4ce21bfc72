"""How often somebody may ask, and how long a request may be."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvesters.rate import Allowance, Slots
from harvesters.web.problems import Problem, refuse

LONGEST_BODY = 10_000_000
"""Bytes of a request's body."""

_MINUTE = 60.0
_THREADS = 4  # that wait for Redis


class Rate:
    """So many requests within any minute, for each who asks (``HARVEST_API_RATE``); 0 is no limit.

    Args:
        slots: where requests are counted: Redis, or the memory of this process where there is none.
    """

    def __init__(self, slots: Slots, limit: int) -> None:
        self._slots, self._limit = slots, limit
        self._threads = ThreadPoolExecutor(_THREADS, "rate")

    async def take(self, who: str) -> float:
        """Count a request; 0, or the seconds after which `who` may ask again."""
        if not self._limit:
            return 0.0
        asked = Allowance(f"harvest:web:{who}", self._limit, _MINUTE, 0.0)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._slots.claim, asked, uuid.uuid4().hex)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Bodies:
    """Refuses a body that is too long: by what the request says before it is read, else as soon as it is."""

    def __init__(self, app: ASGIApp, longest: int = LONGEST_BODY) -> None:
        self.app, self.longest = app, longest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not said.isdigit() or int(said[:20]) > self.longest:
            problem = Problem(413, self._detail, {"Connection": "close"})
            return await refuse(problem, scope, receive, send)
        length = 0

        async def counted() -> Message:
            nonlocal length
            message = await receive()
            length += len(message.get("body", b""))
            if length > self.longest:
                raise HTTPException(413, self._detail, {"Connection": "close"})
            return message

        return await self.app(scope, counted, send)

    @property
    def _detail(self) -> str:
        return f"A request's body may have {self.longest:,} bytes."
