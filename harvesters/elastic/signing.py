"""Requests signed for Amazon's OpenSearch Service (Signature Version 4), as elastic_transport's connections send them.

Signed are the bytes that go out: the body after compression, under the path prefix of the URL. Of the headers only
`host` and ``x-amz-*`` are, for load balancers change others. botocore is imported when something is to be signed.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harvesters import privacy
from harvesters.errors import ConfigError, CredentialsRefused
from harvesters.retry import Transient
from harvesters.settings import Settings

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

SERVICES = ("es", "aoss")
_AMAZON = re.compile(r"(?:^|\.)(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+)\.(?P<service>es|aoss)\.amazonaws\.com(?:\.cn)?$")
_OTHERS = ("ES_API_KEY", "ES_USER", "ES_PASSWORD")
_REGION = re.compile(r"[A-Za-z0-9-]+")
_PASSING = ("Throttling", "RequestLimitExceeded", "IDPCommunicationError", "ServiceUnavailable", "InternalFailure")
_UNREADABLE = (OSError, LookupError, TypeError, ValueError)  # of a file, an answer or a program that gives credentials


@dataclass(frozen=True)
class Scope:
    """What a signature is for."""

    service: str
    region: str

    def __str__(self) -> str:
        return f"aws ({self.service}, {self.region})"


def scope(settings: Settings, host: str) -> Scope | None:
    """What requests to `host` are signed for (``ES_AUTH``, ``ES_AWS_*``); None where they are not.

    Raises:
        ConfigError: the settings contradict each other, or nothing says which region.
    """
    auth = settings.get("ES_AUTH")
    if not auth:
        return None
    if auth != "aws":
        raise ConfigError(f"ES_AUTH={auth!r}: it is aws, or unset for ES_API_KEY or ES_USER")
    if others := [name for name in _OTHERS if settings.get(name)]:
        raise ConfigError(f"ES_AUTH=aws and {others[0]} are both set: unset one of them")
    named = _AMAZON.search(host.lower())
    service = settings.get("ES_AWS_SERVICE") or (named["service"] if named else "es")
    if service not in SERVICES:
        raise ConfigError(f"ES_AWS_SERVICE={service!r} is none of {', '.join(SERVICES)}")
    region = settings.get("ES_AWS_REGION") or (named["region"] if named else _region_of_boto3())
    if not region:
        raise ConfigError("ES_AUTH=aws needs a region: set ES_AWS_REGION, or AWS_DEFAULT_REGION for all of boto3.")
    if not _REGION.fullmatch(region):
        raise ConfigError(f"ES_AUTH=aws: {region!r} is no region, such as eu-central-1: see ES_AWS_REGION.")
    return Scope(service, region)


def _region_of_boto3() -> str:
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        return str(Session().get_config_variable("region") or "")
    except BotoCoreError as error:  # as of a profile that is not there
        raise ConfigError(f"ES_AUTH=aws: {error}") from None


class Signer:
    """Signs with the credentials that boto3 finds: those that are valid when a request is made.

    Raises:
        ConfigError: there are none.
    """

    def __init__(self, scope: Scope) -> None:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        # It logs a traceback where there are no new ones; what we raise says why.
        logging.getLogger("botocore.credentials").setLevel(logging.ERROR)
        self.scope = scope
        self._auth, self._request = SigV4Auth, AWSRequest
        self._lock = Lock()
        self._masked = ""
        self._credentials = self._found()

    def headers(self, method: str, url: str, body: bytes | None) -> dict[str, str]:
        """The headers that sign a request.

        Raises:
            Transient: the credentials have ended, and there are no new ones yet.
            CredentialsRefused: Amazon does not give the role.
            ConfigError: where they should come from there are none.
        """
        credentials = self._frozen()
        if credentials.access_key != self._masked:
            for secret in (credentials.access_key, credentials.secret_key, credentials.token):
                privacy.protect_token(f"{self.scope}", secret or "")
            self._masked = str(credentials.access_key)
        digest = hashlib.sha256(body or b"").hexdigest()
        request = self._request(method, url, data=body or b"", headers={"X-Amz-Content-SHA256": digest})
        self._auth(credentials, self.scope.service, self.scope.region).add_auth(request)
        return {"host": _host(url), **{name.lower(): str(value) for name, value in request.headers.items()}}

    def renew(self) -> None:
        """Forget the credentials, and look for new ones.

        Raises:
            Transient: there are none; there were some, so what gives them may be away for a moment.
        """
        with self._lock:
            try:
                self._credentials = self._found()
            except ConfigError as error:
                raise Transient(f"no credentials to sign with: {error}") from None

    def _frozen(self) -> ReadOnlyCredentials:
        """All three at once: one by one they might be of two generations."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self._credentials.get_frozen_credentials()
        except ClientError as error:  # of the service that gives a role's
            if str(error.response.get("Error", {}).get("Code")).startswith(_PASSING):
                raise Transient(f"no credentials to sign with: {error}") from None
            raise CredentialsRefused(f"ES_AUTH=aws: {error}. Check the role, and who may take it.") from None
        except (BotoCoreError, RuntimeError) as error:  # the latter where new ones have ended already
            raise Transient(f"no credentials to sign with: {error}") from None
        except _UNREADABLE as error:
            raise _unreadable(error) from None
        given = (found.access_key, found.secret_key, found.token or "")
        if not all(isinstance(each, str) and each.isascii() for each in given):
            raise ConfigError("ES_AUTH=aws: the credentials that boto3 finds are none: they hold more than ASCII.")
        return found

    def _found(self) -> Credentials:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        try:
            found: Credentials | None = Session().get_credentials()
        except BotoCoreError as error:
            raise ConfigError(f"ES_AUTH=aws: {error}") from None
        except _UNREADABLE as error:
            raise _unreadable(error) from None
        if found is None:
            raise ConfigError(
                "ES_AUTH=aws, and boto3 finds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "AWS_PROFILE, or give the machine or container a role."
            )
        return found


def _unreadable(error: Exception) -> ConfigError:
    """What it holds is not told: there may be a secret in it."""
    told = f"{error.strerror} ({error.filename})" if isinstance(error, OSError) else type(error).__name__
    return ConfigError(
        f"ES_AUTH=aws: what should give credentials to boto3 gives none: {told}. Check AWS_*, and the profile."
    )


def _host(url: str) -> str:
    """The header, as it is signed: without the scheme's own port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else str(parts.hostname)
    own = {"http": 80, "https": 443}[parts.scheme]
    return host if parts.port in (None, own) else f"{host}:{parts.port}"


def _has_expired(answer: Any) -> bool:
    return bool(answer.meta.status == 403) and b"expired" in answer.body[:4096]


class _Sent:
    """A request, packed and signed."""

    def __init__(
        self, node: Any, signer: Signer, method: str, target: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> None:
        self.signer, self.method, self.url = signer, method, node.base_url + target
        self.given = dict(headers or {})
        self.body = body
        if body and node.compresses:
            self.body = gzip.compress(body)
            self.given["content-encoding"] = "gzip"

    def headers(self) -> Any:
        from elastic_transport import HttpHeaders

        return HttpHeaders({**self.given, **self.signer.headers(self.method, self.url, self.body)})


def signing(node: type[Any], signer: Signer) -> type[Any]:
    """elastic_transport's class of connections `node`, synchronous or not, whose requests are signed.

    It compresses by itself, before it signs. Where the cluster says that the credentials have expired, new ones are
    looked for, and the request is sent once more.
    """
    from elastic_transport.client_utils import DEFAULT

    class Base(node):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            self.compresses = bool(config.http_compress)
            super().__init__(config.replace(http_compress=False))
            if self.compresses:
                self.headers["accept-encoding"] = "gzip"

    class Signed(Base):
        def perform_request(
            self,
            method: str,
            target: str,
            body: bytes | None = None,
            headers: Mapping[str, str] | None = None,
            request_timeout: Any = DEFAULT,
        ) -> Any:
            sent = _Sent(self, signer, method, target, body, headers)
            answer = super().perform_request(method, target, sent.body, sent.headers(), request_timeout)
            if _has_expired(answer):
                signer.renew()
                answer = super().perform_request(method, target, sent.body, sent.headers(), request_timeout)
            return answer

    class AsyncSigned(Base):
        async def perform_request(
            self,
            method: str,
            target: str,
            body: bytes | None = None,
            headers: Mapping[str, str] | None = None,
            request_timeout: Any = DEFAULT,
        ) -> Any:
            # In a thread: new credentials may have to be asked for.
            sent = _Sent(self, signer, method, target, body, headers)
            named = await asyncio.to_thread(sent.headers)
            answer = await super().perform_request(method, target, sent.body, named, request_timeout)
            if _has_expired(answer):
                await asyncio.to_thread(signer.renew)
                named = await asyncio.to_thread(sent.headers)
                answer = await super().perform_request(method, target, sent.body, named, request_timeout)
            return answer

    return AsyncSigned if asyncio.iscoroutinefunction(node.perform_request) else Signed
