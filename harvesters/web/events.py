"""BuddyUp's events at hand: read from the index when somebody asks, and anew before they are too old."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property

from cachetools import LRUCache

from harvesters.assembly import Assembly
from harvesters.elastic.client import SearchClient
from harvesters.firebase.documents import milliseconds
from harvesters.insights.calendar import Calendar
from harvesters.insights.events import Row
from harvesters.insights.history import History
from harvesters.insights.store import LeftOut, Store
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings
from harvesters.web.backend import Missing
from harvesters.web.eventindex import EventIndex, Marks

log = logging.getLogger(__name__)

_HISTORIES = 8  # by as-of, that are kept at once
_ASKED = 600.0  # seconds after the last question for which events are still kept fresh
_KEPT = 32_000_000  # bytes of answers that are kept for whoever asks the same
_RARELY = 5.0  # seconds, the shortest time between two readings that nobody waits for
_SOON = 2.0  # seconds, the longest wait between two tries
_FEW = 200_000  # events whose keys are compared whenever some are deleted
_DELETIONS = 600.0  # seconds between two comparisons of more


@dataclass
class _Known:
    """A history, and how many use it just now."""

    history: History
    users: int = 0


@dataclass(eq=False)
class Shared:
    """The store, which holds first these events and then others. It is closed when nobody holds on to this any more.

    Attributes:
        lock: held while events are exchanged, and while a history is made of them.
    """

    store: Store
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.store.close)


class Held:
    """Events as they were in the index at one moment, and what is known of them as of several instants.

    Attributes:
        left_out: what counts for nothing.
        marks: what the index said of itself then.
        doubtful: whether some of them may be in the index no more.
    """

    def __init__(
        self,
        shared: Shared,
        left_out: LeftOut,
        marks: Marks | None,
        test_schools: tuple[str, ...],
        doubtful: bool = False,
    ) -> None:
        self.shared, self.left_out, self.marks, self.doubtful = shared, left_out, marks, doubtful
        self._test_schools = test_schools
        self._known: OrderedDict[int | None, _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._said: LRUCache[Hashable, bytes] = LRUCache(_KEPT, getsizeof=len)
        weakref.finalize(self, _forget_all, shared, self._known)
        with self.used(None):
            pass  # so that the first who asks need not wait for it

    @contextmanager
    def used(self, end: int | None) -> Iterator[History]:
        """What is known as of `end` (milliseconds since 1970), None: after the last event."""
        with self._lock:
            if end not in self._known:
                with self.shared.lock:
                    self._known[end] = _Known(History(self.shared.store, end, self._test_schools))
            self._known.move_to_end(end)
            known = self._known[end]
            known.users += 1
        try:
            yield known.history
        finally:
            with self._lock:
                known.users -= 1
                self._forget()

    def answer(self, what: Hashable, end: int | None, say: Callable[[History], bytes]) -> bytes:
        """What `say` makes of what is known as of `end`; the same for the same question, for these do not change."""
        with self._lock:
            if (said := self._said.get(what)) is not None:
                return said
        with self.used(end) as history:
            said = say(history)
        with self._lock, suppress(ValueError):  # it is too long to be kept
            self._said[what] = said
        return said

    def _forget(self) -> None:
        """Drop what was not used for longest."""
        idle = [end for end, known in self._known.items() if not known.users]
        for end in idle[: max(0, len(self._known) - _HISTORIES)]:
            self._known.pop(end).history.close()


def _forget_all(shared: Shared, known: dict[int | None, _Known]) -> None:
    """Drop all histories; the store lives on."""
    for one in known.values():
        one.history.close()


class Events:
    """The events behind an alias, never older than `max_age` seconds when they are handed out.

    One thread reads, however many ask. It begins with the first question, and goes on by itself for as long as
    somebody asked lately, so that nobody has to wait. After the first time it reads what has changed alone, and
    compares all keys where something was deleted: above `_FEW` events not more often than every `_DELETIONS` seconds.

    Args:
        memory: what the engine may take (``HARVEST_INSIGHTS_MEMORY``).
        max_age: ``HARVEST_INSIGHTS_MAX_AGE``.
    """

    def __init__(self, settings: Settings, alias: str, calendar: Calendar, memory: str, max_age: float) -> None:
        self.calendar = calendar
        self._settings, self._alias, self._memory, self._max_age = settings, alias, memory, max_age
        self._assembly = Assembly(settings)
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, Future[Held]]] = []
        self._held: Held | None = None
        self._read_at = self._tried_at = self._asked_at = self._compared_at = -float("inf")
        self._test_schools = tuple(settings.names("FIREBASE_TEST_SCHOOLS"))
        self._thread: threading.Thread | None = None

    def fresh(self) -> Future[Held]:
        """The events, young enough for a question that is asked now; errors as `index_rows` has them, or `Missing`."""
        now, future = self._assembly.clock.monotonic(), Future[Held]()
        with self._changed:
            self._asked_at = now
            if self._held is not None and self._read_at >= now - self._max_age:
                future.set_result(self._held)
                return future
            self._waiting.append((now - self._max_age, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="events", daemon=True)
                self._thread.start()
            self._changed.notify()
        return future

    def close(self) -> None:
        """Stop reading, and let go of the events."""
        self._assembly.stop.set()
        with self._changed:
            self._changed.notify()
            self._held = None
        if "_client" in self.__dict__:
            self._client.close()

    def _run(self) -> None:
        while self._sleep():
            began = self._tried_at = self._assembly.clock.monotonic()
            error: Exception | None = None
            try:
                held = self._read()
            except Exception as caught:  # whoever waits gets it
                error, held = caught, None
            with self._changed:
                if held is not None:
                    self._held, self._read_at = held, began
                self._hand_out(began, held, error)
            del held  # else the one before would live for as long as the next is read

    def _sleep(self) -> bool:
        """Wait until there is something to read; False when it is time to end."""
        with self._changed:
            while not self._assembly.stop.is_set():
                if self._waiting:
                    return True
                now = self._assembly.clock.monotonic()
                due = self._tried_at + max(self._max_age / 2, _RARELY) - now
                if now - self._asked_at > _ASKED:
                    self._changed.wait()
                elif due <= 0:
                    return True
                else:
                    self._changed.wait(due)
        return False

    def _hand_out(self, began: float, held: Held | None, error: Exception | None) -> None:
        """Answer those who take what was read from `began` on; the others wait for the next reading."""
        waiting, self._waiting = self._waiting, []
        for earliest, future in waiting:
            if held is not None and began < earliest:
                self._waiting.append((earliest, future))
            elif future.set_running_or_notify_cancel():
                if held is not None:
                    future.set_result(held)
                else:
                    future.set_exception(error)

    def _read(self) -> Held:
        index = self._index
        if not index.exists():
            raise Missing("There is no index of events. Fill it with `harvest.py firebase load` or `firebase events`.")
        marks, held = index.marks(), self._held
        if held is not None and marks is not None and held.marks is not None:
            if marks == held.marks and not held.doubtful and not held.left_out.future:
                return held
            rows = index.changes(held.marks, marks)
            if rows is not None:
                return self._changed_by(held, rows, marks)
        store = Store(self.calendar, self._memory, self._assembly.stop)
        try:
            store.add(index.rows())
            return Held(Shared(store), store.settle(self._now()), marks, self._test_schools)
        except BaseException:
            store.close()
            raise

    def _changed_by(self, held: Held, rows: list[Row], marks: Marks) -> Held:
        """`held` with `rows` in their places, and without what is in the index no more."""
        store = held.shared.store
        with held.shared.lock:
            store.add(rows)
            left_out = store.settle(self._now())
            count = store.count()
        doubtful = count != sum(mark.count for mark in marks.values())
        now = self._assembly.clock.monotonic()
        if doubtful and (count <= _FEW or now - self._compared_at >= _DELETIONS):
            self._compared_at, doubtful = now, False
            keys = self._index.keys()
            with held.shared.lock:
                store.keep(keys)
                left_out = store.settle(self._now())
        return Held(held.shared, left_out, marks, self._test_schools, doubtful)

    def _now(self) -> int:
        return milliseconds(self._assembly.clock.now())

    @cached_property
    def _index(self) -> EventIndex:
        return EventIndex(self._client, self._alias)

    @cached_property
    def _client(self) -> SearchClient:
        """The cluster, asked again soon after it failed: somebody may be waiting."""
        retry = RetryPolicy(self._assembly.clock, self._settings.number("HARVEST_RETRY_BUDGET"), cap=_SOON)
        return SearchClient.from_settings(self._settings, retry)
