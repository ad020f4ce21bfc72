"""Elasticsearch over elasticsearch-py 8.19 (servers 8 and 9): one request, judged; retries are ours alone.

Only what the core of Elasticsearch has is asked for; modules such as ILM are probed and used where they are.
"""

from __future__ import annotations

import base64
import ipaddress
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import orjson

from harvesters import privacy
from harvesters.addresses import base_url
from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, Unavailable
from harvesters.retry import RetryPolicy, Transient, parse_retry_after
from harvesters.settings import Settings

if TYPE_CHECKING:
    from elastic_transport import ApiError
    from elasticsearch import Elasticsearch

_PASSING = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Answer:
    """The status of an answer, and its body as JSON."""

    status: int
    body: Any

    @property
    def found(self) -> bool:
        """True unless it is 404."""
        return self.status != 404


@dataclass
class SearchClient:
    """One cluster. It is not asked anything before the first request.

    Args:
        url: base URL; a host that is not loopback gets its bodies compressed.
        connections: requests that may be under way at once.
        timeout: seconds to wait for one answer.
    """

    url: str
    retry: RetryPolicy
    api_key: str = ""
    user: str = ""
    password: str = ""
    ca_certs: str = ""
    connections: int = 8
    timeout: float = 60.0
    _known: bool = field(default=False, init=False)

    @classmethod
    def from_settings(cls, settings: Settings, retry: RetryPolicy, connections: int = 8) -> Self:
        """The cluster of ``ES_HOST`` with the credentials of ``ES_*``."""
        api_key, user, password = (settings.get(name) for name in ("ES_API_KEY", "ES_USER", "ES_PASSWORD"))
        privacy.protect([api_key])
        privacy.protect_basic(user, password)
        return cls(
            base_url(_with_default_port(settings.get("ES_HOST")), "ES_HOST"),
            retry,
            api_key,
            user,
            password,
            settings.get("ES_CA_CERTS"),
            connections,
            settings.number("HARVEST_HTTP_TIMEOUT", minimum=0.001),
        )

    @property
    def name(self) -> str:
        """``elasticsearch at host:port``."""
        return f"elasticsearch at {urlsplit(self.url).netloc}"

    @property
    def remote(self) -> bool:
        """Whether the cluster is on another machine, so that compression pays."""
        host = urlsplit(self.url).hostname or ""
        try:
            return not ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host != "localhost"

    @cached_property
    def raw(self) -> Elasticsearch:
        """elasticsearch-py's client, which retries nothing."""
        from elasticsearch import Elasticsearch
        from elasticsearch.serializer import OrjsonSerializer

        class Compatible(OrjsonSerializer):
            """What servers answer to clients of version 8, read four times faster than with `json`."""

            mimetype = "application/vnd.elasticsearch+json"

        # It keeps a list of dead nodes and warns of each; there is one, and the retry policy says what happens to it.
        logging.getLogger("elastic_transport.node_pool").setLevel(logging.ERROR)
        more: dict[str, Any] = {}
        if self.api_key:
            more["api_key"] = self.api_key
        elif self.user:
            # Encoded here: elasticsearch-py takes ASCII alone. An environment's bytes may be no UTF-8 either.
            credentials = f"{self.user}:{self.password}".encode("utf-8", "surrogateescape")
            more["basic_auth"] = base64.b64encode(credentials).decode()
        if self.ca_certs:
            if not Path(self.ca_certs).is_file():
                raise ConfigError(f"ES_CA_CERTS={self.ca_certs!r}: there is no such file")
            more["ca_certs"] = self.ca_certs
        try:
            return Elasticsearch(
                self._with_port(),
                max_retries=0,
                retry_on_timeout=False,
                request_timeout=self.timeout,
                connections_per_node=self.connections,
                http_compress=self.remote,
                serializers={Compatible.mimetype: Compatible()},
                **more,
            )
        except (ValueError, OSError) as error:
            raise ConfigError(f"{self.name} is not configured: {error} (ES_HOST, ES_CA_CERTS)") from error

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
    ) -> Answer:
        """As `request`, but one try: what may pass is raised as `Transient`. `lines`: the body is NDJSON."""
        from elastic_transport import ConnectionError, TlsError, TransportError
        from elasticsearch import ApiError, UnsupportedProductError

        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/x-ndjson" if lines else "application/json"
            body = body if isinstance(body, bytes) else orjson.dumps(body)
        try:
            answer = self.raw.perform_request(method, path, params=params, headers=headers, body=body)
        except UnsupportedProductError as error:
            raise ProtocolError(self._stranger) from error
        except ApiError as error:
            if error.meta.status in accept:
                self._make_sure(error.meta.headers)
                return Answer(error.meta.status, error.body)
            raise self._judge(error, f"{method} {path}") from error
        except TlsError as error:
            raise ConfigError(f"{self.name}: no secure connection: {error.message} (see ES_CA_CERTS)") from error
        except ConnectionError as error:
            raise Transient(f"no answer: {error.message}") from error
        except TransportError as error:  # such as a body that is cut off
            raise Transient(f"no sensible answer: {error.message}") from error
        return Answer(answer.meta.status, answer.body)

    def close(self) -> None:
        """Drop the connections."""
        if "raw" in self.__dict__:
            self.raw.close()

    def _judge(self, error: ApiError, what: str) -> Exception:
        status, text = int(error.meta.status), reason(error.body)
        if status in _PASSING or is_block(error.body):
            after = parse_retry_after(error.meta.headers.get("retry-after"), self.retry.clock.now())
            return Transient(f"answered {status} {text}", after)
        if status in (401, 403):
            return CredentialsRefused(
                f"{self.name} refused {what}: {text}. Check ES_API_KEY or ES_USER, and its rights."
            )
        if status == 406:  # OpenSearch does not take the media types of Elasticsearch's clients
            return ProtocolError(f"{self._stranger} It answers {what} with {status} {text}")
        return Refused(f"{self.name}: {what}: {status} {text}", status, text)

    @property
    def _stranger(self) -> str:
        return f"{self.name} is no Elasticsearch of version 8 or newer (OpenSearch is none). Check ES_HOST."

    def _make_sure(self, headers: Mapping[str, str]) -> None:
        """That a status such as 404 comes from Elasticsearch, and not from whatever listens there."""
        if self._known:
            return
        self._known = True
        if headers.get("x-elastic-product") != "Elasticsearch":
            try:
                self.attempt("GET", "/")
            except Exception as error:
                self._known = False
                if isinstance(error, Refused):
                    raise ProtocolError(self._stranger) from error
                raise

    def _with_port(self) -> str:
        # elasticsearch-py wants a port in every URL.
        parts = urlsplit(self.url)
        if parts.port is not None:
            return self.url
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}:{443 if parts.scheme == 'https' else 80}{parts.path}"


def _with_default_port(host: str) -> str:
    """A bare host listens where Elasticsearch does; a URL says itself, or means its scheme's port."""
    host = host.strip()
    bare = "://" not in host and "/" not in host and not re.search(r":[0-9]*$", host)
    return f"{host}:9200" if bare else host


class Refused(ProtocolError):
    """The cluster refused a request for what is in it; `status` and `reason` are its own."""

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


def reason(body: Any) -> str:
    """The server's own words in an error body or a bulk item's ``error``: type and reason, down to the cause."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return str(error)[:300]
    words = [": ".join(str(error[name]) for name in ("type", "reason") if error.get(name))]
    cause = error.get("caused_by")
    roots = [root for root in error.get("root_cause") or () if isinstance(root, dict) and root.get("reason")]
    if isinstance(cause, dict) and cause.get("reason"):
        words.append(str(cause["reason"]))
    elif roots and roots[0]["reason"] != error.get("reason"):  # "all shards failed" does not say why
        words.append(": ".join(str(roots[0][name]) for name in ("index", "reason") if roots[0].get(name)))
    return "; ".join(words)[:1000]


def error_type(body: Any) -> str:
    """The type of an error body or of a bulk item's ``error``, such as ``document_parsing_exception``."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    return str(error.get("type", "")) if isinstance(error, dict) else ""


def is_block(body: Any) -> bool:
    """Whether it is a block on an index or the cluster, which somebody will lift."""
    return error_type(body) == "cluster_block_exception"
