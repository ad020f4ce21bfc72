"""How we show a Realtime Database who we are: the legacy secret, or a service account's token."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

import requests

from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError
from harvesters.http import HttpSource, read_json
from harvesters.privacy import excerpt, protect, protect_token
from harvesters.tokens import TokenCache

log = logging.getLogger(__name__)

SCOPES = "https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/firebase.database"
"""Both are required."""

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR = 3600
_EARLY = 300.0  # seconds before its end at which a token is renewed


class Auth(Protocol):
    """What is added to each request."""

    def params(self) -> dict[str, str]:
        """Query parameters."""

    def headers(self) -> dict[str, str]:
        """Headers."""

    def renew(self) -> bool:
        """Forget a token that was refused; False when there is nothing to renew, so that trying again is no use."""

    def close(self) -> None:
        """Close the connections to whoever hands out tokens."""


@dataclass(frozen=True)
class LegacySecret:
    """A database secret. Full rights, deprecated, and accepted as ``?auth=`` only: so it stands in URLs."""

    secret: str

    def __post_init__(self) -> None:
        protect([self.secret])

    def params(self) -> dict[str, str]:
        """``auth``."""
        return {"auth": self.secret}

    def headers(self) -> dict[str, str]:
        """None: the database does not take the secret as a header."""
        return {}

    def renew(self) -> bool:
        """A secret is what it is."""
        return False

    def close(self) -> None:
        """There are none."""


@dataclass(frozen=True)
class _Token:
    text: str
    life: float


@dataclass
class ServiceAccount:
    """A Google service account: one token, reused until five minutes before its end (a tenth of a short life).

    Args:
        info: the service-account file's content (see `credentials`).
        http: sends the request for a token.
    """

    info: dict[str, Any]
    http: HttpSource

    def __post_init__(self) -> None:
        self._tokens = TokenCache(self.http.retry.clock, self._fetch, _EARLY, f"google {self.info['client_email']}")

    def params(self) -> dict[str, str]:
        """None: a token belongs into a header, where logs do not see it."""
        return {}

    def headers(self) -> dict[str, str]:
        """``Authorization``, with a token that is still good."""
        return {"Authorization": f"Bearer {self._tokens.get().text}"}

    def renew(self) -> bool:
        """Fetch a new token for the next request."""
        self._tokens.forget()
        return True

    def close(self) -> None:
        """Close the connection to the token endpoint."""
        self.http.session.close()

    def _fetch(self) -> _Token:
        token = self.http.request("POST", self.info["token_uri"], self._judge, data=self._form())
        log.info("got a token for the service account, good for %.0f s", token.life)
        return token

    def _form(self) -> dict[str, str]:
        import jwt

        now = int(self.http.retry.clock.now().timestamp())
        claims = {
            "iss": self.info["client_email"],
            "aud": self.info["token_uri"],
            "iat": now,
            "exp": now + _HOUR,
            "scope": SCOPES,
        }
        try:
            assertion = jwt.encode(
                claims, self.info["private_key"], algorithm="RS256", headers={"kid": self.info["private_key_id"]}
            )
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise ConfigError("FIREBASE_CREDENTIALS: the private key in it cannot be used") from error
        protect_token(f"assertion {self.info['client_email']}", assertion)  # whoever has it gets a token for an hour
        return {"grant_type": GRANT, "assertion": assertion}

    def _judge(self, response: requests.Response) -> _Token:
        self.http.check_transient(response)
        answer = read_json(response)
        fields = answer if isinstance(answer, dict) else {}
        if response.status_code != 200:
            reason = excerpt(fields.get("error_description") or fields.get("error") or response.reason)
            raise CredentialsRefused(
                f"{self.http.name} gives the service account of FIREBASE_CREDENTIALS no token: {reason} Check that "
                "setting, and that this machine's clock is right."
            )
        try:
            return _Token(str(fields["access_token"]), float(fields.get("expires_in", _HOUR)))
        except (KeyError, ValueError, TypeError) as error:
            raise ProtocolError(f"{self.http.name} answered without a token") from error
