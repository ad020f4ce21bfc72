"""Opencast over HTTP: authentication, the useraction and search endpoints, and what its answers mean.

Facts: digest needs ``X-Requested-Auth: Digest`` to be challenged at all, and anonymous access (which answers 200 with
less) is suppressed only by ``X-Opencast-Matterhorn-Authorization`` up to version 8 and by ``X-Requested-Auth`` from 9
on, so both are sent. Without them a protected URL redirects to a login page.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import IO, Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError
from harvesters.http import HttpSource, read_json
from harvesters.opencast.jettison import as_dict, as_list, integer
from harvesters.privacy import protect_basic
from harvesters.retry import RetryPolicy, Transient

ACTIONS = "/usertracking/actions.json"
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
        self._skew = timedelta()
        protect_basic(user, password)
        # As bytes: Opencast reads Basic credentials as UTF-8, and requests would make Latin-1 of a text.
        name, secret = (part.encode("utf-8", "surrogateescape") for part in (user, password))
        credentials: AuthBase = HTTPDigestAuth(user, password) if auth == "digest" else HTTPBasicAuth(name, secret)
        self._http.session.auth = credentials
        self._http.session.headers["X-Requested-Auth"] = auth.capitalize()
        self._http.session.headers["X-Opencast-Matterhorn-Authorization"] = "true"

    def now(self) -> datetime:
        """The server's time: ours, corrected when its ``Date`` header is off by two seconds or more."""
        return self.clock.now() + self._skew

    def actions(self, **params: Any) -> ActionPage:
        """A page of user actions; parameters are Opencast's (``limit``, ``offset``, ``day``, ``start``, ``end``).

        Raises:
            ProtocolError: the service is not there, or answers something else.
            CredentialsRefused: a login page, 401 or 403.
            Unavailable: no good answer within the retry budget.
        """
        sent = self.now()

        def judge(response: requests.Response) -> ActionPage:
            actions = as_dict(self._json(response)).get("actions")
            if not isinstance(actions, dict):
                raise ProtocolError(f"{self.base_url}{ACTIONS} answers JSON without 'actions': is this an Opencast?")
            return ActionPage(as_list(actions.get("action")), integer(actions.get("total")), sent, self.now())

        return self._http.request("GET", self.base_url + ACTIONS, judge, params=params)

    def snapshot(self, **params: Any) -> tuple[int | None, SpooledRows]:
        """As `actions`, but an answer of any size: spooled to disk, then read row by row. Total, and the rows.

        A page of many is one statement on the server, so no row can move while it is read.
        """
        file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the reader of the rows

        def judge(response: requests.Response) -> int | None:
            self.check(response)
            file.seek(0)
            file.truncate()
            for chunk in response.iter_content(1 << 20):
                file.write(chunk)
            return _spooled_total(file)

        try:
            total = self._http.request("GET", self.base_url + ACTIONS, judge, params=params, stream=True)
        except BaseException:
            file.close()
            raise
        return total, SpooledRows(file)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON at `path`; errors as for `actions`."""
        return self._http.request("GET", self.base_url + path, self._json, params=params)

    def check(self, response: requests.Response) -> None:
        """Raise what a status, or a page where JSON should be, means."""
        status = response.status_code
        self._note_time(response)
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

    def _note_time(self, response: requests.Response) -> None:
        try:
            skew = parsedate_to_datetime(response.headers.get("Date", "")) - self.clock.now()
        except (TypeError, ValueError):
            return
        self._skew = skew if abs(skew) >= timedelta(seconds=2) else timedelta()


def _spooled_total(file: IO[bytes]) -> int | None:
    """Read a spooled answer through once, so that one that is cut off is found out before a row of it is used."""
    import ijson

    total: int | None = None
    file.seek(0)
    try:
        for prefix, event, value in ijson.parse(file):
            if prefix == "actions.total" and event in ("string", "number"):
                total = int(value)
    except (ijson.JSONError, ValueError) as error:
        raise Transient(f"sent JSON that cannot be read: {error}") from None
    return total


class SpooledRows(Iterator[Any]):
    """The rows of a spooled answer, once; close it if they are not read to the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._rows = self._read()

    def __next__(self) -> Any:
        return next(self._rows)

    def close(self) -> None:
        """Drop the file."""
        self._file.close()

    def _read(self) -> Iterator[Any]:
        import ijson

        with closing(self._file) as file:
            file.seek(0)
            events = ijson.parse(file, use_float=True)
            start = next((event for prefix, event, _ in events if prefix == "actions.action"), "")
            file.seek(0)
            path = "actions.action.item" if start == "start_array" else "actions.action"
            yield from ijson.items(file, path, use_float=True)
