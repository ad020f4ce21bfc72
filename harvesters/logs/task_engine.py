"""Coroutines side by side, never more of them at once than it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

_KEPT = 100  # exceptions; each keeps alive what its task was about

_within: ContextVar[frozenset[_Key]] = ContextVar("tasks that this one runs within", default=frozenset())


class EngineStopped(Exception):
    """The engine was stopped, so it starts nothing any more."""


class TaskEngine:
    """Runs tasks side by side. Made anywhere; used in one event loop at a time, such as that of `run`.

    Args:
        max_tasks: most tasks at once.

    Attributes:
        started: how many tasks were started.
        completed: how many of them have ended, those that raised included.
        failed: how many raised.
        errors: what the first hundred of these raised.
    """

    def __init__(self, max_tasks: int = 10) -> None:
        if max_tasks < 1:
            raise ValueError(f"max_tasks should be at least 1, and is {max_tasks}")
        self.max_tasks = max_tasks
        self._reset()

    def _reset(self) -> None:
        self.started = self.completed = self.failed = 0
        self.errors: list[BaseException] = []
        self._stopped = False
        self._places = asyncio.Semaphore(self.max_tasks)
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._waiting: list[_Waiting] = []

    @property
    def pending(self) -> int:
        """How many tasks have been started and have not ended."""
        return self.started - self.completed

    def running(self) -> bool:
        """Whether it may still start tasks: until `stop` is called."""
        return not self._stopped

    def run(self, driver: Callable[[TaskEngine], Awaitable[T]]) -> T:
        """What `driver` returns, which starts the tasks, in an event loop of its own; all of them have ended then.

        Each run counts from nought.

        Raises:
            Exception: as `driver` raises, after the pending tasks have ended. What tasks raise is in `errors`.
            KeyboardInterrupt: at once, whoever was interrupted.
            RuntimeError: an event loop runs already, such as that of this engine, which goes on.
        """
        running = self._run(driver)
        try:
            return asyncio.run(running)
        finally:
            running.close()  # where it never began

    async def _run(self, driver: Callable[[TaskEngine], Awaitable[T]]) -> T:
        self._reset()
        try:
            result = await driver(self)
            await self.run_until_complete()
            return result
        finally:
            await self.stop()

    async def start_task(self, task: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> None:
        """Start ``task(*args, **kwargs)``, as soon as there is a place for it.

        Raises:
            EngineStopped: nothing is started any more; it may have been stopped while this waited for a place.
        """
        if not self._stopped:
            await self._places.acquire()
            if not self._stopped:
                self._start(task, args, kwargs)
                await asyncio.sleep(0)  # it runs as far as it gets
                return
            self._places.release()
        raise EngineStopped("the engine was stopped; it starts no more tasks")

    async def run_until_complete(self) -> None:
        """Return when nothing is pending, other than tasks that wait for this themselves."""
        waiting = _Waiting(_within.get())
        self._waiting.append(waiting)
        self._wake()
        try:
            await waiting.over.wait()
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    async def stop(self) -> None:
        """Start nothing any more; return when nothing is pending, other than tasks that wait for this themselves."""
        if not self._stopped:
            self._stopped = True
            self._places.release()  # who waits for a place gets this one, hears that there is none, and hands it on
        await self.run_until_complete()

    def _start(self, task: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        key = _Key(self)
        self.started += 1
        running = self._tasks[key] = asyncio.create_task(self._run_task(key, task, args, kwargs))
        running.add_done_callback(_heard)

    async def _run_task(
        self, key: _Key, task: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        # Not within the one that started it: that does not wait for it.
        _within.set(frozenset(one for one in _within.get() if one.engine is not self) | {key})
        try:
            await task(*args, **kwargs)
        except BaseException as error:
            self.failed += 1
            if len(self.errors) < _KEPT:
                self.errors.append(error)
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            self.completed += 1
            del self._tasks[key]
            self._places.release()
            self._wake()

    def _wake(self) -> None:
        """Let those go on who wait until nothing is pending. Tasks that all wait for each other wait for nothing."""
        pending = self._tasks.keys()
        held = pending - {key for waiting in self._waiting for key in waiting.within}
        for waiting in [*self._waiting]:
            if not held if waiting.within & pending else not pending:
                self._waiting.remove(waiting)
                waiting.over.set()


def _heard(task: asyncio.Task[None]) -> None:
    """Note that somebody knows of its exception: the event loop, which raises it."""
    if not task.cancelled():
        task.exception()


class _Key:
    """A task of `engine`."""

    def __init__(self, engine: TaskEngine) -> None:
        self.engine = engine


class _Waiting:
    """Somebody who waits until nothing is pending, `within` these tasks."""

    def __init__(self, within: frozenset[_Key]) -> None:
        self.within = within
        self.over = asyncio.Event()
