"""A way to a real Elasticsearch that counts the requests that are pending, and treats some of them badly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from enum import Enum

from tests.way import Handler, Way


class Fate(Enum):
    """What becomes of a request."""

    PASS = "passed on"
    BUSY = 429
    UNAVAILABLE = 503
    LOST = "the connection is cut, and nothing passed on"
    UNHEARD = "the connection is cut when Elasticsearch has done it"


class Strained(Way):
    """Of the requests that write documents the `fate` of the first, second … is decided by a function of its number.

    Attributes:
        pending, most: how many were under way at once, now and at most.
        numbers: of those that came.
    """

    def __init__(self, target: str, fate: Callable[[int], Fate] = lambda number: Fate.PASS) -> None:
        super().__init__(target, lambda *_: None, False, _Handler)
        self.fate = fate
        self.pending = self.most = self.came = 0
        self._lock = threading.Lock()

    def begin(self) -> int:
        with self._lock:
            self.came += 1
            self.pending += 1
            self.most = max(self.most, self.pending)
            return self.came

    def end(self) -> None:
        with self._lock:
            self.pending -= 1


class _Handler(Handler):
    server: Strained

    def answer(self) -> None:
        body = self.read()
        if "/_bulk" not in self.path and "/_doc/" not in self.path:
            self.say(*self.ask(body))
            return
        fate = self.server.fate(self.server.begin())
        answer = self.ask(body) if fate in (Fate.PASS, Fate.UNHEARD) else None
        self.server.end()  # before it is heard: what comes next may be faster than this thread
        if fate in (Fate.LOST, Fate.UNHEARD):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif answer is None:
            self.say(fate.value, b"{}", {"content-type": "application/json", "x-elastic-product": "Elasticsearch"})
        else:
            self.say(*answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815
