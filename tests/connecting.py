"""Clients of both kinds, synchronous and not, used in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from harvesters.elastic.asyncclient import AsyncSearchClient
from harvesters.elastic.client import Answer, SearchClient
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings


class Looped:
    """An `AsyncSearchClient`, each request of which is run in `loop`."""

    def __init__(self, client: AsyncSearchClient, loop: asyncio.AbstractEventLoop) -> None:
        self.client, self.loop = client, loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def request(self, *args: Any, **named: Any) -> Answer:
        return self.loop.run_until_complete(self.client.request(*args, **named))

    def close(self) -> None:
        self.loop.run_until_complete(self.client.__aexit__())


class Connect:
    """Makes clients of one of our two kinds: asynchronous ones where there is a `loop` for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop

    def __call__(self, url: str, retry: RetryPolicy, **options: Any) -> Any:
        return self._made(lambda kind, **more: kind(url, retry, **options, **more), retry)

    def from_settings(self, settings: Settings, retry: RetryPolicy) -> Any:
        return self._made(lambda kind, **more: kind.from_settings(settings, retry, **more), retry)

    def _made(self, make: Callable[..., Any], retry: RetryPolicy) -> Any:
        async def sleep(seconds: float) -> None:
            retry.clock.sleep(seconds)

        return make(SearchClient) if self.loop is None else Looped(make(AsyncSearchClient, sleep=sleep), self.loop)


@pytest.fixture(params=["synchronous", "asynchronous"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    if request.param == "synchronous":
        yield Connect(None)
    else:
        with closing(asyncio.new_event_loop()) as loop:
            yield Connect(loop)
