"""One connection to the streaming interface of a Realtime Database."""

from __future__ import annotations

import http.client
import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests
import urllib3

from harvesters.errors import ProtocolError
from harvesters.firebase import exact
from harvesters.firebase.client import FirebaseClient, TokenRenewed
from harvesters.firebase.keys import Path
from harvesters.firebase.sse import EventParser, ServerEvent
from harvesters.privacy import redact
from harvesters.retry import Transient

log = logging.getLogger(__name__)

QUIET = 75.0
"""Seconds without a byte after which a connection counts as dead: keep-alives come about every 30."""

_REDIRECTS = 5
_BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, requests.RequestException, OSError)


class StreamEnded(Exception):
    """The stream is over; `renew`: because its token is."""

    def __init__(self, reason: str, renew: bool = False) -> None:
        super().__init__(reason)
        self.renew = renew


@dataclass(frozen=True)
class Edit:
    """Something that happened in the database: `data` is now at `path` (below the listened node).

    Attributes:
        patch: only the children that `data` names have changed.
    """

    path: Path
    data: Any
    patch: bool = False

    @property
    def whole(self) -> bool:
        """True when `data` is all that is listened to: at the beginning, and when the node is written anew."""
        return not self.path and not self.patch


@dataclass
class EventStream:
    """Listens to a node; a context manager that closes the connection."""

    client: FirebaseClient
    path: Path
    params: Mapping[str, str]
    _response: requests.Response | None = None
    _parser: EventParser = field(default_factory=EventParser)

    def __enter__(self) -> EventStream:
        retry, name = self.client.http.retry, f"{self.client.http.name} (stream)"
        try:
            self._response = retry.call(self._open, name)
        except TokenRenewed:
            self._response = retry.call(lambda: self._open(renewable=False), name)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._response is not None:
            self._response.close()

    def hang_up(self) -> None:
        """End the connection from another thread than the one that reads, which hears of it at once."""
        connection: Any = self._response.raw if self._response is not None else None
        for name in ("_fp", "fp", "raw", "_sock"):  # closing it would wait for the reader
            connection = getattr(connection, name, None)
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def edits(self) -> Iterator[list[Edit]]:
        """What came together; an empty list for a keep-alive.

        Raises:
            StreamEnded: it was cancelled, revoked, closed or cut off.
        """
        assert self._response is not None
        while True:
            try:
                chunk = self._response.raw.read1(1 << 16)
            except _BROKEN as error:
                raise StreamEnded(f"the connection broke: {redact(str(error))}") from None
            if not chunk:
                raise StreamEnded("the server closed it")
            found: list[Edit] = []
            events = list(self._parser.feed(chunk))
            for event in events:
                try:
                    edit = _edit(event)
                except StreamEnded:
                    if found:
                        yield found
                    raise
                if edit is not None:
                    found.append(edit)
            if events:
                yield found

    def _open(self, renewable: bool = True) -> requests.Response:
        url = self.client.url(self.path)
        params = {**self.client.fixed, **self.params, **self.client.auth.params()}
        for _ in range(_REDIRECTS + 1):
            response = self._send(url, params)
            if response.status_code not in (301, 302, 303, 307, 308):
                return self._judged(response, renewable)
            with response:
                url, params = self._target(url, response, params)
        raise ProtocolError(f"{self.client.http.name} redirects in circles")

    def _send(self, url: str, params: Mapping[str, str]) -> requests.Response:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", **self.client.auth.headers()}
        timeout = (min(10.0, self.client.http.timeout), max(QUIET, self.client.http.timeout))
        try:
            return self.client.http.session.get(
                url, params=dict(params), headers=headers, stream=True, timeout=timeout, allow_redirects=False
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Transient(redact(f"no stream: {error}")) from None

    def _judged(self, response: requests.Response, renewable: bool) -> requests.Response:
        if response.status_code == 200:
            self.client.clock.hear(response.headers.get("Date"))
            return response
        with response:
            self.client.judge_status(response, self.path, renewable)
        raise ProtocolError(f"{self.client.http.name} answered {response.status_code} when asked for a stream")

    def _target(self, url: str, response: requests.Response, params: dict[str, str]) -> tuple[str, dict[str, str]]:
        """Where a redirect leads: our credentials go along, so never from https to http."""
        target = urlsplit(urljoin(url, response.headers.get("Location", "")))
        if target.scheme != urlsplit(url).scheme and target.scheme != "https":
            raise ProtocolError(f"{self.client.http.name} redirects to {target.scheme}://{target.netloc}: not followed")
        log.debug("the stream is at %s", target.netloc)
        return target._replace(query="", fragment="").geturl(), {**params, **dict(parse_qsl(target.query))}


def _edit(event: ServerEvent) -> Edit | None:
    """What an event tells of the data; None for a keep-alive and what we do not know."""
    if event.name == "cancel":
        raise StreamEnded("the database cancelled it: its rules no longer let us read, or there is too much to send")
    if event.name == "auth_revoked":
        raise StreamEnded("the token is no longer valid", renew=True)
    if event.name not in ("put", "patch"):
        return None
    try:
        message = exact.loads(event.data.encode(), keys=2)
        path = tuple(key for key in message["path"].split("/") if key)
        return Edit(path, message["data"], event.name == "patch")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StreamEnded(f"an event could not be read ({type(error).__name__})") from None
