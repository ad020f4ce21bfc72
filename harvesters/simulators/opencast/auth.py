"""Who is asking: Opencast's filter chain of Digest, Basic, session cookie and anonymous, and its refusals.

Digest is Spring's: the nonce is ``base64(expiryMillis:md5(expiryMillis:key))``, stateless, the request count is not
checked, and ``stale`` is said only to whom had the password right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.request import parse_http_list, parse_keqv_list

from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.table import millis

Auth = Literal["digest", "basic", "both"]

COOKIE = "JSESSIONID"


@dataclass(frozen=True)
class Caller:
    """Who passed the gate: a user or (empty) the anonymous one; `cookie` is a new session to hand out."""

    user: str = ""
    cookie: str = ""


class Refused(Exception):
    """The request ends here with `response`."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class Gate:
    """Lets a request pass as a `Caller` or raises `Refused`. The attributes may be changed while it serves.

    forbidden: everyone who authenticates lacks the role (403). accept_sessions: False ignores the cookie.
    """

    def __init__(
        self,
        version: int,
        user: str,
        password: str,
        auth: Auth,
        anonymous: bool,
        nonce_validity: float,
        now: Callable[[], datetime],
    ) -> None:
        self.version = version
        self.user = user
        self.password = password
        self.schemes = {"digest", "basic"} if auth == "both" else {auth}
        self.anonymous = anonymous
        self.nonce_validity = nonce_validity
        self.now = now
        self.key = "opencast"
        self.forbidden = False
        self.accept_sessions = True
        self.sessions_created = 0
        self._sessions: set[str] = set()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def realm(self) -> str:
        """The realm that the challenges name."""
        return "Opencast Matterhorn" if self.version < 2 else "Opencast"

    @property
    def login_page(self) -> str:
        """Where a browser is sent to log in."""
        return "/admin-ng/login.html" if 2 <= self.version <= 13 else "/login.html"

    def admit(self, request: Request, public: bool) -> Caller:
        """The caller of `request`; `public` paths are open to anonymous callers, unless a header forbids it."""
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        scheme = scheme.lower()
        in_session = self.accept_sessions and self._session(request) in self._sessions
        if scheme in self.schemes:
            if scheme == "digest":
                self._check_digest(request.method, credentials)
            else:
                self._check_basic(credentials)
            return self._authenticated("" if in_session else self._new_session())
        if in_session:
            return self._authenticated("")
        if public and self.anonymous and not self._anonymous_suppressed(request):
            return Caller()
        raise Refused(self._entry_point(request))

    def expire_sessions(self) -> None:
        """Forget every session, as a restart does."""
        self._sessions.clear()

    def nonce(self) -> str:
        """A fresh nonce."""
        expiry = millis(self.now()) + int(self.nonce_validity * 1000)
        return base64.b64encode(f"{expiry}:{_md5(f'{expiry}:{self.key}')}".encode()).decode()

    def _authenticated(self, cookie: str) -> Caller:
        if self.forbidden:
            raise Refused(Response.html(403, "<h1>Access denied</h1>"))
        return Caller(self.user, cookie)

    def _session(self, request: Request) -> str:
        for pair in request.headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == COOKIE:
                return value
        return ""

    def _new_session(self) -> str:
        with self._lock:
            self.sessions_created += 1
            session = f"node0{_md5(f'{self.key}:{next(self._numbers)}')[:24]}"
            self._sessions.add(session)
        return session

    def _anonymous_suppressed(self, request: Request) -> bool:
        return ("x-requested-auth" if self.version >= 9 else "x-opencast-matterhorn-authorization") in request.headers

    def _entry_point(self, request: Request) -> Response:
        wanted = request.headers.get("x-requested-auth", "")
        if wanted == "Digest" and "digest" in self.schemes:
            return self._digest_challenge()
        if wanted == "Basic" and "basic" in self.schemes and self.version >= 13:
            return self._basic_challenge()
        if request.headers.get("x-requested-with") == "XMLHttpRequest" and self.version >= 2:
            return Response(419)
        host = request.headers.get("host", "localhost")
        return Response(302, headers={"Location": f"http://{host}{self.login_page}"})

    def _digest_challenge(self, stale: bool = False) -> Response:
        challenge = f'Digest realm="{self.realm}", qop="auth", nonce="{self.nonce()}"'
        challenge += ', stale="true"' if stale else ""
        return Response.html(401, "<h2>HTTP ERROR 401</h2>", WWW_Authenticate=challenge)

    def _basic_challenge(self) -> Response:
        return Response.html(401, "<h2>HTTP ERROR 401</h2>", WWW_Authenticate=f'Basic realm="{self.realm}"')

    def _check_basic(self, credentials: str) -> None:
        try:
            text = base64.b64decode(credentials, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
        if text != f"{self.user}:{self.password}":
            raise Refused(self._basic_challenge())

    def _check_digest(self, method: str, credentials: str) -> None:
        try:
            fields = parse_keqv_list(parse_http_list(credentials))
        except (ValueError, IndexError):
            fields = {}
        given = {"username", "realm", "nonce", "uri", "response"} <= fields.keys()
        right = given and fields["username"] == self.user and fields["realm"] == self.realm
        expiry = self._expiry(fields["nonce"]) if right else None
        if expiry is None or fields["response"] != self._expected(method, fields):
            raise Refused(self._digest_challenge())
        if expiry < millis(self.now()):
            raise Refused(self._digest_challenge(stale=True))

    def _expiry(self, nonce: str) -> int | None:
        """When `nonce` ends, in epoch milliseconds; None if it is not one of ours."""
        try:
            expiry, _, signature = base64.b64decode(nonce, validate=True).decode().partition(":")
            return int(expiry) if signature == _md5(f"{expiry}:{self.key}") else None
        except ValueError:  # binascii's and Unicode's errors are ValueErrors too
            return None

    def _expected(self, method: str, fields: dict[str, str]) -> str | None:
        """The only right ``response``; None when there can be none, because a field that qop needs is missing."""
        first = _md5(f"{self.user}:{self.realm}:{self.password}")
        second = _md5(f"{method}:{fields['uri']}")
        if "qop" not in fields:
            return _md5(f"{first}:{fields['nonce']}:{second}")
        if fields["qop"] != "auth" or not {"nc", "cnonce"} <= fields.keys():
            return None
        return _md5(f"{first}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth:{second}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
