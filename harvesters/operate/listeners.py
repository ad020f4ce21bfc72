"""Who hears of the runs of a job: one place where they are all named."""

from __future__ import annotations

from harvesters.assembly import Assembly
from harvesters.errors import HarvestError
from harvesters.operate.jobs import BY_NAME
from harvesters.operate.records import RecordKeeper
from harvesters.watched import Listener


def listeners(assembly: Assembly, name: str) -> list[Listener]:
    """Those of a run of the job called `name`; none for what is no job, or where settings are in the way."""
    job = BY_NAME.get(name)
    if job is None:
        return []
    try:
        return [RecordKeeper(job.records(assembly))]
    except HarvestError:
        return []  # the run itself says what is wrong with the setting
