"""Elasticsearch over elasticsearch-py 8.19 (servers 8 and 9): one request, judged; retries are ours alone.

Only what the core of Elasticsearch has is asked for; modules such as ILM are probed and used where they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harvesters.elastic.answers import Answer, read_json
from harvesters.elastic.cluster import Cluster
from harvesters.errors import Unavailable

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = ["Answer", "SearchClient", "read_json"]


@dataclass
class SearchClient(Cluster):
    """A `Cluster`, asked one request at a time in each thread."""

    @cached_property
    def raw(self) -> Elasticsearch:
        """elasticsearch-py's client, which retries nothing."""
        from elasticsearch import Elasticsearch

        with self._configured() as arguments:
            return Elasticsearch(**arguments)

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
        try:
            answer = self.raw.perform_request(method, path, **self._asked(body, params, lines))
        except Exception as error:
            found, doubtful = self._failed(error, f"{method} {path}", accept)
            if doubtful:
                with self._making_sure():
                    self.attempt("GET", "/")
            return found
        return self._answered(answer, unread)

    def close(self) -> None:
        """Drop the connections."""
        if "raw" in self.__dict__:
            self.raw.close()
