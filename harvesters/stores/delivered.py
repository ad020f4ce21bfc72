"""What an output already got: the id of each source row with a digest of the row.

A row read again (by the lookback, after a crash) is skipped when it is the same row; one that has changed since, as
an Opencast FOOTPRINT grows, is not "already delivered". Ids are packed into hashes of about a hundred, which Redis
keeps in a fifth of the space of as many keys.
"""

from __future__ import annotations

import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from harvesters import canonical
from harvesters.stores.cache import Cache

DAY = 86_400.0
_PENDING = 50_000  # marks that wait for the end of a run are bounded; older ones are forgotten, which costs a repeat


class Mark(NamedTuple):
    """One source row: its id, and a digest of all that it says."""

    id: str
    digest: bytes

    @classmethod
    def of(cls, id: str, row: bytes) -> Mark:
        """The mark of a row given as bytes."""
        return cls(id, canonical.digest(row))


@dataclass
class DeliveredLog:
    """Marks of one source's rows in one output.

    Args:
        cache: where they are kept; without Redis they end with the process.
        source: where the rows come from, such as the engage host.
        job: whose memory it is: the checkpoint's name and place. What one job got, another may still have to get.
        output: gives the output's identity and whether it is fresh (see `Sink`); asked when first needed.
        anew: the output is fresh, whatever it says itself.
    """

    cache: Cache
    source: str
    output: Callable[[], tuple[str, bool]]
    ttl: float = 2 * DAY
    anew: bool = False
    job: str = ""
    _pending: deque[Mark] = field(default_factory=lambda: deque(maxlen=_PENDING))

    def known(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The digests under which those of `ids` were delivered that were."""
        places = {id: self._place(id) for id in ids}
        wanted: dict[str, list[str]] = defaultdict(list)
        for bucket, name in places.values():
            wanted[bucket].append(name)
        found = self.cache.get_fields(wanted) if wanted else {}
        return {id: found[place] for id, place in places.items() if place in found}

    def add(self, marks: Sequence[Mark]) -> None:
        """Remember rows that the output has acknowledged (or that went to the dead letters)."""
        self._put(marks, self.ttl)

    def _put(self, marks: Iterable[Mark], ttl: float) -> None:
        hashes: dict[str, dict[str, bytes]] = defaultdict(dict)
        for mark in marks:
            bucket, name = self._place(mark.id)
            hashes[bucket][name] = mark.digest
        if hashes:
            self.cache.put_fields(hashes, ttl)

    def add_later(self, marks: Iterable[Mark]) -> None:
        """Hold marks back until `add_pending`: for outputs whose reader acknowledges nothing before the end."""
        self._pending.extend(marks)

    def add_pending(self) -> None:
        """Remember what was held back."""
        while self._pending:
            self.add([self._pending.popleft() for _ in range(min(1000, len(self._pending)))])

    def _place(self, id: str) -> tuple[str, str]:
        id = id.encode("ascii", "backslashreplace").decode()  # one that no UTF-8 can say must not end the run
        return f"{self._prefix}{id[:-2]}", id[-2:]

    @cached_property
    def _prefix(self) -> str:
        identity, fresh = self.output()
        parts = [self.source, identity, *([self.job] if self.job else [])]
        name = canonical.digest("\n".join(parts).encode()).hex()
        # An output that was emptied has forgotten what it got: its marks begin anew, under another generation.
        key = f"harvest:delivered:{name}"
        generation = b"" if fresh or self.anew else self.cache.get([key]).get(key, b"")
        generation = generation or uuid.uuid4().hex[:8].encode()
        self.cache.put({key: generation}, 10 * self.ttl)
        return f"{key}:{generation.decode()}:"
