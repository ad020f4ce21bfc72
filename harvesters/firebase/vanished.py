"""What an output has and the database has no more: deleted while nobody listened, or with all of the node at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import Any, Protocol

from harvesters.firebase.documents import Row, milliseconds, moment_of
from harvesters.firebase.events import Events
from harvesters.firebase.keys import rank
from harvesters.firebase.pushid import is_push_id, push_ms

_FEW = 50
"""Keys that are asked for one by one."""


class HeldKeys(Protocol):
    """What an index holds."""

    def keys_since(self, first: str) -> Iterator[list[Row]]:
        """What it holds of the push ids from `first` on and of other keys, in batches; there may be more.

        Of other keys those whose events have a time since then, or none. Each has its `key`, and as `value` what tells
        the time.
        """


def within(key: str, bounds: dict[str, str]) -> bool:
    """Whether a key lies in the range that is read again, in the order of the database."""
    first = bounds.get("startAt") or bounds.get("startAfter")
    return first is not None and (rank(key) > rank(first) or (key == first and "startAt" in bounds))


def held(index: HeldKeys | None, bounds: dict[str, str]) -> Iterator[str]:
    """The keys that `index` holds in the range of the look-back.

    What tells an older time is not of it, wherever it sorts: an index may be meant to outlive what it was made from.
    """
    first = bounds.get("startAt") or bounds.get("startAfter")
    if index is None or first is None:
        return
    for rows in index.keys_since(first):
        yield from (row["key"] for row in rows if within(row["key"], bounds) and not _older(row, first))


def _older(row: Row, first: str) -> bool:
    if is_push_id(row["key"]):
        return False  # it is the key that says so
    moment = moment_of(row["key"], row["value"])
    return moment is not None and milliseconds(moment) < push_ms(first)


def second_look(events: Events, missing: Set[str], answer: Any, read: Callable[[str], Row]) -> Iterator[Row]:
    """Rows that say of each of the keys that an answer did not have what is there now, or that it is gone.

    As before `--sync` deletes, the database is asked once more. An answer without any child counts only if it is the
    database's own null, twice, or where children show that sort before the keys, and no others up to the last of them;
    after another one, such as a proxy's ``{}``, each key has to be null by itself, twice.

    Args:
        answer: what did not have the keys: something that is true for children, else the empty answer itself.
        read: asks for one event.
    """
    keys = sorted(missing, key=rank)
    believed = bool(answer) or answer is None
    if believed and len(keys) > _FEW:
        there = {
            row["key"]: row
            for rows in events.rows(startAt=keys[0], endAt=keys[-1])
            for row in rows
            if row["key"] in missing
        }
        if there or answer or events.is_null():
            yield from (there.get(key) or removed(key) for key in keys)
            return
    if keys and not answer and events.shows_none(keys[0], keys[-1]):
        yield from map(removed, keys)
        return
    for key in keys:
        row = read(key)
        if row.get("deleted") and not believed:
            row = read(key)
        if row.get("value") != {}:
            yield row


def removed(key: str) -> Row:
    """The row of an event that is gone."""
    return {"key": key, "deleted": True}
