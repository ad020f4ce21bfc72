"""Elasticsearch in an event loop, over elasticsearch-py's asynchronous client: the twin of `client.py`.

It needs the extra ``[async]``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

from harvesters.elastic.answers import Answer
from harvesters.elastic.cluster import Cluster
from harvesters.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from elasticsearch import AsyncElasticsearch

Sleep = Callable[[float], Awaitable[None]]


def require_extra(who: str) -> None:
    """See that what this needs is installed.

    Raises:
        ConfigError: it is not; the message says how.
    """
    if find_spec("aiohttp") is None:
        raise ConfigError(f"{who} needs an extra that is not installed: pip install 'harvest[async]'")


@dataclass
class AsyncSearchClient(Cluster):
    """A `Cluster`, asked in the event loop in which it is entered (``async with``), which closes its connections.

    Args:
        sleep: how to wait before a request is tried again.
    """

    sleep: Sleep = field(kw_only=True)

    @cached_property
    def raw(self) -> AsyncElasticsearch:
        """elasticsearch-py's client, which retries nothing."""
        from elasticsearch import AsyncElasticsearch

        with self._configured() as arguments:
            return AsyncElasticsearch(**arguments, node_class=_node())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if "raw" in self.__dict__:
            await self.raw.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """As `SearchClient.request`."""
        ask = partial(self.attempt, method, path, body, params=params, accept=accept)
        return await self.retry.call_in_loop(ask, self.sleep, self.name, Unavailable)

    async def attempt(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        accept: Collection[int] = (),
        lines: bool = False,
    ) -> Answer:
        """As `SearchClient.attempt`."""
        try:
            answer = await self.raw.perform_request(method, path, **self._asked(body, params, lines))
        except Exception as error:
            found, doubtful = self._failed(error, f"{method} {path}", accept)
            if doubtful:
                with self._making_sure():
                    await self.attempt("GET", "/")
            return found
        return self._answered(answer)


class _Straight:
    """A session of aiohttp that follows no redirections, as the synchronous client follows none."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self.request = partial(session.request, allow_redirects=False)

    async def close(self) -> None:
        await self._session.close()


def _node() -> Any:
    """elastic_transport's class of connections, with as many as it is told: aiohttp has a hundred at most by itself."""
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector
    from elastic_transport import AiohttpHttpNode

    class Node(AiohttpHttpNode):
        session: Any

        def _create_aiohttp_session(self) -> None:
            self._loop = asyncio.get_running_loop()
            self.session = _Straight(
                ClientSession(
                    headers=self.headers,
                    skip_auto_headers=("accept", "accept-encoding", "user-agent"),
                    cookie_jar=DummyCookieJar(),
                    connector=TCPConnector(limit=self._connections_per_node, ssl=self._ssl_context or False),
                )
            )

    return Node
