"""An end to answers that dribble: timeouts of a socket count from byte to byte, and so never end one that goes on.

`requests` waits so long for each part of an answer. A server, or a broken proxy before it, that sends a byte every few
seconds keeps such a wait for hours, in the head as well as in the body. Here the whole answer has a time: it begins
with the first byte, and grows with what has come, so that a large answer on a slow line is not cut off.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

SLOWEST = 64 * 1024
"""Bytes a second from which on an answer may take as long as it takes."""


class Patience:
    """How many seconds an answer of few bytes may take from its first byte on; `lost` once one has taken longer."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.lost = False


_now = threading.local()


@contextmanager
def having(patience: Patience) -> Iterator[None]:
    """Answers that are asked for in this thread, in this block, have `patience`."""
    _now.patience = patience
    try:
        yield
    finally:
        _now.patience = None


class _Watched(io.RawIOBase):
    """Reads a socket with its own timeout, or with what is left of the answer's time where that is less."""

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self._raw = sock.makefile("rb", buffering=0)
        self._socket = sock
        self._patience = patience
        self._end: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """As a socket's file; raises `TimeoutError` when the answer has taken too long."""
        count = self._raw.readinto(buffer) if self._end is None else self._in_time(buffer, self._end)
        if self._end is None:
            self._end = time.monotonic() + self._patience.seconds
        self._end += (count or 0) / SLOWEST
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()

    def _in_time(self, buffer: Any, end: float) -> int | None:
        own, left = self._socket.gettimeout(), end - time.monotonic()
        if left > 0 and own is not None and own <= left:
            return self._raw.readinto(buffer)
        try:
            if left <= 0:
                raise TimeoutError("the answer dribbles")
            self._socket.settimeout(left)
            return self._raw.readinto(buffer)
        except TimeoutError:
            self._patience.lost = True
            raise
        finally:
            self._socket.settimeout(own)


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        patience: Patience | None = getattr(_now, "patience", None)
        if patience is not None:
            plain, self.fp = self.fp, io.BufferedReader(_Watched(sock, patience))
            plain.close()


class _Http(HTTPConnection):
    response_class = _Response


class _Https(HTTPSConnection):
    response_class = _Response


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class PatientAdapter(HTTPAdapter):
    """`requests`' adapter, for a session whose answers may be given a `Patience`."""

    def init_poolmanager(self, *args: Any, **named: Any) -> None:
        """As `requests` does, with connections whose answers are watched."""
        super().init_poolmanager(*args, **named)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **named: Any) -> Any:
        """As `requests` does, with such connections through a proxy too."""
        manager = super().proxy_manager_for(*args, **named)
        if type(manager) is ProxyManager:  # SOCKS has connections of its own
            manager.pool_classes_by_scheme = _POOLS
        return manager
