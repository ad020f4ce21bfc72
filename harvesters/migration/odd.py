"""What fits no mapping is kept in the document all the same, in a field that is not indexed."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]

ODD = "odd"
MAPPING: Body = {"type": "object", "enabled": False}
_NEEDED = ("action_id", "timestamp", "mpid", "huid")


def set_aside(body: Body, field: str) -> Body:
    """The document with what is at `field` (dots in its name) moved into ``odd``.

    Where there is nothing at that very place, what stands in its way is moved; where there is nothing at all,
    everything is, but for a few plain values to find the document by.
    """
    names = field.split(".")
    for length in range(len(names), 0, -1):
        moved = _moved(body, names[:length])
        if moved is not None:
            return moved
    plain = {name: body[name] for name in _NEEDED if isinstance(body.get(name), str | int)}
    return {**plain, ODD: body} if set(body) - set(plain) - {ODD} else {ODD: body}


def _moved(body: Body, names: list[str]) -> Body | None:
    if names[0] == ODD:
        return None
    parents: list[Body] = [body]
    for name in names[:-1]:
        inner = parents[-1].get(name)
        if not isinstance(inner, dict):
            return None
        parents.append(inner)
    if names[-1] not in parents[-1]:
        return None
    value = parents[-1][names[-1]]
    rest: Any = {name: inner for name, inner in parents[-1].items() if name != names[-1]}
    for name, parent in zip(reversed(names[:-1]), reversed(parents[:-1]), strict=True):
        rest = {**parent, name: rest}
    before = rest.get(ODD, {})
    return {**rest, ODD: _with(before if isinstance(before, dict) else {ODD: before}, names, value)}


def _with(odd: Body, names: list[str], value: Any) -> Body:
    if len(names) == 1:
        return {**odd, names[0]: value}
    inner = odd.get(names[0])
    return {**odd, names[0]: _with(inner if isinstance(inner, dict) else {}, names[1:], value)}
