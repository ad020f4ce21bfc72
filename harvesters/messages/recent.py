"""What was written so recently that no search may find it yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

_SECONDS = 10.0  # more than a refresh takes to come, and to be done
_MOST = 100_000  # documents of one generation

Places = Mapping[str, str]
"""The index that each document was written into, by its id."""


class Notes(Protocol):
    """What processes that write to one cluster tell each other."""

    def tell(self, places: Places) -> None:
        """These were written; who hears from now on knows it."""

    def hear(self) -> list[Places]:
        """What others told since it was heard before, oldest first; at first, what is still of interest."""


class Silence:
    """Of a process that writes alone."""

    def tell(self, places: Places) -> None:
        """To nobody."""

    def hear(self) -> list[Places]:
        """Nothing."""
        return []


class Recent:
    """Where documents were written in the last seconds; for all threads of a process.

    They are forgotten by generations: each stands for ten seconds at least, and twenty at most, unless there are very
    many.

    Args:
        now: seconds that only ever grow.
        notes: of the others that write.
    """

    def __init__(self, now: Callable[[], float], notes: Notes) -> None:
        self._now, self._notes = now, notes
        self._hearing, self._lock = threading.Lock(), threading.Lock()
        self._young: dict[str, tuple[str, ...]] = {}
        self._aged: dict[str, tuple[str, ...]] = {}
        self._since = now()

    def note(self, places: Places) -> None:
        """Documents were written, or may have been; others are told."""
        self._keep([places])
        self._notes.tell(places)

    def places(self, ids: Iterable[str]) -> list[tuple[str, str]]:
        """Each id that this process knows, or was told of by now, and an index in which it was; it may be gone."""
        with self._hearing:  # what one thread has heard, none hears again
            self._keep(self._notes.hear())
        with self._lock:
            young, aged = self._young, self._aged
            return [(id, place) for id in ids for place in {*young.get(id, ()), *aged.get(id, ())}]

    def _keep(self, told: Iterable[Places]) -> None:
        with self._lock:
            self._forget()
            for places in told:
                for id, place in places.items():
                    known = self._young.get(id, ())
                    if place not in known:
                        self._young[id] = (*known, place)

    def _forget(self) -> None:
        age = self._now() - self._since
        if age < _SECONDS and len(self._young) < _MOST:
            return
        self._aged = self._young if age < 2 * _SECONDS else {}
        self._young, self._since = {}, self._now()
