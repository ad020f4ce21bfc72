"""Work in a thread, which a run that is told to stop does not wait for: one item ahead, or a single call."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, TypeVar

from harvesters.errors import Interrupted

T = TypeVar("T")


def prefetch(items: Iterable[T], stop: threading.Event) -> Generator[T, None, None]:
    """Iterate `items` in a thread, one ahead; ends with `Interrupted` when `stop` is set while waiting for the next."""
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue()
    wanted = threading.Semaphore(1)  # the next item is begun when the one before is taken
    closed = threading.Event()

    def produce() -> None:
        try:
            iterator = iter(items)
            while True:
                wanted.acquire()
                if closed.is_set():
                    return
                ready.put((True, next(iterator)))
        except StopIteration:
            ready.put((False, None))
        except BaseException as error:
            ready.put((False, error))

    threading.Thread(target=produce, name="fetch", daemon=True).start()
    try:
        while True:
            good, item = _next(ready, stop)
            if not good:
                if item is not None:
                    raise item
                return
            wanted.release()
            yield item
    finally:
        closed.set()
        wanted.release()


def _next(ready: queue.Queue[tuple[bool, Any]], stop: threading.Event) -> tuple[bool, Any]:
    while True:
        try:
            return ready.get(timeout=0.2)
        except queue.Empty:
            if stop.is_set():
                raise Interrupted("told to stop while fetching; run the same command again to go on") from None


def aside(call: Callable[[], T], stop: threading.Event) -> T:
    """What `call` returns, called in a thread; `Interrupted` when `stop` is set while it is under way.

    A signal that comes while this thread waits for a socket may not be seen before the socket's timeout.
    """

    def once() -> Iterator[T]:
        yield call()

    with closing(prefetch(once(), stop)) as results:
        return next(results)
