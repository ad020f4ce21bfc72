"""What every simulator does with a request."""

from __future__ import annotations

import socket

from harvesters.simulators.base import Request, Response, Simulator


class Echo(Simulator):
    def handle(self, request: Request) -> Response:
        return Response(200, request.body)


def test_a_client_that_asks_before_it_sends_is_told_to_go_on() -> None:
    with Echo() as simulator, socket.create_connection(("127.0.0.1", simulator.port), timeout=10) as client:
        client.sendall(b"PUT / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"body")
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read(1000)
        assert answer.endswith(b"body")
