"""What was written so recently that no search may find it yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

_SECONDS = 5.0  # more than a refresh takes to come, and to be done
_MOST = 100_000  # documents of one generation


class Recent:
    """Where documents were written in the last seconds; for all threads of a process.

    They are forgotten by generations: each stands for five seconds at least, and ten at most, unless there are very
    many.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._young: dict[str, str] = {}
        self._aged: dict[str, str] = {}
        self._since = now()

    def note(self, places: Mapping[str, str]) -> None:
        """Documents were written, by their ids, into these indices."""
        with self._lock:
            self._forget()
            self._young.update(places)

    def places(self, ids: Iterable[str]) -> Sequence[tuple[str, str]]:
        """Each id that is known, and its index."""
        with self._lock:
            self._forget()
            young, aged = self._young, self._aged
            return [(id, place) for id in ids if (place := young.get(id) or aged.get(id)) is not None]

    def _forget(self) -> None:
        age = self._now() - self._since
        if age < _SECONDS and len(self._young) < _MOST:
            return
        self._aged = self._young if age < 2 * _SECONDS else {}
        self._young, self._since = {}, self._now()
