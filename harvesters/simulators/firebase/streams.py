"""The open event streams of a simulated Realtime Database: what each of them hears of an edit.

Events as documented: ``put`` and ``patch`` with path and data, ``keep-alive``, ``cancel``,
``auth_revoked`` with a bare text (firebase-admin's SSE client compares it unquoted), all others with JSON. A stream
begins with a ``put`` of the whole node at ``/``. Nothing here is locked: the simulator
calls it while it holds the tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Any

import orjson

from harvesters.simulators.firebase.query import Query
from harvesters.simulators.firebase.tree import Node, Path, Tree, coerce, shape

_END, _DROP = b"end", b"drop"


class Stream:
    """One client that listens at `path`, to all of it or to what `query` selects.

    It is cancelled at once if the first event is larger than `limit` bytes.
    """

    def __init__(self, tree: Tree, path: Path, query: Query | None, limit: int) -> None:
        self._tree = tree
        self._path = path
        self._query = query
        self._queue: SimpleQueue[bytes] = SimpleQueue()
        self._keys = self._selected()
        first = _event("put", {"path": "/", "data": self._whole()})
        if len(first) <= limit:
            self._queue.put(first)
        else:
            self.send("cancel", None)
            self.end()

    def chunks(self) -> Iterator[bytes]:
        """What goes over the wire until the stream is ended; raises ConnectionAbortedError when it is dropped."""
        while (chunk := self._queue.get()) is not _END:
            if chunk is _DROP:
                raise ConnectionAbortedError
            yield chunk

    def send(self, event: str, data: Any) -> None:
        """Send one event."""
        self._queue.put(_event(event, data))

    def send_raw(self, text: bytes) -> None:
        """Send these bytes: events that no data of ours makes."""
        self._queue.put(text)

    def end(self) -> None:
        """End the answer, well formed."""
        self._queue.put(_END)

    def drop(self) -> None:
        """Break the connection in the middle of the answer."""
        self._queue.put(_DROP)

    def edited(self, path: Path, children: Sequence[Path] | None) -> None:
        """Tell of an edit that is done: a put at `path`, or a patch of `children` below it."""
        if children is None:
            self._put([path])
        elif self._query is None and _is_below(path, self._path):
            data = {"/".join(child): shape(self._tree.get(path + child)) for child in children}
            self.send("patch", {"path": self._relative(path), "data": data})
        else:
            self._put([path + child for child in children])

    def _put(self, edits: Sequence[Path]) -> None:
        """Send what the listener has to know of `edits`, each one a full path."""
        if any(_is_below(self._path, edit) for edit in edits):
            self._keys = self._selected()
            self.send("put", {"path": "/", "data": self._whole()})
            return
        edits = [edit for edit in edits if _is_below(edit, self._path)]
        if self._query is not None and edits:
            edits = self._in_view(edits)
        for edit in edits:
            selected = self._query is None or edit[len(self._path)] in self._keys
            data = shape(self._tree.get(edit)) if selected else None
            self.send("put", {"path": self._relative(edit), "data": data})

    def _in_view(self, edits: Sequence[Path]) -> list[Path]:
        """`edits` as one who sees only the query's result hears of them, with what came into view and what left it."""
        before, after = self._keys, self._selected()
        self._keys = after
        depth = len(self._path)
        moved = [(*self._path, key) for key in sorted(before ^ after)]
        return moved + [edit for edit in edits if edit[depth] in before & after]

    def _selected(self) -> frozenset[str]:
        node = self._tree.get(self._path)
        if self._query is None or not isinstance(node, Node):
            return frozenset()
        return frozenset(self._query.keys(node))

    def _whole(self) -> Any:
        node = self._tree.get(self._path)
        if self._query is None:
            return shape(node)
        return coerce({key: shape(node[key]) for key in self._keys}) if isinstance(node, Node) else None

    def _relative(self, path: Path) -> str:
        return "/" + "/".join(path[len(self._path) :])


class Streams:
    """All open streams."""

    def __init__(self) -> None:
        self._open: list[Stream] = []

    def __len__(self) -> int:
        return len(self._open)

    def serve(self, stream: Stream) -> Iterator[bytes]:
        """The chunks of `stream`, which counts as open from now on until it ends or its client has left."""
        self._open.append(stream)

        def chunks() -> Iterator[bytes]:
            try:
                yield from stream.chunks()
            finally:
                self._open.remove(stream)

        return chunks()

    def edited(self, path: Path, children: Sequence[Path] | None = None) -> None:
        """Tell every stream of a put at `path`, or of a patch of `children` below it."""
        for stream in list(self._open):
            stream.edited(path, children)

    def send(self, event: str, data: Any, *, last: bool = False) -> None:
        """Send one event to every stream; the server closes after the `last` one."""
        for stream in list(self._open):
            stream.send(event, data)
            if last:
                stream.end()

    def send_raw(self, text: bytes) -> None:
        """Send these bytes to every stream."""
        for stream in list(self._open):
            stream.send_raw(text)

    def end(self) -> None:
        """End every stream as a server does that shuts down."""
        for stream in list(self._open):
            stream.end()

    def drop(self) -> None:
        """Break every stream's connection."""
        for stream in list(self._open):
            stream.drop()


def _event(name: str, data: Any) -> bytes:
    text = data.encode() if name == "auth_revoked" else orjson.dumps(data)
    return b"event: %s\ndata: %s\n\n" % (name.encode(), text)


def _is_below(path: Path, above: Path) -> bool:
    """Whether `path` is `above` or lies below it."""
    return path[: len(above)] == above
