"""What the suites of checkpoint, lease and blob share: back ends, turns taken by plan, and an S3 that loses answers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from urllib.parse import urlencode, urlsplit

from harvesters.clock import Clock
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.stores.blob import Blob, Version

OpenBlob = Callable[[str], Blob]
"""Opens the blob of that name as another process would: with clients and file handles of its own."""


def merges(one: int, other: int) -> Iterator[str]:
    """Every order in which `one` steps of A and `other` steps of B can follow each other: ``AABB``, ``ABAB`` …"""
    for places in combinations(range(one + other), one):
        yield "".join("A" if step in places else "B" for step in range(one + other))


@dataclass
class Turns:
    """Lets two threads do their steps in a planned order; who ends early gives up the turns that are left."""

    order: str
    _left: list[str] = field(init=False)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._left = list(self.order)

    def wait(self, name: str) -> None:
        with self._changed:
            mine = self._changed.wait_for(lambda: name not in self._left or self._left[0] == name, timeout=30)
            assert mine, f"{name} never had its turn: {self._left}"

    def done(self, name: str) -> None:
        with self._changed:
            if name in self._left:
                self._left.remove(name)
            self._changed.notify_all()

    def leave(self, name: str) -> None:
        with self._changed:
            self._left = [left for left in self._left if left != name]
            self._changed.notify_all()


@dataclass
class Timed(Blob):
    """A blob whose store's clock is that of the test."""

    blob: Blob
    clock: Clock

    @property
    def name(self) -> str:
        return self.blob.name

    def now(self) -> datetime:
        return self.clock.now()

    def read(self) -> Version | None:
        return self.blob.read()

    def write(self, content: bytes, etag: str | None) -> str:
        return self.blob.write(content, etag)


@dataclass
class Stepping(Blob):
    """A blob of which each read and each write waits for its turn."""

    blob: Blob
    turns: Turns
    who: str

    @property
    def name(self) -> str:
        return self.blob.name

    def now(self) -> datetime | None:
        return self.blob.now()

    def read(self) -> Version | None:
        self.turns.wait(self.who)
        try:
            return self.blob.read()
        finally:
            self.turns.done(self.who)

    def write(self, content: bytes, etag: str | None) -> str:
        self.turns.wait(self.who)
        try:
            return self.blob.write(content, etag)
        finally:
            self.turns.done(self.who)


def in_turns(turns: Turns, work: Callable[[str], object]) -> dict[str, object]:
    """What `work` returned, or raised, for A and for B, each in a thread of its own."""
    results: dict[str, object] = {}

    def run(name: str) -> None:
        try:
            results[name] = work(name)
        except Exception as error:
            results[name] = error
        finally:
            turns.leave(name)

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in "AB"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


class LossyProxy(Simulator):
    """Forwards to a real server, and may lose the answers of requests that it has carried out.

    `lose`: methods of the next requests whose answers are lost. `serial`: one request at a time, for moto checks a
    condition and then writes with no lock between. `answers`: what is answered to the next PUTs, which are not carried
    out. `deaf`: headers that are lost on the way. `puts` counts PUTs that were carried out.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = urlsplit(target).netloc
        self.lose: list[str] = []
        self.before: Callable[[], object] = lambda: None  # called after an answer was lost
        self.serial = threading.Lock()
        self.answers: list[Response] = []
        self.deaf: tuple[str, ...] = ()
        self.puts = 0

    def handle(self, request: Request) -> Response:
        if request.method == "PUT" and self.answers:
            return self.answers.pop(0)
        with self.serial:
            self.puts += request.method == "PUT"
            response = self._forward(request)
        if request.method in self.lose:
            self.lose.remove(request.method)
            self.before()
            raise ConnectionAbortedError("carried out, but nobody will hear of it")
        return response

    def _forward(self, request: Request) -> Response:
        connection = http.client.HTTPConnection(self.target, timeout=30)
        query = f"?{urlencode(request.query)}" if request.query else ""
        headers = {
            name: text for name, text in request.headers.items() if name not in ("expect", "connection", *self.deaf)
        }
        try:
            connection.request(request.method, request.path + query, request.body, headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        dropped = ("content-length", "transfer-encoding", "connection", "server", "date")
        kept = {name: text for name, text in answer.getheaders() if name.lower() not in dropped}
        return Response(answer.status, body, kept)
