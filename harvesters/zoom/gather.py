"""Many calls under way at once, their results in order; what was finished before a failure is not thrown away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

from harvesters.errors import HarvestError

T = TypeVar("T")
R = TypeVar("R")


def gather(
    pool: Executor,
    work: Callable[[T], R],
    items: Iterable[T],
    ahead: int,
    full: Callable[[list[R]], bool] = lambda results: False,
) -> Iterator[list[R]]:
    """The results of `work` on `items`, in their order, in lists of as many as are there when asked for.

    At most `ahead` items are under way or waiting to be taken. A list is closed early when it is `full`.

    Raises:
        HarvestError: the first that `work` raised, after the results of all items that had begun by then.
    """
    under_way: deque[Future[R]] = deque()
    source = iter(items)
    failure: HarvestError | None = None

    def fill() -> None:
        while failure is None and len(under_way) < ahead:
            try:
                item = next(source)
            except StopIteration:
                return
            under_way.append(pool.submit(work, item))

    fill()
    while under_way:
        results: list[R] = []
        while under_way and not (results and (full(results) or not under_way[0].done())):
            future = under_way.popleft()
            if future.cancelled():
                continue
            try:
                results.append(future.result())
            except HarvestError as error:
                if failure is None:
                    failure = error
                    for waiting in under_way:
                        waiting.cancel()
            fill()
        if results:
            yield results
    if failure is not None:
        raise failure
