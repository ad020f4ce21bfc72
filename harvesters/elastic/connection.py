"""Where a cluster is, and what its answers mean: what the clients of `client.py` and `asyncclient.py` have in common.

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
from urllib.parse import quote, urlencode, urlsplit

import orjson

from harvesters import __version__, exact, privacy
from harvesters.addresses import base_url
from harvesters.elastic import signing
from harvesters.elastic.answers import Answer, Said, error_body, read_json
from harvesters.elastic.cluster import DISTRIBUTIONS, ELASTICSEARCH, SUPPORTED, Acquaintance, Cluster
from harvesters.elastic.errors import Refused, asks_too_much, is_block, is_starting, reason
from harvesters.elastic.signing import Scope
from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError
from harvesters.retry import RetryPolicy, Transient, parse_retry_after
from harvesters.settings import Settings

if TYPE_CHECKING:
    from elastic_transport import ApiResponseMeta, TlsError, TransportApiResponse

_PASSING = {408, 429, 500, 502, 503, 504}
NO = frozenset(range(300, 600)) - _PASSING
"""Statuses of a refusal that will be the same in a moment."""
_SPOKEN = ("application/json", "application/*", "text/*")  # the first is that of answers which do not say


@dataclass
class Connection:
    """The way to one cluster, which is asked what it is before the first request.

    Args:
        url: base URL; a host that is not loopback gets its bodies compressed.
        connections: requests that may be under way at once.
        timeout: seconds to wait for one answer.
        distribution: what it is (``ES_DISTRIBUTION``) where it does not say so; ``auto`` if it does.
        aws: sign requests for this service and region of Amazon's.
        known: what is known of it; clients that share it ask once.
    """

    url: str
    retry: RetryPolicy
    api_key: str = ""
    user: str = ""
    password: str = ""
    ca_certs: str = ""
    connections: int = 8
    timeout: float = 60.0
    distribution: str = "auto"
    aws: Scope | None = None
    known: Acquaintance = field(default_factory=Acquaintance)

    @classmethod
    def from_settings(cls, settings: Settings, retry: RetryPolicy, connections: int = 8, **more: Any) -> Self:
        """The cluster of ``ES_HOST`` with the credentials of ``ES_*``."""
        api_key, user, password = (settings.get(name) for name in ("ES_API_KEY", "ES_USER", "ES_PASSWORD"))
        privacy.protect([api_key])
        privacy.protect_basic(user, password)
        url = base_url(_with_default_port(settings.get("ES_HOST"), aws=bool(settings.get("ES_AUTH"))), "ES_HOST")
        return cls(
            url,
            retry,
            api_key,
            user,
            password,
            settings.get("ES_CA_CERTS"),
            connections,
            settings.number("HARVEST_HTTP_TIMEOUT", minimum=0.001),
            settings.choice("ES_DISTRIBUTION", DISTRIBUTIONS),
            signing.scope(settings, urlsplit(url).hostname or ""),
            **more,
        )

    @property
    def name(self) -> str:
        """``elasticsearch at host:port``, or ``opensearch at host:port`` once it is known."""
        cluster = self.known.cluster
        product = cluster.distribution if cluster is not None else self.distribution.replace("auto", ELASTICSEARCH)
        return f"{product} at {urlsplit(self.url).netloc}"

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
        """The arguments of one of elastic_transport's transports, made in the block; it retries nothing."""
        from elastic_transport import Serializer
        from elastic_transport.client_utils import url_to_node_config

        class Verbatim(Serializer):
            """The bytes as they came, whatever they are said to be."""

            def loads(self, data: bytes) -> bytes:
                return data

            def dumps(self, data: bytes) -> bytes:
                return data

        # It keeps a list of dead nodes and warns of each; there is one, and the retry policy says what happens to it.
        logging.getLogger("elastic_transport.node_pool").setLevel(logging.ERROR)
        more: dict[str, Any] = {}
        if self.ca_certs:
            if not Path(self.ca_certs).is_file():
                raise ConfigError(f"ES_CA_CERTS={self.ca_certs!r}: there is no such file")
            more["ca_certs"] = self.ca_certs
        try:
            node = url_to_node_config(self.url, use_default_ports_for_scheme=True).replace(
                headers={"user-agent": f"harvest/{__version__}", **self._authorization},
                connections_per_node=self.connections,
                request_timeout=self.timeout,
                http_compress=self.remote,
                **more,
            )
            yield {
                "node_configs": [node],
                "max_retries": 0,
                "retry_on_status": (),
                "meta_header": False,
                "serializers": dict.fromkeys(_SPOKEN, Verbatim()),
            }
        except (ValueError, OSError) as error:
            raise ConfigError(f"{self.name} is not configured: {error} (ES_HOST, ES_CA_CERTS)") from error

    def _signing(self, node: type[Any]) -> type[Any]:
        """The class of connections, one that signs if requests are to be signed."""
        return signing.signing(node, signing.Signer(self.aws)) if self.aws is not None else node

    @property
    def _authorization(self) -> dict[str, str]:
        if self.api_key:
            return {"authorization": f"ApiKey {self.api_key}"}
        if not self.user:
            return {}
        # An environment's bytes may be no UTF-8.
        credentials = f"{self.user}:{self.password}".encode("utf-8", "surrogateescape")
        return {"authorization": f"Basic {base64.b64encode(credentials).decode()}"}

    def _asked(self, path: str, body: Any, params: Mapping[str, Any] | None, lines: bool = False) -> dict[str, Any]:
        """The arguments of ``perform_request``, beside the method."""
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/x-ndjson" if lines else "application/json"
            body = body if isinstance(body, bytes) else _as_json(body)
        return {"target": f"{path}?{_query(params)}" if params else path, "headers": headers, "body": body}

    def _answered(
        self, answer: TransportApiResponse, what: str, accept: Collection[int], unread: bool = False
    ) -> Answer:
        """The answer, if its status is 2xx or one of `accept`.

        Raises:
            Transient, HarvestError: what another one means.
        """
        meta, raw = answer.meta, answer.body if isinstance(answer.body, bytes) else b""
        if 200 <= meta.status < 300:
            if not raw and not what.startswith("HEAD "):
                raise Transient("sent nothing, as a connection does that breaks off within the headers")
            return Answer(meta.status, None if unread or not raw else self._read(raw), raw)
        said = error_body(raw, meta.headers)
        if meta.status not in accept:
            raise self._judge(meta, said, what)
        return Answer(meta.status, said, raw)

    def _introduced(self, answer: TransportApiResponse) -> Cluster:
        """The cluster that answers ``GET /`` so.

        Raises:
            CredentialsRefused, ProtocolError, Transient: there is none that we can work with.
        """
        meta, raw = answer.meta, answer.body if isinstance(answer.body, bytes) else b""
        where, hidden = (
            urlsplit(self.url).netloc,
            "Where GET / is hidden, set ES_DISTRIBUTION (elasticsearch, opensearch).",
        )
        if 200 <= meta.status < 300:
            is_json = (meta.mimetype or "").endswith("json") or raw.startswith(b"{")
            body = read_json(raw) if is_json else None
            try:
                cluster = Cluster.read(body, meta.headers)
            except ProtocolError as error:
                raise ProtocolError(f"what answers at {where} {error}. Check ES_HOST.") from None
            if self.distribution not in ("auto", cluster.distribution):
                raise ConfigError(f"ES_DISTRIBUTION={self.distribution!r}, but what answers at {where} is {cluster}")
            return cluster
        said = error_body(raw, meta.headers)
        if meta.status in (403, 404) and self.distribution != "auto" and not is_block(said):
            return Cluster.of(self.distribution)
        refusal = self._judge(meta, said, "GET /")
        if isinstance(refusal, CredentialsRefused):
            raise CredentialsRefused(f"{refusal} {hidden}")
        if isinstance(refusal, Refused):
            raise ProtocolError(
                f"what answers at {where} does not say what it is (GET /: {meta.status} {refusal.reason}); harvest.py "
                f"needs {SUPPORTED}. Check ES_HOST. {hidden}"
            )
        raise refusal

    def _failed(self, error: Exception) -> Exception:
        """What `error`, raised by ``perform_request``, means; anything unknown as it is."""
        from elastic_transport import ConnectionError, SerializationError, TlsError, TransportError

        match error:
            case TlsError() if _is_about_certificates(error):
                return ConfigError(f"{self.name}: no secure connection: {error.message} (see ES_CA_CERTS)")
            case TlsError():
                return Transient(f"no secure connection: {error.message} (does ES_HOST speak TLS?)")
            case ConnectionError():
                return Transient(f"no answer: {error.message}")
            case SerializationError():  # its message quotes the body
                return Transient("sent what is no JSON")
            case TransportError():  # such as a body that is cut off
                return Transient(f"no sensible answer: {error.message}")
        return error

    def _read(self, raw: bytes) -> Any:
        said = read_json(raw)
        if not isinstance(said, dict):
            raise ProtocolError(f"{self.name} sent JSON that is no object. Check ES_HOST, and what stands before it.")
        return Said(said)

    def _judge(self, meta: ApiResponseMeta, body: Any, what: str) -> Exception:
        status, text = int(meta.status), reason(body)
        if (status in _PASSING or is_block(body) or is_starting(body)) and not asks_too_much(body):
            after = parse_retry_after(meta.headers.get("retry-after"), self.retry.clock.now())
            # A full disk is 429 too, but no rate limit: waiting does not help, somebody has to make room.
            return Transient(f"answered {status} {text}", after, limited=status == 429 and not is_block(body))
        if status in (401, 403):
            return CredentialsRefused(f"{self.name} refused {what}: {text.rstrip('.')}. {self._rights}")
        return Refused(f"{self.name}: {what}: {status} {text}", status, text, body)

    @property
    def _rights(self) -> str:
        if self.aws is not None:
            return f"Check the access policy of the domain, and the role that signs: {self.aws}."
        return "Check ES_API_KEY or ES_USER, and its rights."


def _query(params: Mapping[str, Any]) -> str:
    """A query in strict encoding: what signs it, and what checks that, then see the same bytes."""
    return urlencode({name: _in_query(value) for name, value in params.items()}, quote_via=quote, safe="")


def _in_query(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


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


def _with_default_port(host: str, aws: bool = False) -> str:
    """A bare host listens where Elasticsearch does; a URL, and Amazon, means its scheme's port."""
    host = host.strip()
    bare = not aws and "://" not in host and "/" not in host and not re.search(r":[0-9]*$", host)
    return f"{host}:9200" if bare else host
