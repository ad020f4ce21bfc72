"""Server-sent events: bytes in, events out. Pure.

Source: the event stream format of the HTML standard; the Realtime Database sends ``event`` and ``data``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServerEvent:
    """One event: its name, and the text of its data."""

    name: str
    data: str


@dataclass
class EventParser:
    """Cuts a stream into events, wherever its chunks begin and end."""

    _parts: list[bytes] = field(default_factory=list)
    _name: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """The events that end in `chunk`."""
        if b"\n" not in chunk:
            self._parts.append(chunk)  # a large event comes in many chunks; joining at each would be quadratic
            return
        text = b"".join([*self._parts, chunk])
        *lines, rest = text.split(b"\n")
        self._parts = [rest]
        for line in lines:
            event = self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if event is not None:
                yield event

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            name, data = self._name, self._data
            self._name, self._data = "", []
            return ServerEvent(name or "message", "\n".join(data)) if name or data else None
        field_name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field_name == "event":
            self._name = value
        elif field_name == "data":
            self._data.append(value)
        return None
