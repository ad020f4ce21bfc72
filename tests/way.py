"""A way to a real server on which a test may stand: it sees what passes, and may answer in the server's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TypeVar

import requests

W = TypeVar("W", bound="Way")


class Way(ThreadingHTTPServer):
    """Passes requests on to `target`, in plain HTTP.

    Args:
        tampers: sees the path, the request's body and the answer's, takes its time, and may give another status.
        after: it does so when `target` has answered, instead of before `target` is asked.
    """

    daemon_threads = True

    def __init__(
        self,
        target: str,
        tampers: Callable[[str, bytes, bytes], int | None],
        after: bool,
        handler: type[Handler] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.target, self.tampers, self.after = target, tampers, after

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Way

    def answer(self) -> None:
        body = self.read()
        status = None if self.server.after else self.server.tampers(self.path, body, b"")
        content, said = b"", {"x-elastic-product": "Elasticsearch"}
        if status is None:
            status, content, said = self.ask(body)
            if self.server.after:
                status = self.server.tampers(self.path, body, content) or status
        self.say(status, content, said)

    def read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def ask(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """What the target answers: status, content and the headers that count."""
        headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
        found = requests.request(self.command, self.server.target + self.path, data=body, headers=headers, timeout=60)
        names = [name for name in ("content-type", "x-elastic-product") if name in found.headers]
        return found.status_code, found.content, {name: found.headers[name] for name in names}

    def say(self, status: int, content: bytes, said: dict[str, str]) -> None:
        with suppress(ConnectionError):  # who asked may have given up by now
            self.send_response(status)
            for name, value in {**said, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@contextmanager
def way(target: str, tampers: Callable[[str, bytes, bytes], int | None], after: bool = False) -> Iterator[Way]:
    with served(Way(target, tampers, after)) as server:
        yield server


@contextmanager
def served(server: W) -> Iterator[W]:
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
