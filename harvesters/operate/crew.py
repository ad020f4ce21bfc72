"""Who works on the windows of a back-fill: threads of this process, or processes of this machine.

Threads are for what waits most of the time and shares a budget of calls; processes, for what computes. A crew is told
which window to begin and says what came of it; it decides nothing.
"""

from __future__ import annotations

import logging
import mmap
import os
import queue
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from harvesters.clock import Clock
from harvesters.errors import Exit, RaceLost
from harvesters.indexing import workers
from harvesters.operate.backfillstate import Claim, Result
from harvesters.process import Process, started
from harvesters.timespan import Window

log = logging.getLogger(__name__)

_SAID = 0.5  # seconds between two words of a worker on how far it is
_LAST = 5.0  # seconds that a worker which has nothing to do has to end

Work = Callable[[Window, Any, Callable[[int], None]], Result]
"""Does one window with what was read ahead, tells how many documents are delivered, says how it ended; never raises."""


@dataclass(frozen=True)
class Delivered:
    """So many documents are delivered of a window that is under way."""

    claim: Claim
    count: int


@dataclass(frozen=True)
class Ended:
    """A window has ended."""

    claim: Claim
    result: Result


Event = Delivered | Ended


class Crew(Protocol):
    """Workers, each at one window at most."""

    @property
    def free(self) -> list[Process]:
        """Those that have nothing to do, by the process that they are in."""

    @property
    def busy(self) -> bool:
        """Whether any is at a window."""

    def begin(self, claim: Claim, ahead: Any) -> None:
        """Let a free one of the process `claim.worker` do the window, with what was read ahead."""

    def events(self, seconds: float) -> list[Event]:
        """What has happened; waits for so long at most when nothing has."""

    def stop(self) -> None:
        """Let them finish the batch in hand and give back their windows."""

    def close(self) -> None:
        """End them; called when none is busy, or when nobody waits for them any more."""


class Alive:
    """When the lease (or a claim) was last ours for certain, on a page of memory that the forks see, too."""

    def __init__(self, clock: Clock, ttl: float) -> None:
        self._page = mmap.mmap(-1, 16)
        self._clock = clock
        self._ttl = ttl
        self.mark(clock.monotonic(), clock.now().timestamp())

    def mark(self, elapsed: float, wall: float) -> None:
        """It was at that time: elapsed, and by the wall clock."""
        self._page[:] = struct.pack("dd", elapsed, wall)

    def lose(self) -> None:
        """It is somebody else's."""
        self.mark(float("-inf"), float("-inf"))

    def check(self) -> None:
        """Raise `RaceLost` when it may be somebody else's by now, as after this process was frozen."""
        elapsed, wall = struct.unpack("dd", self._page[:])
        if max(self._clock.monotonic() - elapsed, self._clock.now().timestamp() - wall) >= self._ttl:
            raise RaceLost("what we hold could not be renewed in time; run the same command again")


@dataclass
class Threads:
    """Workers that are threads of this process; `stopping` ends their windows."""

    count: int
    work: Work
    stopping: threading.Event
    _tasks: queue.SimpleQueue[tuple[Claim, Any] | None] = field(default_factory=queue.SimpleQueue)
    _events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    _busy: int = 0

    def __post_init__(self) -> None:
        self._threads = [
            threading.Thread(target=self._serve, name=f"window-{number + 1}", daemon=True)
            for number in range(self.count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def free(self) -> list[Process]:
        return [Process.current()] * (self.count - self._busy)

    @property
    def busy(self) -> bool:
        return self._busy > 0

    def begin(self, claim: Claim, ahead: Any) -> None:
        self._busy += 1
        self._tasks.put((claim, ahead))

    def events(self, seconds: float) -> list[Event]:
        found: list[Event] = []
        with suppress(queue.Empty):
            found.append(self._events.get(timeout=seconds))
            while True:
                found.append(self._events.get_nowait())
        self._busy -= sum(isinstance(event, Ended) for event in found)
        return found

    def stop(self) -> None:
        self.stopping.set()

    def close(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(0.0 if self.busy else _LAST)

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            claim, ahead = task
            self._events.put(Ended(claim, self.work(claim.window, ahead, _told(claim, self._events.put))))


class Processes:
    """Workers that are forks of this process, made before it has threads or connections.

    They end at once with this process, however it ends: whoever comes after it begins their windows anew. One that is
    killed leaves its window as failed, and the others go on.
    """

    def __init__(self, count: int, work: Work) -> None:
        self._life = os.pipe()
        pipes = [Pipe() for _ in range(count)]
        ends = [end for pipe in pipes for end in pipe]
        self._processes = workers.start(
            [partial(_serve, mine, [end for end in ends if end is not mine], self._life, work) for _, mine in pipes]
        )
        for _, theirs in pipes:
            theirs.close()
        here = Process.current()
        self._workers = {
            Process(here.host, here.system, process.pid or 0, started(process.pid or 0) or ""): ours
            for process, (ours, _) in zip(self._processes, pipes, strict=True)
        }
        self._claims: dict[Process, Claim] = {}

    @property
    def free(self) -> list[Process]:
        return [worker for worker in self._workers if worker not in self._claims]

    @property
    def busy(self) -> bool:
        return bool(self._claims)

    def begin(self, claim: Claim, ahead: Any) -> None:
        self._claims[claim.worker] = claim
        with suppress(OSError):  # it was killed, which `events` finds out
            self._workers[claim.worker].send((claim, ahead))

    def events(self, seconds: float) -> list[Event]:
        connections = {connection: worker for worker, connection in self._workers.items()}
        found: list[Event] = []
        ready: Sequence[Any] = wait([*connections], timeout=seconds)
        for connection in ready:
            found += self._heard(connections[connection], connection)
        return found

    def _heard(self, worker: Process, connection: Connection[Any, Any]) -> list[Event]:
        found: list[Event] = []
        try:
            while connection.poll():
                event: Event = connection.recv()
                found.append(event)
                if isinstance(event, Ended):
                    self._claims.pop(worker, None)
        except (OSError, EOFError):
            del self._workers[worker]
            connection.close()
            claim = self._claims.pop(worker, None)
            if claim is not None:
                died = f"its worker, process {worker.pid}, ended in the middle of it; was it killed, or out of memory?"
                found.append(Ended(claim, Result(Exit.UNAVAILABLE, died)))
        return found

    def stop(self) -> None:
        for process in self._processes:
            if process.is_alive():
                process.terminate()

    def close(self) -> None:
        for connection in self._workers.values():
            with suppress(OSError):
                connection.send(None)
        until = time.monotonic() + (0.0 if self.busy else _LAST)
        for process in self._processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        for connection in self._workers.values():
            connection.close()
        for handle in self._life:
            os.close(handle)


def _told(claim: Claim, put: Callable[[Event], None]) -> Callable[[int], None]:
    """Passes on how many documents are delivered, now and then."""
    last = 0.0

    def tell(count: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SAID:
            last = now
            put(Delivered(claim, count))

    return tell


def _serve(mine: Connection[Any, Any], others: list[Connection[Any, Any]], life: tuple[int, int], work: Work) -> None:
    """The life of a fork: an end of a pipe that two processes have open tells nobody that one of them has ended."""
    for other in others:
        other.close()
    os.close(life[1])
    threading.Thread(target=_die_with_parent, args=(life[0],), name="life", daemon=True).start()
    while (task := mine.recv()) is not None:
        claim, ahead = task
        result = work(claim.window, ahead, _told(claim, mine.send))
        mine.send(Ended(claim, result))


def _die_with_parent(life: int) -> None:
    os.read(life, 1)  # nobody writes: it ends when the parent's end is closed, by whatever
    os._exit(Exit.TRY_LATER)
