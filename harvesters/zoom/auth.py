"""Who we are to Zoom: a Server-to-Server OAuth app, or one of the JWT apps that Zoom ended in September 2023."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import requests
from requests.auth import HTTPBasicAuth

from harvesters.clock import Clock
from harvesters.errors import ConfigError, CredentialsRefused
from harvesters.http import HttpSource, read_json
from harvesters.privacy import excerpt, protect, protect_basic
from harvesters.retry import RetryPolicy
from harvesters.sourceclock import SourceClock
from harvesters.tokens import TokenCache

_MARGIN = 60.0  # seconds before its end from which on a token is not used any more
_JWT_LIFE = 120.0
_ENDED = (
    "Zoom ended JWT apps in September 2023. Make a Server-to-Server OAuth app in the Zoom App Marketplace and set "
    "ZOOM_ACCOUNT_ID, ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET instead of ZOOM_KEY and ZOOM_SECRET."
)


@dataclass(frozen=True)
class Token:
    """A bearer token; `scopes` is None where nobody says what it may do, `life` in seconds."""

    text: str
    life: float
    scopes: frozenset[str] | None = None
    api_url: str = ""


class Auth(Protocol):
    """Gives the token to send."""

    @property
    def advice(self) -> str:
        """What to do when Zoom does not take the token."""

    def token(self) -> Token:
        """A token that is still good.

        Raises:
            CredentialsRefused: Zoom gives us none.
            Unavailable: Zoom does not answer.
        """

    def renew(self, refused: str) -> None:
        """Zoom did not take the token `refused`: have the next be another."""

    def time(self) -> datetime | None:
        """What time it is at Zoom; None where whoever gives the token does not say."""

    def close(self) -> None:
        """Close connections."""


class OAuth:
    """Server-to-Server OAuth. There is no refresh token: one asks again. One token is kept per process."""

    def __init__(
        self,
        account_id: str,
        client_id: str,
        client_secret: str,
        url: str,
        retry: RetryPolicy,
        timeout: float = 60.0,
    ) -> None:
        self.url = url
        self.clock = retry.clock
        self._form = {"grant_type": "account_credentials", "account_id": account_id}
        self._basic = HTTPBasicAuth(client_id.encode(), client_secret.encode())
        self._http = HttpSource(f"Zoom's OAuth at {url}", retry, timeout)
        self._tokens = TokenCache(self.clock, self._fetch, _MARGIN, f"zoom {client_id}")
        self._date = SourceClock(self.clock)
        protect_basic(client_id, client_secret)

    @property
    def advice(self) -> str:
        """What to check."""
        return (
            "check that the Server-to-Server OAuth app is activated, and that ZOOM_ACCOUNT_ID, ZOOM_CLIENT_ID and "
            "ZOOM_CLIENT_SECRET are its own"
        )

    def token(self) -> Token:
        """The token in hand, or a new one shortly before it ends."""
        return self._tokens.get()

    def renew(self, refused: str) -> None:
        """Forget the token, unless another thread has done so."""
        self._tokens.forget(refused)

    def time(self) -> datetime | None:
        """By the ``Date`` of the answer that brought the token."""
        self.token()
        return self._date.now()

    def close(self) -> None:
        """Close the connection to where tokens come from."""
        self._http.close()

    def _fetch(self) -> Token:
        return self._http.request("POST", self.url, self._judge, data=self._form, auth=self._basic)

    def _judge(self, response: requests.Response) -> Token:
        self._http.check_transient(response)
        if 300 <= response.status_code < 400:
            raise ConfigError(f"{self.url} redirects; set ZOOM_OAUTH_URL to where tokens come from")
        body = read_json(response) if response.content.lstrip()[:1] == b"{" else {}
        text = body.get("access_token")
        if response.status_code != 200 or not isinstance(text, str) or not text:
            reason = body.get("reason") or body.get("errorMessage") or body.get("message") or ""
            error = excerpt(" ".join(str(part) for part in (body.get("error"), reason) if part))
            raise CredentialsRefused(
                f"{self.url} gives no token ({response.status_code} {error}".rstrip() + f"): {self.advice}"
            )
        self._date.hear(response.headers.get("Date"))
        scope = body.get("scope")
        return Token(
            text,
            _seconds(body.get("expires_in")),
            frozenset(scope.split()) if isinstance(scope, str) and scope.strip() else None,
            str(body.get("api_url") or "").rstrip("/"),
        )


class Jwt:
    """The key and secret of a JWT app, for servers that still take them; HS256 over the secret as it is."""

    def __init__(self, key: str, secret: str, clock: Clock) -> None:
        self.clock = clock
        self._key = key
        self._secret = secret
        self._tokens = TokenCache(clock, self._sign, 0.0, f"zoom {key}")
        protect([secret])

    @property
    def advice(self) -> str:
        """What to do instead."""
        return _ENDED

    def token(self) -> Token:
        """A token signed by ourselves, used for half of its life."""
        return self._tokens.get()

    def renew(self, refused: str) -> None:
        """Sign another."""
        self._tokens.forget()

    def time(self) -> datetime | None:
        """Nobody was asked."""
        return None

    def close(self) -> None:
        """There is no connection."""

    def _sign(self) -> Token:
        import jwt

        claims = {"iss": self._key, "exp": int(self.clock.now().timestamp() + _JWT_LIFE)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Zoom's secrets were shorter than PyJWT likes
            text = jwt.encode(claims, self._secret, algorithm="HS256")
        return Token(text, _JWT_LIFE / 2)


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return 3600.0
    return max(1.0, seconds) if math.isfinite(seconds) else 3600.0
