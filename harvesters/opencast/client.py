"""Opencast over HTTP: authentication, the useraction and search endpoints, and what its answers mean.

Facts: digest needs ``X-Requested-Auth: Digest`` to be challenged at all, and anonymous access (which answers 200 with
less) is suppressed only by ``X-Opencast-Matterhorn-Authorization`` up to version 8 and by ``X-Requested-Auth`` from 9
on, so both are sent. Without them a protected URL redirects to a login page.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any, TypeVar

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, Unavailable
from harvesters.http import HttpSource, read_json
from harvesters.opencast import spool
from harvesters.opencast.digest import SharedDigest
from harvesters.opencast.jettison import as_dict, as_list, integer
from harvesters.opencast.spool import SpooledRows
from harvesters.privacy import protect_basic, redact
from harvesters.retry import RetryPolicy
from harvesters.sourceclock import SourceClock

T = TypeVar("T")

log = logging.getLogger(__name__)

ACTIONS = "/usertracking/actions.json"
_CLOSE = timedelta(seconds=2)  # a Date has whole seconds
_PLUGIN = (
    "Since Opencast 13 usertracking is a plugin that is off by default: set 'opencast-plugin-usertracking = on' in "
    "etc/org.opencastproject.plugin.impl.PluginManagerImpl.cfg of the presentation node, and check that this is it."
)


class BadRequest(ProtocolError):
    """The server refuses what was asked for (400)."""


class NotThere(ProtocolError):
    """The server has nothing at that path (404)."""


@dataclass(frozen=True)
class ActionPage:
    """One answer of the useraction endpoint.

    Attributes:
        rows: the actions as they came.
        total: how many the server says there are; None when it does not.
        sent, received: when, by the server's clock as far as it is known.
    """

    rows: list[Any]
    total: int | None
    sent: datetime
    received: datetime


class OpencastClient:
    """One Opencast node.

    Args:
        base_url: ``https://host`` without a slash at the end.
        auth: ``digest`` or ``basic``.
    """

    def __init__(
        self, base_url: str, user: str, password: str, auth: str, retry: RetryPolicy, timeout: float = 60.0
    ) -> None:
        self.base_url = base_url
        self.clock = retry.clock
        self._auth = auth
        self._http = HttpSource(f"Opencast at {base_url}", retry, timeout)
        self._time = SourceClock(retry.clock)
        protect_basic(user, password)
        # As bytes: Opencast reads Basic credentials as UTF-8, and requests would make Latin-1 of a text.
        name, secret = (part.encode("utf-8", "surrogateescape") for part in (user, password))
        credentials: AuthBase = SharedDigest(user, password) if auth == "digest" else HTTPBasicAuth(name, secret)
        self._http.session.auth = credentials
        self._http.session.headers["X-Requested-Auth"] = auth.capitalize()
        self._http.session.headers["X-Opencast-Matterhorn-Authorization"] = "true"
        self._http.session.headers["Cache-Control"] = "no-cache"

    def now(self) -> datetime:
        """The server's time: ours, corrected when its ``Date`` header is off by two seconds or more."""
        ours, theirs = self.clock.now(), self._time.now()
        return ours if theirs is None or abs(theirs - ours) < _CLOSE else theirs

    def time(self) -> datetime | None:
        """What its answers say that the time is; None as long as none did."""
        return self._time.now()

    def close(self) -> None:
        """Drop the connections."""
        self._http.close()

    def actions(self, **params: Any) -> ActionPage:
        """A page of user actions; parameters are Opencast's (``limit``, ``offset``, ``day``, ``start``, ``end``).

        Raises:
            ProtocolError: the service is not there, answers something else, or a cache answers for it.
            CredentialsRefused: a login page, 401 or 403.
            Unavailable: no good answer within the retry budget.
        """
        sent = self.now()

        def judge(response: requests.Response) -> ActionPage:
            actions = as_dict(self._json(response)).get("actions")
            if not isinstance(actions, dict):
                raise ProtocolError(f"{self.base_url}{ACTIONS} answers JSON without 'actions': is this an Opencast?")
            try:
                total = integer(actions.get("total"))
            except (ValueError, OverflowError) as error:
                raise ProtocolError(f"{self.base_url}{ACTIONS} states a total that is none: {error}") from None
            return ActionPage(as_list(actions.get("action")), total, sent, self.now())

        return self._fresh(ACTIONS, judge, params)

    def snapshot(self, **params: Any) -> tuple[int | None, SpooledRows]:
        """As `actions`, but an answer of any size: spooled to disk, then read row by row. Total, and the rows.

        A page of many is one statement on the server, so no row can move while it is read.

        Raises:
            OddAnswer: it came whole, and cannot be read as a stream.
        """
        with _on_disk():
            file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the reader of the rows

        def judge(response: requests.Response) -> int | None:
            self.check(response)
            with _on_disk():
                file.seek(0)
                file.truncate()
            for chunk in response.iter_content(1 << 20):
                with _on_disk():
                    file.write(chunk)
            with _on_disk():
                file.flush()
            return spool.total(file)

        try:
            total = self._fresh(ACTIONS, judge, params, stream=True)
        except BaseException:
            with suppress(OSError):
                file.close()
            raise
        return total, SpooledRows(file)

    def _fresh(
        self, path: str, judge: Callable[[requests.Response], T], params: Mapping[str, Any] | None, **arguments: Any
    ) -> T:
        """What `judge` makes of an answer that no cache has kept."""
        cache = ""

        def both(response: requests.Response) -> T:
            nonlocal cache
            judged = judge(response)
            cache = cache_of(response.headers)
            return judged

        for _ in range(2):
            judged = self._http.request("GET", self.base_url + path, both, params=params, **arguments)
            if not cache:
                return judged
            log.warning("%s answered from a cache (%s); asking again", self.base_url, cache)
        raise ProtocolError(
            f"{self.base_url}{path} is answered from a cache, although no-cache was asked for ({cache}), so that "
            f"what is new would be missed. Have whatever stands before Opencast not cache {path}, or point "
            "MATTERHORN_ENGAGE_HOST (or MATTERHORN_ADMIN_HOST) at the node itself."
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON at `path`; errors as for `actions`."""
        return self._fresh(path, self._json, params)

    def check(self, response: requests.Response) -> None:
        """Raise what a status, or a page where JSON should be, means."""
        status = response.status_code
        self._time.hear(response.headers.get("Date"))
        if 300 <= status < 400:
            raise self._redirected(response.headers.get("Location", ""))
        if status in (401, 403, 419):
            raise CredentialsRefused(f"{self.base_url} answered {status}: {self._advice(response)}")
        self._http.check_transient(response)
        if status == 404:
            path = response.request.path_url.split("?")[0]
            advice = _PLUGIN if path.endswith(ACTIONS) else "Check that this is the right node of Opencast."
            raise NotThere(f"{self.base_url}{path} is not there (404). {advice}")
        if status != 200:
            refused = BadRequest if status == 400 else ProtocolError
            raise refused(f"{self.base_url} answered {status} to {response.request.path_url}")
        if "html" in response.headers.get("Content-Type", "").lower():
            raise CredentialsRefused(
                f"{self.base_url} answered with a web page where JSON was expected, most likely a login page: "
                f"{self._advice(response)}"
            )

    def _json(self, response: requests.Response) -> Any:
        self.check(response)
        if response.content.lstrip()[:1] == b"<":
            raise CredentialsRefused(
                f"{self.base_url} answered with a page where JSON was expected: {self._advice(response)}"
            )
        return read_json(response)

    def _advice(self, response: requests.Response) -> str:
        offered = response.headers.get("WWW-Authenticate", "")
        if self._auth == "digest" and offered.lower().startswith("basic"):
            return "it offers Basic authentication only; set OPENCAST_AUTH=basic"
        advice = "check MATTERHORN_REST_USER and MATTERHORN_REST_PASS, and that this user may read user actions"
        if self._auth == "digest":
            advice += ". Digest works only for the system account; for other users set OPENCAST_AUTH=basic"
        return advice

    def _redirected(self, location: str) -> ConfigError | CredentialsRefused:
        target = location.split("?")[0].split(";")[0]
        if "login" in target or not target:
            return CredentialsRefused(
                f"{self.base_url} redirects to its login page: check MATTERHORN_REST_USER and MATTERHORN_REST_PASS "
                f"(OPENCAST_AUTH is {self._auth})"
            )
        return ConfigError(
            f"{self.base_url} redirects to {target}; set the host (MATTERHORN_ENGAGE_HOST) to where it leads"
        )


def cache_of(headers: Mapping[str, str]) -> str:
    """How a cache names itself that kept this answer for more than a second; "" when none did."""
    ages = [int(part) for part in headers.get("Age", "").split(",") if part.strip().isdecimal()]
    if max(ages, default=0) <= 1:
        return ""
    named = [f"{name}: {headers[name]}" for name in ("Via", "X-Cache", "X-Served-By", "Server") if name in headers]
    return redact(", ".join([f"Age: {max(ages)}", *named]))[:300]


@contextmanager
def _on_disk() -> Iterator[None]:
    """Say where there is no room for an answer, or no right to write."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"an answer cannot be spooled to {_directory()}: {error.strerror or error}. Make room there, or have "
            "TMPDIR name another directory. Nothing is lost: run again."
        ) from error


def _directory() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "any directory for temporary files"
