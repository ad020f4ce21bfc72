"""Posts that come at the same time, written together: one request to the cluster takes what many clients wait for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from harvesters.errors import HarvestError, TryLater, Unavailable
from harvesters.messages.posting import Draft, Rejected

log = logging.getLogger(__name__)

Write = Callable[[Sequence[Draft], float, Callable[[], None]], None]
"""Writes drafts within so many seconds without progress, and tells of progress."""

_LANES = 2  # requests under way at once, without slow ones and those to suspects
_ASIDE = 12  # of slow ones and those to suspects together, so that there are threads left for others
_THREADS = 16
_SLOW = 3.0  # seconds after which a request is one
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
    indices: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(len(draft.body) for draft in self.drafts)
        self.traces = frozenset(draft.trace_id for draft in self.drafts)
        self.indices = frozenset(draft.index for draft in self.drafts)


@dataclass(frozen=True)
class _Lane:
    """A request under way."""

    since: float
    indices: frozenset[str]
    aside: bool  # for what may take nothing


class Gatherer:
    """Has `write` write what is posted, in threads of its own; for one event loop.

    Two posts of one triple are never written at once, for neither would find, and delete, what the other has written.
    While the cluster takes nothing, it is tried again, until a post has seen no progress for `patience` seconds. What
    has failed is not written later, so that who erases somebody then need not fear it; nor is what nobody waits for any
    more.

    An index may take nothing while others do, as one that somebody has blocked. It is a suspect then: posts for others
    pass by what waits for it, and are not written together with it. Suspects are tried in turn, each for a short time,
    for some of them only stood beside one that took nothing.
    """

    def __init__(self, write: Write, patience: float, now: Callable[[], float] = time.monotonic) -> None:
        self._write, self._patience, self._now = write, patience, now
        self._threads = ThreadPoolExecutor(_THREADS, "write")
        self._waiting: deque[_Post] = deque()
        self._held: deque[_Post] = deque()  # that wait for a request under way, and came before those that wait
        self._held_traces: set[str] = set()
        self._lanes: dict[asyncio.Task[None], _Lane] = {}
        self._suspects: set[str] = set()  # indices that took nothing lately, or stood beside one
        self._traces: set[str] = set()  # that are being written
        self._in_hand = 0  # posts that wait or are being written
        self._usual = 1  # as many as there were at once, lately
        self._window: asyncio.TimerHandle | None = None
        self._closed = False

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
        """Let go of the threads: what is not being written yet fails."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Write what waits, unless more is about to come: clients that were answered together post together."""
        if self._is_enough():
            self._begin_now()
        elif self._waiting and self._window is None and (quick := self._quick()) < _LANES:
            self._window = asyncio.get_running_loop().call_later(_WINDOWS[quick], self._begin_now)

    def _quick(self) -> int:
        """How many requests are under way that are neither slow nor to suspects."""
        return len(self._lanes) - len(self._aside())

    def _aside(self) -> list[_Lane]:
        since = self._now() - _SLOW
        return [lane for lane in self._lanes.values() if lane.aside or lane.since <= since]

    def _is_enough(self) -> bool:
        if len(self._waiting) >= min(self._usual, _WORTH):  # never, beside another request of as many as usual
            return True
        return sum(len(post.drafts) for post in self._waiting) >= _WORTH

    def _begin_now(self) -> None:
        self._close_window()
        if self._closed:
            self._release()
            _fail(self._waiting, _stopped())
            self._waiting.clear()
        while self._quick() < _LANES and len(self._lanes) < _THREADS and (posts := self._taken()):
            self._traces.update(*(post.traces for post in posts))
            indices = _indices(posts)
            lane = asyncio.ensure_future(self._work(posts))
            self._lanes[lane] = _Lane(self._now(), indices, not self._suspects.isdisjoint(indices))
            lane.add_done_callback(self._end)
            asyncio.get_running_loop().call_later(_SLOW, self._is_slow, lane)

    def _is_slow(self, lane: asyncio.Task[None]) -> None:
        """Others need not wait for it any more."""
        if lane in self._lanes:
            self._suspects |= self._lanes[lane].indices
        self._begin()

    def _end(self, lane: asyncio.Task[None]) -> None:
        del self._lanes[lane]
        self._release()
        self._usual = max(1, self._in_hand, self._usual * 9 // 10)
        self._close_window()  # it may have been that of a second request
        self._begin()

    def _close_window(self) -> None:
        if self._window is not None:
            self._window.cancel()
            self._window = None

    def _taken(self) -> list[_Post]:
        """The posts that are written next, in their order, but for those that have to wait for a request under way."""
        taken: list[_Post] = []
        passed: list[_Post] = []
        passed_traces: set[str] = set()
        aside = self._aside()
        stuck = {lane.indices for lane in aside}
        any_stuck = _indices(aside)
        full = len(aside) >= _ASIDE
        drafts = size = 0
        while self._waiting:
            post = self._waiting[0]
            if post.done.done():  # nobody waits for it
                self._waiting.popleft()
                continue
            follows = not passed_traces.isdisjoint(post.traces)
            is_stuck = post.indices in stuck or (len(post.indices) > 1 and not any_stuck.isdisjoint(post.indices))
            if not follows and (is_stuck or (full and self._is_suspect(post)) or self._has_to_wait(post)):
                self._held.append(self._waiting.popleft())
                self._held_traces |= post.traces
                continue
            if follows or self._spoils(post, taken):
                passed.append(self._waiting.popleft())
                passed_traces |= post.traces
                continue
            drafts, size = drafts + len(post.drafts), size + post.size
            if taken and (drafts > _MOST or size > _LARGEST or taken[0].alone or post.alone):
                break
            taken.append(self._waiting.popleft())
        self._waiting.extendleft(reversed(passed))
        return taken

    def _has_to_wait(self, post: _Post) -> bool:
        """Whether one of its triples is being written, or is in a post that waits for that."""
        return not (self._traces.isdisjoint(post.traces) and self._held_traces.isdisjoint(post.traces))

    def _is_suspect(self, post: _Post) -> bool:
        return not self._suspects.isdisjoint(post.indices)

    def _release(self) -> None:
        """What waited for a request is the first to be written."""
        self._waiting.extendleft(reversed(self._held))
        self._held.clear()
        self._held_traces.clear()

    def _spoils(self, post: _Post, taken: Sequence[_Post]) -> bool:
        """Whether it may not be written together with these, for one of their indices may take nothing."""
        if not taken or post.indices == taken[0].indices:
            return False
        return self._is_suspect(post) or self._is_suspect(taken[0])

    async def _work(self, posts: list[_Post]) -> None:
        def progress() -> None:
            for post in posts:
                post.since = self._now()

        indices = _indices(posts)
        left = self._left(min(posts, key=lambda post: post.since))
        if len(indices) > 1 or not self._suspects.isdisjoint(indices):
            left = min(left, _SLOW)  # then each is tried without the others, or others have their turn
        write = partial(self._write, [draft for post in posts for draft in post.drafts], left, progress)
        try:
            if self._closed:
                raise _stopped()
            await asyncio.get_running_loop().run_in_executor(self._threads, write)
        except asyncio.CancelledError:
            _fail(posts, _stopped())
            raise
        except Rejected as error:
            if len(posts) > 1:  # one of them is why
                for post in posts:
                    post.alone = True
                self._release()
                self._waiting.extendleft(reversed(posts))
            else:
                _fail(posts, error)
        except (Unavailable, TryLater) as error:
            self._suspects |= indices
            await self._try_again_or_fail(posts, error)
        except Exception as error:
            if not isinstance(error, HarvestError):
                log.exception("a bug")
            _fail(posts, error)
        else:
            self._suspects -= indices
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
        self._release()
        self._put_last(young)

    def _put_last(self, posts: list[_Post]) -> None:
        """They are written after all that waits, but for what came after them and has to stay so."""
        traces = set().union(*(post.traces for post in posts))
        others: list[_Post] = []
        followers: list[_Post] = []
        for post in self._waiting:
            if traces.isdisjoint(post.traces):
                others.append(post)
            else:
                followers.append(post)
                traces |= post.traces
        self._waiting = deque([*others, *posts, *followers])

    def _left(self, post: _Post) -> float:
        return self._patience - (self._now() - post.since)

    def _expire(self, post: _Post) -> None:
        """Its time is up: if it waits for others still, nobody need write it any more."""
        for waiting in (self._waiting, self._held):
            if post in waiting:
                waiting.remove(post)
                _fail([post], Unavailable("others wait for the cluster already"))


def _indices(things: Sequence[_Post] | Sequence[_Lane]) -> frozenset[str]:
    return frozenset().union(*(thing.indices for thing in things))


def _stopped() -> Unavailable:
    return Unavailable("told to stop")


def _fail(posts: Iterable[_Post], error: Exception) -> None:
    for post in posts:
        if not post.done.done():
            post.done.set_exception(error)
