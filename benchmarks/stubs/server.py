"""HTTP/1.1 on loopback with as little as keep-alive clients need, every answer after a settable latency.

The handler is a plain function. Latency costs no thread and no processor time, so hundreds of requests may wait.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """A request; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer; its length is added when it is written."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Answer]


class _Connection(asyncio.Protocol):
    def __init__(self, handler: Handler, latency: float) -> None:
        self._handler = handler
        self._latency = latency
        self._buffer = b""
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._take():
            pass

    def _take(self) -> bool:
        """Answer one request if all of it has come."""
        if self._head is None:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return False
            self._buffer = rest
            self._head = _read_head(head)
            if self._head[2].get("expect", "").lower() == "100-continue":
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        method, target, headers = self._head
        length = int(headers.get("content-length", 0))
        if len(self._buffer) < length:
            return False
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        self._head = None
        parts = urlsplit(target)
        request = Request(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body)
        answer = _encoded(self._handler(request), bodiless=method == "HEAD")
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._write, answer)
        else:
            self._write(answer)
        return True

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _read_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return method, target, {name.lower(): value.strip() for name, _, value in pairs}


def _encoded(answer: Answer, bodiless: bool) -> bytes:
    headers = {"Content-Length": str(len(answer.body)), **answer.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} -\r\n{lines}\r\n".encode("latin-1") + (b"" if bodiless else answer.body)


def serve(handler: Handler, latency: float) -> None:
    """Serve on a free loopback port, which is printed; ends when standard input does, so with its parent."""
    asyncio.run(_serve(handler, latency))


async def _serve(handler: Handler, latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(handler, latency), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
