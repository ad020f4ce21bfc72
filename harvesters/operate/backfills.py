"""The back-fills of a job, as `status` counts them: from their objects beside the checkpoint alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from harvesters.assembly import Assembly
from harvesters.operate.backfillstate import BackfillState
from harvesters.operate.statestore import StateStore
from harvesters.operate.windows import Steps
from harvesters.timespan import zone

MARK = ".backfill-"
"""Between the name of the checkpoint and the id."""


def of_checkpoint(assembly: Assembly, checkpoint: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Each back-fill beside `checkpoint`, in windows; the store has so long for each answer.

    Raises:
        HarvestError: the store does not answer, or an object is none of ours.
    """
    prefix = f"{checkpoint}{MARK}"
    for name in sorted(assembly.names_within(prefix, seconds)):
        if name.endswith(".lease"):
            continue
        state = StateStore(assembly.blob_within(name, seconds, once=True), assembly.clock).load()
        if state is not None:
            missing, failed = windows_left(state)
            yield {"id": name.removeprefix(prefix), "output": state.output, "missing": missing, "failed": failed}


def windows_left(state: BackfillState) -> tuple[int, int]:
    """How many windows of all that was ever asked for are not done: those that nobody has tried, and that failed."""
    if state.whole is None or not state.step:
        return 0, 0
    steps = Steps(timedelta(seconds=state.step), zone(state.days) if state.days else None)
    tried = state.done | (one.window for one in state.failed)
    return sum(1 for _ in steps.left(state.whole, tried)), len(state.failed)
