"""A cluster over elastic_transport, with plain JSON: one request, judged; retries are ours alone.

Only what the cores of Elasticsearch and OpenSearch have is asked for; ILM and ISM are probed and used where they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from harvesters.elastic.answers import Answer, read_json
from harvesters.elastic.cluster import Cluster
from harvesters.elastic.connection import Connection
from harvesters.errors import Unavailable
from harvesters.retry import RetryPolicy

if TYPE_CHECKING:
    from elastic_transport import Transport, TransportApiResponse

__all__ = ["Answer", "SearchClient", "read_json"]


@dataclass
class SearchClient(Connection):
    """A `Connection`, asked one request at a time in each thread."""

    @cached_property
    def raw(self) -> Transport:
        """elastic_transport's client, which retries nothing."""
        from elastic_transport import Transport, Urllib3HttpNode

        with self._configured() as arguments:
            return Transport(**arguments, node_class=self._signing(Urllib3HttpNode))

    def under(self, retry: RetryPolicy) -> Self:
        """The same connections, asked again by another policy; `close` is for the one that they were made for."""
        other = replace(self, retry=retry)
        other.__dict__["raw"] = self.raw
        return other

    @property
    def cluster(self) -> Cluster:
        """What answers; asked for the first time.

        Raises:
            Unavailable, CredentialsRefused, ProtocolError, ConfigError: it does not say, or it is not supported.
        """
        return self.known.cluster or self.retry.call(self._meet, self.name, Unavailable)

    def meet(self) -> Cluster:
        """As `cluster`, asked each time: that it answers is what is of interest."""
        return self.retry.call(lambda: self._introduced(self._sent("GET", "/")), self.name, Unavailable)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """Ask once for `path`, tried again as long as the failure may pass.

        Args:
            body: JSON-able, or bytes as they are.
            accept: statuses beyond 2xx that the caller understands, such as 404.

        Raises:
            Unavailable, CredentialsRefused, ProtocolError, ConfigError: as the server's answer means.
        """
        return self.retry.call(
            lambda: self.attempt(method, path, body, params=params, accept=accept), self.name, Unavailable
        )

    def attempt(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        accept: Collection[int] = (),
        lines: bool = False,
        unread: bool = False,
    ) -> Answer:
        """As `request`, but one try: what may pass is raised as `Transient`.

        Args:
            lines: the body is NDJSON.
            unread: leave the answer's body to the caller, who takes `Answer.raw`, and raises `Transient` if it is cut.
        """
        if self.known.cluster is None:
            self._meet()
        return self._answered(self._sent(method, path, body, params, lines), f"{method} {path}", accept, unread)

    def close(self) -> None:
        """Drop the connections."""
        if "raw" in self.__dict__:
            self.raw.close()

    def _sent(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        lines: bool = False,
    ) -> TransportApiResponse:
        try:
            return self.raw.perform_request(method, **self._asked(path, body, params, lines))
        except Exception as error:
            raise self._failed(error) from error

    def _meet(self) -> Cluster:
        """One try to ask what it is, for all threads that want to know."""
        first, asking = self.known.begin()
        if first:
            try:
                self.known.end(asking, self._introduced(self._sent("GET", "/")))
            except BaseException as error:
                self.known.end(asking, None, error)
        return asking.result()
