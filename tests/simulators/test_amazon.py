"""The simulated OpenSearch Service lets nothing pass that Amazon would not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from harvesters.simulators.amazon import signature
from harvesters.simulators.amazon.signature import Key, Unsigned, check
from harvesters.simulators.base import Request

NOW = datetime(2026, 2, 13, 9, 0, tzinfo=UTC)
KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = {KEY: Key(SECRET, "a-token", NOW + timedelta(hours=1))}
NAMES = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token"
SCOPE = "20260213/eu-central-1/es/aws4_request"


def signed(names: str = NAMES, **changed: str) -> Request:
    """A request that is signed as it should be, before something in it is `changed`."""
    headers = {
        "host": "search-x.eu-central-1.es.amazonaws.com",
        "connection": "keep-alive",
        "x-amz-content-sha256": hashlib.sha256(b"{}").hexdigest(),
        "x-amz-date": "20260213T090000Z",
        "x-amz-security-token": "a-token",
    }
    request = Request("POST", "/x-*/_search", (("filter_path", "a,b.*"),), headers, b"{}")
    made = signature._signature(request, names, headers["x-amz-date"], SCOPE, SECRET)
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE}, SignedHeaders={names}, Signature={made}"
    return replace(request, headers={**headers, **{name.replace("_", "-"): value for name, value in changed.items()}})


def test_the_example_that_amazon_publishes() -> None:
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    request = Request("GET", "/", (), headers, b"")
    scope = "20150830/us-east-1/service/aws4_request"
    made = signature._signature(request, "host;x-amz-date", headers["x-amz-date"], scope, SECRET)
    assert made == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"


def test_what_is_signed_passes() -> None:
    check(signed(), KEYS, "es", "eu-central-1", NOW)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (lambda: signed(authorization=""), "Missing Authentication Token"),
        (lambda: signed(authorization="Basic eDp5"), "Authorization header is not as it should be"),
        (lambda: signed(host="elsewhere"), "does not match"),
        (lambda: replace(signed(), path="/y"), "does not match"),
        (lambda: replace(signed(), query=(("filter_path", "a"),)), "does not match"),
        (lambda: replace(signed(), method="PUT"), "does not match"),
        (lambda: replace(signed(), body=b"{ }"), "x-amz-content-sha256 does not match"),
        (lambda: signed(x_amz_security_token="another"), "token included in the request is invalid"),
        (lambda: signed("host;x-amz-date;x-amz-security-token"), "'x-amz-content-sha256' must be a signed header"),
        (lambda: signed(f"connection;{NAMES}"), "'connection' did not arrive"),
    ],
)
def test_what_is_not_as_it_was_signed_does_not(request_: Callable[[], Request], said: str) -> None:
    with pytest.raises(Unsigned, match=said):
        check(request_(), KEYS, "es", "eu-central-1", NOW)


def test_other_places_times_and_credentials_that_have_ended() -> None:
    for service, region in (("aoss", "eu-central-1"), ("es", "us-east-1")):
        with pytest.raises(Unsigned, match="scoped"):
            check(signed(), KEYS, service, region, NOW)
    with pytest.raises(Unsigned, match="Signature expired"):
        check(signed(), KEYS, "es", "eu-central-1", NOW + timedelta(minutes=6))
    with pytest.raises(Unsigned, match="is expired"):
        check(signed(), KEYS, "es", "eu-central-1", NOW + timedelta(hours=1))
    with pytest.raises(Unsigned, match="invalid"):
        check(signed(), {}, "es", "eu-central-1", NOW)
