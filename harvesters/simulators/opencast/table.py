"""The usertracking table: rows in order of creation, looked up by window, type and media package."""

from __future__ import annotations

import math
import random
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

from harvesters.simulators.opencast.data import ActionRow

Order = Literal["created", "id", "shuffled"]
Precision = Literal["seconds", "millis"]


def millis(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down; exact, unlike the float of ``timestamp()``."""
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1000 + moment.microsecond // 1000


@dataclass(frozen=True)
class Criteria:
    """Which rows: `since` and `until` are milliseconds, both inclusive as in Opencast's queries; empty is any."""

    since: float = -math.inf
    until: float = math.inf
    type: str = ""
    mpid: str = ""


class ActionTable:
    """Rows by (created, id). Any thread may add and select; late rows appear when their time has come."""

    def __init__(self, order: Order = "created", precision: Precision = "seconds") -> None:
        self.order = order
        self.precision = precision
        self._by_id: dict[int, ActionRow] = {}
        self._rows: list[ActionRow] = []
        self._keys: list[tuple[int, int]] = []
        self._late: list[ActionRow] = []
        self._views: dict[Any, Any] = {}
        self._draws = random.Random(0)
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._by_id)

    def stored(self, row: ActionRow) -> int:
        """When `row` was created, in milliseconds, as the database keeps it (whole seconds in MySQL's DATETIME)."""
        created = millis(row.created)
        return created - created % 1000 if self.precision == "seconds" else created

    def extend(self, rows: Iterable[ActionRow]) -> None:
        """Add rows in any order; a row with a known id is refused with `ValueError`."""
        with self._lock:
            fresh = {row.id: row for row in rows}
            if known := fresh.keys() & self._by_id.keys():
                raise ValueError(f"there are rows with these ids already: {sorted(known)[:5]}")
            before = len(self._rows)
            self._by_id.update(fresh)
            self._rows.extend(row for row in fresh.values() if row.visible_at is None)
            self._late.extend(row for row in fresh.values() if row.visible_at is not None)
            self._index(before)

    def update(self, row_id: int, **changes: Any) -> ActionRow:
        """Change fields of a row in place, as Opencast does when a footprint grows; returns the new row."""
        with self._lock:
            old = self._by_id[row_id]
            new = replace(old, **changes)
            self._by_id[row_id] = new
            self._late = [row for row in self._late if row is not old]
            rest = [row for row in self._rows if row is not old]
            self._rows, self._keys = rest, []
            (self._rows if new.visible_at is None else self._late).append(new)
            self._index(0)
            return new

    def select(self, criteria: Criteria, at: datetime, offset: int, limit: int) -> tuple[int, list[ActionRow]]:
        """How many rows match at that moment, and the page of them; one snapshot, unlike the real two queries."""
        with self._lock:
            self._show_late(at)
            rows, keys = self._view(criteria.type, criteria.mpid)
            low = bisect_left(keys, (criteria.since, -math.inf))
            high = bisect_right(keys, (criteria.until, math.inf))
            total = max(0, high - low)
            stop = min(total, offset + limit)
            if self.order == "shuffled":
                return total, [rows[low + place] for place in self._shuffle(total, offset, stop)]
            if self.order == "id":
                return total, self._by_number(criteria, rows, low, high)[offset:stop]
            return total, rows[low + offset : low + stop]

    def _index(self, before: int) -> None:
        """Bring keys and order up to date after rows were appended behind index `before`."""
        fresh = [(self.stored(row), row.id) for row in self._rows[before:]]
        in_order = all(left <= right for left, right in pairwise(fresh))
        tail_fits = not self._keys or not fresh or self._keys[-1] <= fresh[0]
        self._keys.extend(fresh)
        if not (in_order and tail_fits):
            places = sorted(range(len(self._keys)), key=self._keys.__getitem__)
            self._rows = [self._rows[place] for place in places]
            self._keys = [self._keys[place] for place in places]
        self._views.clear()

    def _show_late(self, at: datetime) -> None:
        due = [row for row in self._late if row.visible_at is not None and row.visible_at <= at]
        if due:
            before = len(self._rows)
            self._late = [row for row in self._late if row.visible_at is not None and row.visible_at > at]
            self._rows.extend(due)
            self._index(before)

    def _view(self, kind: str, mpid: str) -> tuple[list[ActionRow], list[tuple[int, int]]]:
        if not kind and not mpid:
            return self._rows, self._keys
        if (kind, mpid) not in self._views:
            rows = [r for r in self._rows if (not kind or r.type == kind) and (not mpid or r.mpid == mpid)]
            self._views[kind, mpid] = (rows, [(self.stored(row), row.id) for row in rows])
        found: tuple[list[ActionRow], list[tuple[int, int]]] = self._views[kind, mpid]
        return found

    def _by_number(self, criteria: Criteria, rows: list[ActionRow], low: int, high: int) -> list[ActionRow]:
        key = (criteria.type, criteria.mpid, low, high)
        if key not in self._views:
            self._views[key] = sorted(rows[low:high], key=lambda row: row.id)
        found: list[ActionRow] = self._views[key]
        return found

    def _shuffle(self, total: int, offset: int, stop: int) -> Iterable[int]:
        """Places `offset` to `stop` of a new permutation of ``range(total)``; costs the page, not the table."""
        if stop <= offset:
            return ()
        step = self._draws.randrange(1, total + 1)
        while math.gcd(step, total) != 1:
            step += 1
        shift = self._draws.randrange(total)
        return ((place * step + shift) % total for place in range(offset, stop))
