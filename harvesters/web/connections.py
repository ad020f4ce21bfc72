"""The connection of a client: uvicorn's, which stays with HTTP/1.1 whatever a client offers, and keeps no fields
without end.
"""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 65_536
"""Bytes of a request's head, or of the fields after its body; what one read brings may be on top of it."""

_FRAMING = (b"connection", b"content-length", b"transfer-encoding")


class Connection(HttpToolsProtocol):
    """One connection.

    The parser takes what follows a head with ``Upgrade`` for another protocol, as it would be if we had agreed. We
    never do, so it is the body, and the next requests: another parser reads them, which is told how long the body is.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unbroken = 0  # bytes since the request began, or since the last of its body
        self._is_repeated = False  # the head that the parser reads was read before

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._unset_keepalive_if_required()
        self._unbroken += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse()
        else:
            if self._unbroken > LONGEST_HEAD:
                self._refuse()

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                return self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offered:
                data = data[offered.args[0] :]
                self._read_on()

    def _read_on(self) -> None:
        """Have another parser read what follows the head."""
        lines = [b"POST / HTTP/%b" % self.parser.get_http_version().encode()]
        lines += [b"%b: %b" % field for field in self.headers if field[0] in _FRAMING]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self._is_repeated = True
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))
        self._is_repeated = False

    def _refuse(self) -> None:
        message = "Invalid HTTP request received."
        self.logger.warning(message)
        self.send_400_response(message)

    def on_message_begin(self) -> None:
        """A head begins."""
        if not self._is_repeated:
            self._unbroken = 0
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Some of what is asked for."""
        if not self._is_repeated:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field."""
        if not self._is_repeated:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        if not self._is_repeated:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._unbroken = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there; not yet where only the head is, and an offer in it."""
        if not self.parser.should_upgrade():
            super().on_message_complete()
