"""Posts that come at the same time, written together: one request to the cluster takes what many clients wait for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from harvesters.errors import HarvestError, TryLater, Unavailable
from harvesters.messages.posting import Draft, Rejected

log = logging.getLogger(__name__)

Write = Callable[[Sequence[Draft], float, Callable[[], None]], None]
"""Writes drafts within so many seconds without progress, and tells of progress."""

_LANES = 2  # requests under way at once
_MOST = 2000  # drafts that are written together, unless one post has more
_LARGEST = 4_000_000  # bytes of them
_WORTH = 500  # drafts that need not wait for others
_WINDOWS = (0.005, 0.02)  # seconds for which a request waits for the posts that there usually are; beside another one
_NEARLY = 1.0  # seconds before its time is up in which a post is not tried again


@dataclass(eq=False)
class _Post:
    drafts: Sequence[Draft]
    done: asyncio.Future[None]
    since: float  # when something was last done for it
    alone: bool = False
    size: int = field(init=False)
    traces: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(len(draft.body) for draft in self.drafts)
        self.traces = frozenset(draft.trace_id for draft in self.drafts)


class Gatherer:
    """Has `write` write what is posted, in threads of its own; for one event loop.

    Two posts of one triple are never written at once, for neither would find, and delete, what the other has written.
    While the cluster takes nothing, it is tried again, until a post has seen no progress for `patience` seconds. What
    has failed is not written later, so that who erases somebody then need not fear it.
    """

    def __init__(self, write: Write, patience: float, now: Callable[[], float] = time.monotonic) -> None:
        self._write, self._patience, self._now = write, patience, now
        self._threads = ThreadPoolExecutor(_LANES, "write")
        self._waiting: deque[_Post] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        self._traces: set[str] = set()  # that are being written
        self._in_hand = 0  # posts that wait or are being written
        self._usual = 1  # as many as there were at once, lately
        self._window: asyncio.TimerHandle | None = None

    async def post(self, drafts: Sequence[Draft]) -> None:
        """Returns when they are stored.

        Raises:
            HarvestError: they are not, or not all of them.
        """
        if not drafts:
            return
        loop = asyncio.get_running_loop()
        post = _Post(drafts, loop.create_future(), self._now())
        self._waiting.append(post)
        self._in_hand += 1
        self._usual = max(self._usual, self._in_hand)
        timer = loop.call_later(self._patience, self._expire, post)
        self._begin()
        try:
            await post.done
        finally:
            timer.cancel()
            self._in_hand -= 1

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Write what waits, unless more is about to come: clients that were answered together post together."""
        if self._is_enough():
            self._begin_now()
        elif self._waiting and self._window is None and len(self._lanes) < _LANES:
            self._window = asyncio.get_running_loop().call_later(_WINDOWS[len(self._lanes)], self._begin_now)

    def _is_enough(self) -> bool:
        if len(self._waiting) >= min(self._usual, _WORTH):  # never, beside another request of as many as usual
            return True
        return sum(len(post.drafts) for post in self._waiting) >= _WORTH

    def _begin_now(self) -> None:
        self._close_window()
        while len(self._lanes) < _LANES and (posts := self._taken()):
            self._traces.update(*(post.traces for post in posts))
            lane = asyncio.ensure_future(self._work(posts))
            self._lanes.add(lane)
            lane.add_done_callback(self._end)

    def _end(self, lane: asyncio.Task[None]) -> None:
        self._lanes.discard(lane)
        self._usual = max(1, self._in_hand, self._usual * 9 // 10)
        self._close_window()  # it may have been that of a second request
        self._begin()

    def _close_window(self) -> None:
        if self._window is not None:
            self._window.cancel()
            self._window = None

    def _taken(self) -> list[_Post]:
        """The posts that are written next; none where the next one has to wait for what is being written."""
        taken: list[_Post] = []
        drafts = size = 0
        while self._waiting and self._traces.isdisjoint(self._waiting[0].traces):
            drafts, size = drafts + len(self._waiting[0].drafts), size + self._waiting[0].size
            if taken and (drafts > _MOST or size > _LARGEST or taken[0].alone or self._waiting[0].alone):
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _work(self, posts: list[_Post]) -> None:
        def progress() -> None:
            for post in posts:
                post.since = self._now()

        left = self._left(min(posts, key=lambda post: post.since))
        write = partial(self._write, [draft for post in posts for draft in post.drafts], left, progress)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, write)
        except Rejected as error:
            if len(posts) > 1:  # one of them is why
                for post in posts:
                    post.alone = True
                self._waiting.extendleft(reversed(posts))
            else:
                _fail(posts, error)
        except (Unavailable, TryLater) as error:
            await self._try_again_or_fail(posts, error)
        except Exception as error:
            if not isinstance(error, HarvestError):
                log.exception("a bug")
            _fail(posts, error)
        else:
            for post in posts:
                if not post.done.done():
                    post.done.set_result(None)
        finally:
            self._traces.difference_update(*(post.traces for post in posts))

    async def _try_again_or_fail(self, posts: list[_Post], error: HarvestError) -> None:
        young = [post for post in posts if self._left(post) > _NEARLY]
        failed = [post for post in posts if post not in young]
        if failed:
            await asyncio.sleep(max(0.0, *map(self._left, failed)))
            _fail(failed, error)
        self._waiting.extendleft(reversed(young))

    def _left(self, post: _Post) -> float:
        return self._patience - (self._now() - post.since)

    def _expire(self, post: _Post) -> None:
        """Its time is up: if it waits for others still, nobody need write it any more."""
        if post in self._waiting:
            self._waiting.remove(post)
            _fail([post], Unavailable("others wait for the cluster already"))


def _fail(posts: Sequence[_Post], error: Exception) -> None:
    for post in posts:
        if not post.done.done():
            post.done.set_exception(error)
