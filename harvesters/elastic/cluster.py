"""Which cluster, and what its answers mean: what the client of `client.py` and that of `asyncclient.py` have in common.

Answers are judged by status and body, and failures of the connection by what elastic_transport makes of them.
"""

from __future__ import annotations

import base64
import ipaddress
import logging
import re
import ssl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import orjson

from harvesters import exact, privacy
from harvesters.addresses import base_url
from harvesters.elastic.answers import Answer, Said, error_body, read_json
from harvesters.elastic.errors import Refused, is_block, reason
from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError
from harvesters.retry import RetryPolicy, Transient, parse_retry_after
from harvesters.settings import Settings

if TYPE_CHECKING:
    from elastic_transport import ApiResponse, ApiResponseMeta, TlsError

_PASSING = {408, 429, 500, 502, 503, 504}
_ANSWERED = ("application/vnd.elasticsearch+json", "application/json", "text/*")


@dataclass
class Cluster:
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
    def from_settings(cls, settings: Settings, retry: RetryPolicy, connections: int = 8, **more: Any) -> Self:
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
            **more,
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

    @contextmanager
    def _configured(self) -> Iterator[dict[str, Any]]:
        """The arguments of one of elasticsearch-py's clients, which is made in the block and retries nothing."""
        from elastic_transport import Serializer

        class Verbatim(Serializer):
            """The bytes as they came, whatever they are said to be."""

            def loads(self, data: bytes) -> bytes:
                return data

            def dumps(self, data: bytes) -> bytes:
                return data

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
            yield {
                "hosts": self._with_port(),
                "max_retries": 0,
                "retry_on_timeout": False,
                "request_timeout": self.timeout,
                "connections_per_node": self.connections,
                "http_compress": self.remote,
                "serializers": dict.fromkeys(_ANSWERED, Verbatim()),
                **more,
            }
        except (ValueError, OSError) as error:
            raise ConfigError(f"{self.name} is not configured: {error} (ES_HOST, ES_CA_CERTS)") from error

    def _asked(self, body: Any, params: Mapping[str, Any] | None, lines: bool) -> dict[str, Any]:
        """The arguments of elasticsearch-py's ``perform_request``, beside method and path."""
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/x-ndjson" if lines else "application/json"
            body = body if isinstance(body, bytes) else _as_json(body)
        return {"params": params, "headers": headers, "body": body}

    def _answered(self, answer: ApiResponse[Any], unread: bool = False) -> Answer:
        """An answer with a status of 2xx."""
        raw = answer.body if isinstance(answer.body, bytes) else b""
        return Answer(answer.meta.status, None if unread or not raw else self._read(raw), raw)

    def _failed(self, error: Exception, what: str, accept: Collection[int]) -> tuple[Answer, bool]:
        """The answer, if its status is one of `accept`, and whether it is to be made sure that Elasticsearch gave it.

        Raises:
            Transient, HarvestError: what `error`, raised by ``perform_request``, means. Anything unknown as it is.
        """
        from elastic_transport import ConnectionError, SerializationError, TlsError, TransportError
        from elasticsearch import ApiError, UnsupportedProductError

        match error:
            case UnsupportedProductError():
                raise ProtocolError(self._stranger) from error
            case ApiError():
                said = error_body(error.body, error.meta.headers)
                if error.meta.status not in accept:
                    raise self._judge(error.meta, said, what) from None
                self._known = self._known or error.meta.headers.get("x-elastic-product") == "Elasticsearch"
                raw = error.body if isinstance(error.body, bytes) else b""
                return Answer(error.meta.status, said, raw), not self._known
            case TlsError() if _is_about_certificates(error):
                raise ConfigError(f"{self.name}: no secure connection: {error.message} (see ES_CA_CERTS)") from error
            case TlsError():
                raise Transient(f"no secure connection: {error.message} (does ES_HOST speak TLS?)") from error
            case ConnectionError():
                raise Transient(f"no answer: {error.message}") from error
            case SerializationError():  # its message quotes the body
                raise Transient("sent what is no JSON") from None
            case TransportError():  # such as a body that is cut off
                raise Transient(f"no sensible answer: {error.message}") from error
        raise error

    def _read(self, raw: bytes) -> Any:
        said = read_json(raw)
        if not isinstance(said, dict):
            raise ProtocolError(f"{self.name} sent JSON that is no object. Check ES_HOST, and what stands before it.")
        return Said(said)

    def _judge(self, meta: ApiResponseMeta, body: Any, what: str) -> Exception:
        status, text = int(meta.status), reason(body)
        if status in _PASSING or is_block(body):
            after = parse_retry_after(meta.headers.get("retry-after"), self.retry.clock.now())
            # A full disk is 429 too, but no rate limit: waiting does not help, somebody has to make room.
            return Transient(f"answered {status} {text}", after, limited=status == 429 and not is_block(body))
        if status in (401, 403):
            return CredentialsRefused(
                f"{self.name} refused {what}: {text}. Check ES_API_KEY or ES_USER, and its rights."
            )
        if status == 406:  # OpenSearch does not take the media types of Elasticsearch's clients
            return ProtocolError(f"{self._stranger} It answers {what} with {status} {text}")
        return Refused(f"{self.name}: {what}: {status} {text}", status, text, body)

    @property
    def _stranger(self) -> str:
        return f"{self.name} is no Elasticsearch of version 8 or newer (OpenSearch is none). Check ES_HOST."

    @contextmanager
    def _making_sure(self) -> Iterator[None]:
        """Ask ``GET /`` in the block: a status such as 404 may come from whatever listens there."""
        self._known = True
        try:
            yield
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


def _as_json(body: Any) -> bytes:
    """A request's body; a byte of a command line that is no UTF-8 stands in it as half of a surrogate pair."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return exact.dumps(body)


def _is_about_certificates(error: TlsError) -> bool:
    """Whether the other side's certificate is refused; a handshake that was torn may succeed next time."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, ssl.SSLCertVerificationError):
            return True
        inner = (one.__cause__, one.__context__, *getattr(one, "errors", ()), *one.args)
        waiting += [part for part in inner if isinstance(part, BaseException)]
    return False


def _with_default_port(host: str) -> str:
    """A bare host listens where Elasticsearch does; a URL says itself, or means its scheme's port."""
    host = host.strip()
    bare = "://" not in host and "/" not in host and not re.search(r":[0-9]*$", host)
    return f"{host}:9200" if bare else host
