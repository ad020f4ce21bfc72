"""The data of a Realtime Database: a tree of objects, with its key order, priorities, and coercion to arrays.

There are no lists inside: an array is an object with integer keys, and an empty object does not exist. Children are
kept sorted once asked for, so that a page out of 500,000 of them costs a bisection.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harvesters.simulators.firebase.order import KeyRank, ValueRank, key_rank, value_rank

Path = tuple[str, ...]
Entry = tuple[ValueRank, KeyRank, str]

MAX_DEPTH = 32
MAX_KEY_BYTES = 768
_BAD_IN_KEYS = frozenset(".$#[]/\x7f") | {chr(code) for code in range(32)}
_DIGITS = frozenset("0123456789")


class InvalidData(ValueError):
    """Data or a path that the database refuses; the message is the server's."""


class Leaf:
    """A scalar with a priority."""

    __slots__ = ("priority", "value")

    def __init__(self, value: Any, priority: Any) -> None:
        self.value = value
        self.priority = priority


class Node(dict[str, Any]):
    """An object. `plain`: its JSON is itself, for nothing below has a priority or could be an array."""

    __slots__ = ("_indexes", "_order", "plain", "priority")

    def __init__(self) -> None:
        self.plain = True
        self.priority: Any = None
        self._order: list[tuple[KeyRank, str]] | None = None
        self._indexes: dict[str, list[Entry]] = {}

    def order(self) -> list[tuple[KeyRank, str]]:
        """The keys in the database's order, each behind its rank."""
        if self._order is None:
            self._order = sorted((key_rank(key), key) for key in self)
        return self._order

    def index(self, field: str, value_of: Callable[[Any], Any]) -> list[Entry]:
        """The children by `value_of`, ties by key; kept under the name `field` until something below changes."""
        if field not in self._indexes:
            ranked = ((value_rank(value_of(child)), key_rank(key), key) for key, child in self.items())
            self._indexes[field] = sorted(ranked)
        return self._indexes[field]

    def set_child(self, key: str, child: Any) -> None:
        """Put, replace or (`None`) remove one child."""
        if self._order is not None and (key in self) != (child is not None):
            entry = (key_rank(key), key)
            if child is None:
                del self._order[bisect_left(self._order, entry)]
            else:
                insort(self._order, entry)
        if child is None:
            self.pop(key, None)
        else:
            self[key] = child

    def touch(self) -> None:
        """Something below has changed."""
        self.plain = False
        self._indexes.clear()


class Tree:
    """The whole database; not locked, the simulator does that."""

    def __init__(self) -> None:
        self.root: Any = None

    def get(self, path: Path) -> Any:
        """The node, leaf or scalar at `path`; None where there is nothing."""
        here = self.root
        for key in path:
            if not isinstance(here, Node):
                return None
            here = here.get(key)
        return here

    def put(self, path: Path, value: Any) -> None:
        """Replace what is at `path` by JSON `value`; null removes it, and parents left empty go with it."""
        self._place(path, grow(value, room=MAX_DEPTH - len(path)))

    def patch(self, path: Path, children: Mapping[Path, Any]) -> None:
        """Replace the named children (or deeper descendants) of `path` and leave the others: all, or none of them."""
        grown = {below: grow(value, room=MAX_DEPTH - len(path + below)) for below, value in children.items()}
        for below, node in grown.items():
            self._place(path + below, node)

    def extend(self, path: Path, pairs: Iterable[tuple[str, Any]]) -> None:
        """Put many children of `path` that are known to be valid: the fast way to fill a large node."""
        node = self._node(path)
        for key, value in pairs:
            node.set_child(key, grow(value, check=False))
        if not node:
            self._place(path, None)

    def _place(self, path: Path, grown: Any) -> None:
        if not path:
            self.root = grown
        elif grown is not None:
            self._node(path[:-1]).set_child(path[-1], grown)
        else:
            self._remove(path)

    def _node(self, path: Path) -> Node:
        """The object at `path`, made where there is none, with every one on the way touched."""
        if not isinstance(self.root, Node):
            self.root = Node()
        here: Node = self.root
        here.touch()
        for key in path:
            child = here.get(key)
            if not isinstance(child, Node):
                child = Node()
                here.set_child(key, child)
            child.touch()
            here = child
        return here

    def _remove(self, path: Path) -> None:
        above = [self.get(path[:depth]) for depth in range(len(path))]
        if not isinstance(above[-1], Node) or path[-1] not in above[-1]:
            return
        for node in above:
            node.touch()
        for node, key in zip(reversed(above), reversed(path), strict=True):
            node.set_child(key, None)
            if node:
                return
        self.root = None


def grow(value: Any, *, check: bool = True, room: int = MAX_DEPTH) -> Any:
    """What the database stores for JSON `value`; None for null and for what is empty. Raises `InvalidData`."""
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        return value
    if room < 0:
        raise InvalidData("Invalid data; the data is nested deeper than 32 levels.")
    priority = value.get(".priority")
    if ".value" in value:
        return value[".value"] if priority is None else Leaf(value[".value"], priority)
    node = Node()
    node.priority = priority
    node.plain = priority is None
    for key, item in value.items():
        if key == ".priority":
            continue
        if check:
            check_key(key)
        child = grow(item, check=check, room=room - 1) if isinstance(item, dict | list) else item
        if child is None:
            continue
        node[key] = child
        if key[0] in _DIGITS or isinstance(child, Leaf) or (isinstance(child, Node) and not child.plain):
            node.plain = False
    return node or None


def check_key(key: str) -> None:
    """Raise `InvalidData` for a key that no child can have."""
    if not key or not _BAD_IN_KEYS.isdisjoint(key):
        raise InvalidData(
            "Invalid data; couldn't parse key beginning at 1:2. Key value can't be empty or contain $ # [ ] / or ."
        )
    if len(key) > MAX_KEY_BYTES // 4 and len(key.encode()) > MAX_KEY_BYTES:
        raise InvalidData("Invalid data; couldn't parse key beginning at 1:2. Key value is longer than 768 bytes.")


def shape(stored: Any, *, export: bool = False) -> Any:
    """`stored` as JSON: objects with integer keys as arrays; with `export` as objects, with their priorities."""
    if isinstance(stored, Leaf):
        return {".value": stored.value, ".priority": stored.priority} if export else stored.value
    if not isinstance(stored, Node) or stored.plain:
        return stored
    shaped = {key: shape(stored[key], export=export) for _, key in stored.order()}
    if export:
        return shaped if stored.priority is None else {**shaped, ".priority": stored.priority}
    return coerce(shaped)


def coerce(children: dict[str, Any]) -> Any:
    """An array with nulls in the gaps if integer keys fill at least half of 0..largest, else `children` as they are.

    As the SDK does it (ChildrenNode.val): a single key "1" becomes ``[null, value]``, "007" and "-1" are no indices.
    """
    indices: dict[int, Any] = {}
    for key, child in children.items():
        if not (key.isascii() and key.isdigit()) or (key[0] == "0" and key != "0"):
            return children
        indices[int(key)] = child
    if not indices or max(indices) >= 2 * len(indices):
        return children
    return [indices.get(index) for index in range(max(indices) + 1)]


def priority_of(stored: Any) -> Any:
    """The priority of a node or leaf; None without one."""
    return stored.priority if isinstance(stored, Node | Leaf) else None


def scalar(stored: Any) -> Any:
    """`stored` without its priority."""
    return stored.value if isinstance(stored, Leaf) else stored
