"""How far a task engine is: one line, on terminals only."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from harvesters import telemetry
from harvesters.cli.progress import clear, steerable

if TYPE_CHECKING:
    from harvesters.logs.task_engine import TaskEngine

_EVERY = 0.5  # seconds


@asynccontextmanager
async def watched(engine: TaskEngine) -> AsyncIterator[None]:
    """A line on standard error says how far `engine` is, twice a second and once at the end.

    Log lines that come meanwhile take its line, and it goes on below them.
    """
    stream = sys.stderr
    if not steerable(stream):
        yield
        return

    def show(end: str = "") -> None:
        with suppress(OSError):  # a terminal may be closed; what the command does goes on
            counts = f"Pending: {engine.pending:04d} : Completed: {engine.completed:04d}"
            stream.write(f"\rStarted: {engine.started:04d} : {counts}{end}")
            stream.flush()

    async def watch() -> None:
        while True:
            show()
            await asyncio.sleep(_EVERY)

    before = telemetry.on_each_line(lambda: clear(stream))
    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        telemetry.on_each_line(before)
        show("\nEngine stopped.\n")
