"""The values inside of metadata, one by one, so that metadata of any shape can be aggregated and filtered."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any, Self

from harvesters import exact
from harvesters.exact import Number
from harvesters.messages.content import Invalid

MOST = 50_000
"""Values of one message: the cluster makes a document of each, and holds those of a message in memory at once."""

LONGEST_TEXT = 8191
"""Characters of a text that is found as a whole (``text``); of a longer one there is the ``digest``."""

_LONGEST_PATH = 512

Value = dict[str, Any]


def values_of(said: Any, path: str) -> list[Value]:
    """What is below `path`, as `harvest.values` keeps it: one for each number, text and truth value.

    Raises:
        Invalid: there are too many.
    """
    found = []
    for where, leaf in _leaves(said, path):
        value = value_of(leaf)
        if value:
            found.append({"path": where, **value})
        if len(found) > MOST:
            raise Invalid(f"{path} holds more than {MOST} values")
    return found


def value_of(leaf: Any) -> Value:
    """What is kept of one value, beside its path; `words` is a copy of `text` that the cluster makes."""
    if leaf is None:
        return {}
    if isinstance(leaf, bool):
        return {"text": "true" if leaf else "false"}
    if isinstance(leaf, (int, float, Number)):
        number = float(leaf)
        return {"number": number if isinstance(leaf, Number) else leaf} if math.isfinite(number) else {"text": leaf}
    text = exact.whole(leaf)
    return {"text": text, "digest": digest_of(text)} if len(text) > LONGEST_TEXT else {"text": text}


def digest_of(text: str) -> str:
    """By which a text is found that is longer than `LONGEST_TEXT`."""
    return str(_hashed(text).hexdigest())


def _hashed(text: str) -> Any:
    return hashlib.blake2b(text.encode(), digest_size=16)


def path_of(path: str) -> str:
    """How `harvest.values` spells the path of a field, as ``metadata.a.b``: a very long one as its digest."""
    return str(_short(exact.whole(path)))


class _Long:
    """A very long path, of which no more is kept than is needed to spell it and those below it."""

    def __init__(self, head: str, digest: Any) -> None:
        self._head, self._digest = head, digest

    def below(self, name: str) -> Self:
        digest = self._digest.copy()
        digest.update(f".{name}".encode())
        return type(self)(self._head, digest)

    def __str__(self) -> str:
        return f"{self._head}…{self._digest.hexdigest()}"


def _below(path: str | _Long, name: str) -> str | _Long:
    name = exact.whole(name)
    if isinstance(path, _Long):
        return path.below(name)
    return _short(f"{path}.{name}")


def _short(path: str) -> str | _Long:
    return path if len(path) <= _LONGEST_PATH else _Long(path[: _LONGEST_PATH // 2], _hashed(path))


def _leaves(said: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each value that is neither object nor list, and its path as `path_of` spells it. Lists have none of their own."""
    left: list[tuple[str | _Long, Any]] = [(path, said)]
    while left:
        where, value = left.pop()
        if isinstance(value, dict):
            left += [(_below(where, name), inner) for name, inner in reversed(value.items())]
        elif isinstance(value, list):
            left += [(where, inner) for inner in reversed(value)]
        else:
            yield str(where), value
