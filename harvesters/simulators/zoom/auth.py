"""Zoom's token endpoint and the check of a bearer: Server-to-Server OAuth, and the JWT apps that ended in 2023."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import jwt as pyjwt

from harvesters.simulators.base import Request, Response
from harvesters.simulators.zoom.errors import ZoomError

GRANULAR = (
    "report:read:list_users:admin",
    "report:read:meeting:admin",
    "report:read:list_meeting_participants:admin",
    "report:read:user:admin",
    "dashboard:read:list_meetings:admin",
    "dashboard:read:list_meeting_participants:admin",
    "meeting:read:list_meetings:admin",
    "meeting:read:list_past_instances:admin",
    "meeting:read:past_meeting:admin",
    "meeting:read:list_past_participants:admin",
)
"""The scopes of a new app that may do all that the simulator answers."""
CLASSIC = ("report:read:admin", "dashboard_meetings:read:admin", "meeting:read:admin", "user:read:admin")
"""The same for an older app."""

INVALID_CLIENT = {"reason": "Invalid client_id or client_secret", "error": "invalid_client"}


@dataclass(frozen=True)
class Scope:
    """What a route asks for: the classic scope or the granular one."""

    classic: str
    granular: str

    def check(self, granted: frozenset[str], status: int = 400) -> None:
        """Refuse with 4711 and the name that is missing, in the vocabulary of the app."""
        if granted.isdisjoint((self.classic, self.granular)):
            classic_app = any(name.count(":") == 2 for name in granted)
            missing = self.classic if classic_app else self.granular
            raise ZoomError(status, 4711, f"Invalid access token, does not contain scopes:[{missing}].")


@dataclass(frozen=True)
class _Token:
    expires: float
    grant: str


class TokenOffice:
    """Issues tokens and checks them.

    `single_token` lets a new token invalidate the older ones. `jwt` accepts tokens signed (HS256) with `jwt_secret` by
    `jwt_key`; otherwise such a token is told that JWT apps are over, with HTTP status `refusal_status`.
    """

    def __init__(
        self,
        *,
        account_id: str,
        client_id: str,
        client_secret: str,
        scopes: Iterable[str],
        life: float,
        now: Callable[[], float],
        single_token: bool,
        jwt: bool,
        jwt_key: str,
        jwt_secret: str,
        refusal_status: int,
    ) -> None:
        self.account_id = account_id
        self.client_id = client_id
        self.client_secret = client_secret
        self.scopes = tuple(scopes)
        self.life = life
        self.issued = 0
        """How many tokens were given out."""
        self._now = now
        self._single = single_token
        self._jwt = (jwt_key, jwt_secret) if jwt else None
        self._refusal_status = refusal_status
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()

    def issue(self, request: Request, api_url: str) -> Response:
        """Answer ``POST /oauth/token``: HTTP Basic for the client, the grant in the form body and nowhere else."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if scheme.lower() != "basic" or encoded.strip() != expected:
            return Response.json(INVALID_CLIENT, 400 if request.headers.get("authorization") else 401)
        form = request.form()
        grant = form.get("grant_type", "")
        if not grant or (grant == "account_credentials" and "account_id" not in form):
            missing = "account_id" if grant else "grant_type"
            return _oauth_error("invalid_request", f"Missing parameter {missing}", 4706)
        if grant not in ("account_credentials", "client_credentials"):
            return _oauth_error("unsupported_grant_type", f"unsupported grant type: {grant}", 4705)
        if grant == "account_credentials" and form["account_id"] != self.account_id:
            return _oauth_error("invalid_request", "Invalid account_id", 4704)
        return Response.json(
            {
                "access_token": self._new_token(grant),
                "token_type": "bearer",
                "expires_in": int(self.life),
                "scope": " ".join(self.scopes),
                "api_url": api_url,
            }
        )

    def check(self, request: Request) -> frozenset[str]:
        """The scopes of the request's bearer; `ZoomError` 124 or 200 when it is none."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        bearer = bearer.strip()
        if scheme.lower() != "bearer" or not bearer:
            raise ZoomError(401, 124, "Invalid access token.")
        with self._lock:
            token = self._tokens.get(bearer)
        if token is not None:
            if token.grant != "account_credentials":
                raise ZoomError(400, 200, "Invalid api key or secret.")
            if token.expires <= self._now():
                raise ZoomError(401, 124, "Access token is expired.")
            return frozenset(self.scopes)
        if bearer.count(".") == 2:
            return self._check_jwt(bearer)
        raise ZoomError(401, 124, "Invalid access token.")

    def revoke(self) -> None:
        """Forget every token, as when an administrator regenerates the secret."""
        with self._lock:
            self._tokens.clear()

    def _new_token(self, grant: str) -> str:
        text = secrets.token_urlsafe(32)
        with self._lock:
            if self._single:
                self._tokens.clear()
            self._tokens[text] = _Token(self._now() + self.life, grant)
            self.issued += 1
        return text

    def _check_jwt(self, bearer: str) -> frozenset[str]:
        if self._jwt is None:
            raise ZoomError(self._refusal_status, 200, "Account does not enabled REST API.")
        key, secret = self._jwt
        try:
            # The clock is the simulator's, so the expiry is compared here and not by the library.
            claims = pyjwt.decode(
                bearer,
                secret,
                algorithms=["HS256"],
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except pyjwt.InvalidTokenError as error:
            raise ZoomError(401, 124, "Invalid access token.") from error
        if claims.get("iss") != key:
            raise ZoomError(401, 124, "Invalid access token.")
        if float(claims.get("exp", 0)) <= self._now():
            raise ZoomError(401, 124, "Access token is expired.")
        return frozenset(CLASSIC + GRANULAR)


def _oauth_error(error: str, reason: str, code: int) -> Response:
    return Response.json({"reason": reason, "error": error, "errorCode": code}, 400)
