"""The bodies of posts, as drafts: large ones one after the other, and by slices, so that others are answered meanwhile.

A thread would do that worse: it holds Python's lock for milliseconds at a time, which whoever sends and receives has to
wait for at each call. It is for what has no slices: a message that is large itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from harvesters import exact
from harvesters.messages import logs, stored
from harvesters.messages.content import Invalid
from harvesters.messages.model import Message
from harvesters.messages.posting import Draft
from harvesters.web.problems import Problem

Errors = list[dict[str, Any]]

_LARGE = 50_000  # bytes of a body that has to wait for its turn, and of a message that is read in a thread
_SLICE = 0.002  # seconds


class Intake:
    """Reads what is posted; for one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def messages(self, body: bytes) -> list[Draft]:
        """The messages of a post.

        Raises:
            Problem: 400, for one is none.
        """
        drafts, errors = await self._drafts(body, lambda said: Draft.of(Message.parse(said)))
        if errors:
            reason = f"message {errors[0]['index']}: {errors[0]['reason']}"
            raise Problem(400, f"Malformed request: {reason}. Nothing was stored.", more={"errors": errors})
        return drafts

    async def logs(self, body: bytes) -> tuple[list[Draft], Errors]:
        """The logs of a post, and what is wrong with the others.

        Raises:
            Problem: 400, for it is no array.
        """
        return await self._drafts(body, logs.draft)

    async def _drafts(self, body: bytes, read: Callable[[Any], Draft]) -> tuple[list[Draft], Errors]:
        large = len(body) >= _LARGE
        drafts: list[Draft] = []
        errors: Errors = []
        turn: AbstractAsyncContextManager[Any] = self._turn if large else nullcontext()
        loop = asyncio.get_running_loop()
        async with turn:
            array = await self._array(body, large)
            of_large_ones = len(body) >= _LARGE * len(array)
            since = loop.time()
            for index, said in enumerate(array):
                try:
                    drafts.append(await loop.run_in_executor(None, read, said) if of_large_ones else read(said))
                except Invalid as error:
                    errors.append({"index": index, "reason": str(error)})
                if large and loop.time() - since > _SLICE:
                    await asyncio.sleep(0)
                    since = loop.time()
        return drafts, errors

    async def _array(self, body: bytes, large: bool) -> list[Any]:
        if large and exact.rounds(body):  # which Python itself has to read
            return await asyncio.get_running_loop().run_in_executor(None, _array_of, body)
        return _array_of(body)


def _array_of(body: bytes) -> list[Any]:
    """What is in a body that has to be a JSON array.

    Raises:
        Problem: 400.
    """
    try:
        body.decode()
        said = stored.loads(body)
    except UnicodeDecodeError:
        raise Problem(400, "Malformed request: the body is no UTF-8.") from None
    except ValueError:
        raise Problem(400, "Malformed request: the body is no JSON, or is nested too deeply.") from None
    if not isinstance(said, list):
        raise Problem(400, "Malformed request: the body is no JSON array.")
    return said
