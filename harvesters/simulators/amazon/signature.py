"""Signature Version 4, checked from what was received and nothing else: none of botocore's code has a part in it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from harvesters.simulators.base import Request

_ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key>[^/]+)/(?P<day>\d{{8}})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_CHANGED = {"connection", "accept-encoding", "transfer-encoding", "expect", "te", "user-agent"}  # by load balancers
_SKEW = timedelta(minutes=5)


class Unsigned(Exception):
    """The request is refused; the text is what Amazon says."""


@dataclass(frozen=True)
class Key:
    """A secret, its session token ("" for a user's), and when both end."""

    secret: str
    token: str = ""
    ends: datetime | None = None


def check(request: Request, keys: Mapping[str, Key], service: str, region: str, now: datetime) -> None:
    """See that `request` is signed with one of `keys`.

    Raises:
        Unsigned: it is not.
    """
    given = request.headers.get("authorization", "")
    if not given:
        raise Unsigned("Missing Authentication Token")
    found = _AUTHORIZATION.fullmatch(given)
    if found is None:
        raise Unsigned(f"Authorization header is not as it should be. Authorization={given}")
    if (found["region"], found["service"]) != (region, service):
        raise Unsigned(f"Credential should be scoped to a valid region and correct service: '{service}'.")
    key = keys.get(found["key"])
    if key is None or request.headers.get("x-amz-security-token", "") != key.token:
        raise Unsigned("The security token included in the request is invalid.")
    if key.ends is not None and now >= key.ends:
        raise Unsigned("The security token included in the request is expired")
    _check_headers(request, found["headers"].split(";"), bool(key.token))
    stamp = request.headers["x-amz-date"]
    _check_time(stamp, found["day"], now)
    signed = _signature(request, found["headers"], stamp, f"{found['day']}/{region}/{service}/aws4_request", key.secret)
    if not hmac.compare_digest(signed, found["signature"]):
        raise Unsigned("The request signature we calculated does not match the signature you provided.")


def _check_headers(request: Request, signed: list[str], with_token: bool) -> None:
    needed = {"host", "x-amz-date", "x-amz-content-sha256", *(["x-amz-security-token"] if with_token else [])}
    if missing := needed - {*signed}:
        raise Unsigned(f"'{sorted(missing)[0]}' must be a signed header")
    if changed := _CHANGED & {*signed}:
        raise Unsigned(f"'{sorted(changed)[0]}' did not arrive as it was signed")
    if absent := [name for name in signed if name not in request.headers]:
        raise Unsigned(f"'{absent[0]}' is signed, and is not there")
    if request.headers["x-amz-content-sha256"] != hashlib.sha256(request.body).hexdigest():
        raise Unsigned("The body is not the one that was signed: x-amz-content-sha256 does not match.")


def _check_time(stamp: str, day: str, now: datetime) -> None:
    try:
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Unsigned("Date must be in ISO-8601 'basic format'") from None
    if not stamp.startswith(day) or abs(moment - now) > _SKEW:
        raise Unsigned(f"Signature expired: {stamp} is not near {now:%Y%m%dT%H%M%SZ}")


def _signature(request: Request, names: str, stamp: str, scope: str, secret: str) -> str:
    path = "/".join(quote(segment, safe="-_.~") for segment in request.path.split("/"))
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in request.query)
    headers = [f"{name}:{' '.join(request.headers[name].split())}" for name in names.split(";")]
    canonical = [
        request.method,
        path,
        "&".join(f"{name}={value}" for name, value in pairs),
        *headers,
        "",
        names,
        hashlib.sha256(request.body).hexdigest(),
    ]
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256("\n".join(canonical).encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
