"""Who may read the simulated database: the legacy secret, and a Google service account with its token endpoint.

The endpoint answers as ``https://oauth2.googleapis.com/token`` does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harvesters.simulators.base import Request, Response

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = frozenset(
    {"https://www.googleapis.com/auth/userinfo.email", "https://www.googleapis.com/auth/firebase.database"}
)
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
"""What Google's own library signs for, wherever the token URI points."""
_HOUR = 3600
_TOO_LONG = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


class ServiceAccount:
    """A service account, and the bearer tokens that were issued to it."""

    def __init__(self, token_uri: str, now: Callable[[], float], token_life: int) -> None:
        self.email = "harvest@buddyup.iam.gserviceaccount.com"
        self.key_id = secrets.token_hex(20)
        self.token_uri = token_uri
        self.token_life = token_life
        self._now = now
        self._expiry: dict[str, float] = {}

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def info(self) -> dict[str, str]:
        """The service-account file, as the Firebase console hands it out."""
        private_key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "buddyup",
            "private_key_id": self.key_id,
            "private_key": private_key.decode(),
            "client_email": self.email,
            "client_id": "100000000000000000001",
            "token_uri": self.token_uri,
        }

    def token(self, request: Request) -> Response:
        """Answer a request for a bearer token."""
        form = request.form()
        if form.get("grant_type") != GRANT:
            return _refuse("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        try:
            claims = self._claims(form.get("assertion", ""))
        except _Refused as refused:
            return _refuse(refused.error, refused.description)
        token = "ya29." + secrets.token_urlsafe(24)
        self._expiry[token] = self._now() + self.token_life
        scope = str(claims["scope"])
        return Response.json(
            {"access_token": token, "expires_in": self.token_life, "scope": scope, "token_type": "Bearer"}
        )

    def expire_tokens(self) -> None:
        """Let every token issued so far be too old."""
        self._expiry = dict.fromkeys(self._expiry, 0.0)

    def error(self, token: str) -> str | None:
        """Why `token` does not open the database; None if it does."""
        if token not in self._expiry:
            return "Unauthorized request."
        return None if self._now() < self._expiry[token] else "Auth token is expired"

    def _claims(self, assertion: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(assertion)
            claims = jwt.decode(
                assertion,
                self._key.public_key(),
                algorithms=["RS256"],
                options={
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_iss": False,
                },
            )
        except jwt.PyJWTError:
            raise _Refused("invalid_grant", "Invalid JWT Signature.") from None
        if header.get("kid") != self.key_id:
            raise _Refused("invalid_grant", "Invalid JWT Signature.")
        self._check(claims)
        return dict(claims)

    def _check(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") != self.email:
            raise _Refused("invalid_grant", "Invalid grant: account not found")
        if claims.get("aud") not in (self.token_uri, GOOGLE_AUDIENCE):
            raise _Refused("invalid_grant", "Invalid JWT: Failed audience check.")
        issued, expires, now = claims.get("iat"), claims.get("exp"), self._now()
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise _Refused("invalid_grant", _TOO_LONG)
        if not (issued <= now + 60 and now < expires <= issued + _HOUR):
            raise _Refused("invalid_grant", _TOO_LONG)
        if set(str(claims.get("scope", "")).split()) != SCOPES:
            raise _Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")


class Gate:
    """Decides on each request. `emulator`: ``Authorization: Bearer owner`` opens everything, as it does in Google's."""

    def __init__(self, secret: str, account: ServiceAccount, *, public: bool, emulator: bool) -> None:
        self._secret = secret
        self._account = account
        self._public = public
        self._emulator = emulator

    def error(self, request: Request) -> str | None:
        """The text of the 401 for `request`; None lets it in. The legacy secret counts as ``auth=`` only."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._emulator and bearer == "owner":
            return None
        token = bearer if scheme.lower() == "bearer" else request.param("access_token")
        if token:
            return self._account.error(token)
        credential = request.param("auth")
        if credential:
            return (
                None
                if secrets.compare_digest(credential.encode(), self._secret.encode())
                else _not_the_secret(credential)
            )
        return None if self._public else "Permission denied"


class _Refused(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


def _refuse(error: str, description: str) -> Response:
    return Response.json({"error": error, "error_description": description}, 400)


def _not_the_secret(credential: str) -> str:
    """What the server says to `credential`: only something with the three parts of a JWT can be parsed."""
    return "Unauthorized request." if credential.count(".") == 2 else "Could not parse auth token."
