"""Log events into an index, by requests side by side, or as lines of JSON into a file or onto standard output."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harvesters.assembly import Assembly
from harvesters.elastic import bulk
from harvesters.elastic.bulk import IndexMissing
from harvesters.elastic.errors import Refused
from harvesters.errors import (
    ConfigError,
    CredentialsRefused,
    EventsRefused,
    HarvestError,
    Interrupted,
    ProtocolError,
    RateLimited,
    TryLater,
    Unavailable,
)
from harvesters.logs.events import BLOCK, Events, id_of
from harvesters.logs.index import LogIndex
from harvesters.logs.task_engine import EngineStopped, TaskEngine
from harvesters.loopclock import LoopClock
from harvesters.sinks.jsonl import FileSink, StdoutSink

Watch = Callable[[TaskEngine], AbstractAsyncContextManager[None]]
"""Shows how far an engine is, while it is entered."""

_LEAST = 100  # events of a bulk request, unless there are no more
_AT_ONCE = 20  # blocks that a file gets in one go: each is on the disk before the next

_FOR_GOOD = (CredentialsRefused, ConfigError, ProtocolError)  # of several failures one of these decides, else the last
_PASSING = (RateLimited, Unavailable, HarvestError)


@dataclass
class Generating:
    """A run that generates `count` events.

    Attributes:
        acknowledged: events that an index or a file has taken.
        refused: events that the cluster will never take, for `reason`.
        failures: what ended the requests that gave up.
    """

    assembly: Assembly
    events: Events
    count: int
    acknowledged: int = 0
    refused: int = 0
    reason: str = ""
    failures: list[HarvestError] = field(default_factory=list)

    def into_file(self, output: str) -> None:
        """Write them into the file at `output`, or onto standard output (``-``).

        Raises:
            Interrupted: told to stop.
            ReaderGone: nobody reads standard output any more.
            HarvestError: it cannot be written.
        """
        sink = StdoutSink() if output == "-" else FileSink(Path(output))
        together = 1 if output == "-" else _AT_ONCE
        lines: list[bytes] = []
        for number, block in enumerate(self.events.blocks(self.count), 1):
            lines += block
            if number % together == 0 or number * BLOCK >= self.count:
                self._go_on()
                sink.write(lines)
                self.acknowledged += len(lines)
                lines = []
        sink.finish()

    def into_index(self, index: str, max_tasks: int, one_by_one: bool, watch: Watch) -> None:
        """Have the index take them, by `max_tasks` requests at once at most.

        Raises:
            EventsRefused: it will never take some of them.
            Unavailable, RateLimited: a request gave up.
            Interrupted, TryLater, ConfigError, CredentialsRefused, ProtocolError: as their messages say.
        """
        self._go_on()
        engine = TaskEngine(max_tasks)
        size = 1 if one_by_one else min(BLOCK, max(_LEAST, -(-self.count // max_tasks)))
        target = LogIndex(self.assembly.search_in_loop(max_tasks), index)
        changed = engine.run(partial(self._drive, target, size, watch))
        self._judge(engine, index, changed)

    async def _drive(self, index: LogIndex, size: int, watch: Watch, engine: TaskEngine) -> bool:
        """Send all of it; returns whether the index is another one at the end than it was."""
        send = self._send_one if size == 1 else self._send_many
        async with index.client:
            before = await index.identity()
            told = asyncio.create_task(self._stop_when_told(engine))
            try:
                async with watch(engine):
                    with suppress(EngineStopped):
                        for lines in self._parts(size):
                            await engine.start_task(self._send, engine, partial(send, index, lines))
                    await engine.stop()
            finally:
                told.cancel()
            if engine.failed or not self.acknowledged:
                return False
            return not await index.is_still(before)

    def _parts(self, size: int) -> Iterator[list[bytes]]:
        for block in self.events.blocks(self.count):
            for first in range(0, len(block), size):
                yield block[first : first + size]

    async def _stop_when_told(self, engine: TaskEngine) -> None:
        await LoopClock(self.assembly.stop).stopped()
        await engine.stop()

    async def _send(self, engine: TaskEngine, send: Callable[[], Awaitable[None]]) -> None:
        """One request of all; when it gives up no new ones start, nor when the run was told to stop."""
        if self.assembly.stop.is_set():  # while this waited for its place
            await engine.stop()
            return
        try:
            await send()
        except Exception as error:
            if isinstance(error, HarvestError) and not isinstance(error, Interrupted):
                self.failures.append(error)
            await engine.stop()
            raise

    async def _send_many(self, index: LogIndex, lines: Sequence[bytes]) -> None:
        actions = [bulk.write(index.name, id_of(line), line) for line in lines]
        refused: dict[int, bulk.ItemRefusal] = {}
        try:
            await bulk.deliver_in_loop(index.client, actions, self._acknowledge, refused)
        finally:
            for each in refused.values():
                self._refuse(each.reason)

    async def _send_one(self, index: LogIndex, lines: Sequence[bytes]) -> None:
        (line,) = lines
        try:
            await index.put(id_of(line), line)
        except Refused as error:
            if error.status not in (400, 413):
                raise
            self._refuse(error.reason)
        else:
            self._acknowledge(1)

    def _acknowledge(self, number: int) -> None:
        self.acknowledged += number

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        self.reason = self.reason or reason

    def _go_on(self) -> None:
        if self.assembly.stop.is_set():
            raise Interrupted(f"told to stop: {self._left}")

    @property
    def _left(self) -> str:
        return f"{self.count - self.acknowledged - self.refused} of {self.count} events were not generated. Run again."

    def _judge(self, engine: TaskEngine, index: str, changed: bool) -> None:
        """Raise what became of it, unless all is well."""
        for bug in engine.errors:
            if not isinstance(bug, HarvestError):
                raise bug
        if changed or any(isinstance(failure, IndexMissing) for failure in self.failures):
            raise TryLater(
                f"{index} was removed or made anew while it was filled, so it does not hold all of these events. Run "
                "harvest.py logs init, and then this again."
            )
        failed = refused = ""
        if self.refused:
            refused = f"{self.refused} of {self.count} events were refused for good: {self.reason}"
        if self.failures:
            last = self.failures[-1]
            cause = next((error for error in self.failures if isinstance(error, _FOR_GOOD)), last)
            failed = f"{len(self.failures)} of {engine.started} requests failed: {cause}"
            failed += f" Also, {refused}" if refused else ""
            kind = next(kind for kind in (*_FOR_GOOD, *_PASSING) if isinstance(cause, kind))
            if kind in _FOR_GOOD or not self.assembly.stop.is_set():
                raise kind(failed) from cause
        if self.assembly.stop.is_set() and self.acknowledged + self.refused < self.count:
            raise Interrupted(f"told to stop: {self._left} {failed or refused}".rstrip())
        if refused:
            raise EventsRefused(
                f"{refused}. Run harvest.py logs init if the index may be deleted, or give another one."
            )
