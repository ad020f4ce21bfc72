"""What every simulator shares: a threaded loopback HTTP/1.1 server, a request journal, and faults on demand.

A simulator is a function from `Request` to `Response`; nothing here knows what is being simulated.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import orjson


@dataclass(frozen=True)
class Request:
    """One HTTP request as it came in. `path` is still percent-encoded, `target` all of it; header names are lower case.

    `query` is decoded.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    body: bytes
    target: str = ""

    def param(self, name: str, default: str = "") -> str:
        """The first value of query parameter `name`."""
        return next((value for key, value in self.query if key == name), default)

    def form(self) -> dict[str, str]:
        """The body read as ``application/x-www-form-urlencoded``."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass
class Response:
    """What to answer. A `stream` is sent chunk by chunk (chunked encoding) until it ends or the client leaves.

    A ``Date`` among the headers is sent instead of the true one; ``""`` sends none.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterable[bytes] | None = None

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Response:
        """A JSON answer; underscores in header keywords become hyphens."""
        named = {key.replace("_", "-"): text for key, text in headers.items()}
        return cls(status, orjson.dumps(value), {"Content-Type": "application/json", **named})

    @classmethod
    def html(cls, status: int, text: str, **headers: str) -> Response:
        """An HTML page, as servlet containers send with their errors."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return cls(status, f"<html><body>{text}</body></html>".encode(), {"Content-Type": "text/html", **named})


@dataclass
class Fault:
    """Something that goes wrong with the next `times` requests whose path starts with `path`, after `after` good ones.

    kind: ``status`` (answers `response`), ``reset`` (closes the connection without a word), ``truncate`` (half of the
    body under the full Content-Length, then closes), ``cut`` (half of the body, well-formed HTTP), ``delay`` (waits
    `seconds`, then answers as usual), ``dribble-head``, ``dribble-chunks``, ``dribble-body`` (an answer without end, of
    which a byte comes every `seconds`, in its head, its chunks, or its counted body).
    """

    kind: str
    path: str = "/"
    times: int = 1
    after: int = 0
    response: Response | None = None
    seconds: float = 0.0


class Simulator:
    """A server around `handle`. Use as a context manager, or `start()` and `stop()`.

    It listens on loopback; only inside a container does another `host` make sense.
    """

    def __init__(self, port: int = 0, *, host: str = "127.0.0.1", latency: float = 0.0, journal: int = 100_000) -> None:
        self.latency = latency
        self.requests: deque[Request] = deque(maxlen=journal)
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server((host, port), self)
        self._thread: threading.Thread | None = None

    def handle(self, request: Request) -> Response:
        """Answer one request; called from many threads at once."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """The port it listens on (the one the system chose when 0 was asked for)."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Serve in a background thread."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve in this thread until `stop` is called from another or a signal ends it."""
        self._server.serve_forever(0.2)

    def stop(self) -> None:
        """Stop listening and drop the connections."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def fail(self, kind: str, **fields: Any) -> Fault:
        """Plan a `Fault`; returns it, so that a test can see how often it struck (`times` counts down)."""
        fault = Fault(kind, **fields)
        with self._lock:
            self.faults.append(fault)
        return fault

    def next_fault(self, request: Request) -> Fault | None:
        """The fault that strikes this request, if one is due."""
        with self._lock:
            for fault in self.faults:
                if fault.times <= 0 or not request.path.startswith(fault.path):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self.open_sockets: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.open_sockets.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.open_sockets.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.open_sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one segment
    server: _Server

    def _serve(self) -> None:
        simulator = self.server.simulator
        request = self._read()
        simulator.requests.append(request)
        fault = simulator.next_fault(request)
        dribbles = fault is not None and fault.kind.startswith("dribble-")
        pause = simulator.latency + (fault.seconds if fault is not None and not dribbles else 0.0)
        if pause:
            time.sleep(pause)
        if fault is not None and dribbles:
            self._dribble(fault)
            return
        if fault is not None and fault.kind == "reset":
            self.close_connection = True
            return
        if fault is not None and fault.kind == "status" and fault.response is not None:
            self._write(fault.response)
            return
        response = simulator.handle(request)
        if fault is not None and fault.kind == "cut":
            response.body = response.body[: len(response.body) // 2]
        self._write(response, truncate=fault is not None and fault.kind == "truncate")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def _read(self) -> Request:
        split = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        return Request(
            method=self.command,
            path=split.path,
            query=tuple(parse_qsl(split.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
            target=self.path,
        )

    def _write(self, response: Response, truncate: bool = False) -> None:
        self.log_request(response.status)
        self.send_response_only(response.status)
        self.send_header("Server", self.version_string())
        for name, value in {"Date": self.date_time_string(), **response.headers}.items():
            if value or name != "Date":  # an empty one stands for none
                self.send_header(name, value)
        if response.stream is not None:
            self._write_stream(response.stream)
            return
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        body = response.body[: len(response.body) // 2] if truncate else response.body
        if self.command != "HEAD" and response.status not in (204, 304):
            self.wfile.write(body)
        self.wfile.flush()
        if truncate:
            self.close_connection = True

    def _dribble(self, fault: Fault) -> None:
        """One byte after the other, until the client leaves."""
        begin, piece = {
            "dribble-head": (b"X-Odd: ", b"x"),
            "dribble-chunks": (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
            "dribble-body": (b"Content-Length: 1000000\r\n\r\n", b" "),
        }[fault.kind]
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + begin)
        self.close_connection = True
        while True:
            self.wfile.write(piece)
            self.wfile.flush()
            time.sleep(fault.seconds)

    def _write_stream(self, chunks: Iterable[bytes]) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        iterator: Iterator[bytes] = iter(chunks)
        try:
            for chunk in iterator:
                if chunk:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        finally:
            close: Callable[[], None] | None = getattr(iterator, "close", None)
            if close is not None:
                close()

    def handle_expect_100(self) -> bool:
        """Go on at once: boto3 waits a second for an answer that stays in the buffer."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the journal has it."""
