"""A cluster in an event loop, over elastic_transport's asynchronous client: the twin of `client.py`.

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
from harvesters.elastic.connection import Connection
from harvesters.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from elastic_transport import AsyncTransport, TransportApiResponse

Sleep = Callable[[float], Awaitable[None]]


def require_extra(who: str) -> None:
    """See that what this needs is installed.

    Raises:
        ConfigError: it is not; the message says how.
    """
    if find_spec("aiohttp") is None:
        raise ConfigError(f"{who} needs an extra that is not installed: pip install 'harvest[async]'")


@dataclass
class AsyncSearchClient(Connection):
    """A `Connection`, asked in the event loop in which it is entered (``async with``), which closes its connections.

    Args:
        sleep: how to wait before a request is tried again.
    """

    sleep: Sleep = field(kw_only=True)

    @cached_property
    def raw(self) -> AsyncTransport:
        """elastic_transport's client, which retries nothing."""
        from elastic_transport import AsyncTransport

        with self._configured() as arguments:
            return AsyncTransport(**arguments, node_class=self._signing(_node()))

    @cached_property
    def _meeting(self) -> asyncio.Lock:
        return asyncio.Lock()

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
        if self.known.cluster is None:
            async with self._meeting:
                if self.known.cluster is None:
                    self.known.cluster = self._introduced(await self._sent("GET", "/"))
        return self._answered(await self._sent(method, path, body, params, lines), f"{method} {path}", accept)

    async def _sent(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        lines: bool = False,
    ) -> TransportApiResponse:
        try:
            return await self.raw.perform_request(method, **self._asked(path, body, params, lines))
        except Exception as error:
            raise self._failed(error) from error


class _Straight:
    """A session of aiohttp that follows no redirections, as the synchronous client follows none, and sends a URL as it
    is: what is signed, and `%2A` in a name, must arrive so."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    def request(self, method: str, url: str, **more: Any) -> Any:
        from yarl import URL

        return self._session.request(method, URL(url, encoded=True), allow_redirects=False, **more)

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
