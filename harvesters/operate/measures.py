"""What a run is measured by, wherever the figures go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harvesters.operate.jobs import Job
from harvesters.settings import Settings
from harvesters.telemetry import Report
from harvesters.watched import RunRecord

LAST_RUN = "harvest_last_run_timestamp_seconds"
LAST_SUCCESS = "harvest_last_success_timestamp_seconds"
CHECKPOINT = "harvest_checkpoint_timestamp_seconds"

GAUGES: Mapping[str, str] = {
    LAST_RUN: "When the last run of the job ended.",
    LAST_SUCCESS: "When the last run of the job that ended well did.",
    "harvest_last_run_duration_seconds": "How long the last run of the job took.",
    "harvest_last_run_exit_code": "Exit code of the last run of the job.",
    "harvest_last_run_rows": "Rows that the last run of the job read.",
    "harvest_last_run_delivered": "Documents that the last run of the job delivered.",
    "harvest_last_run_dead": "Dead letters of the last run of the job.",
    CHECKPOINT: "The time up to which the job has harvested.",
}
"""Each gauge, and what it says; all have one label, ``job``."""


def measures(job: Job, settings: Settings, record: RunRecord, report: Report | None) -> dict[str, float]:
    """The gauges of a run that has ended; the last success is missing when it is not this one, and so is a checkpoint
    of which the run says nothing."""
    assert record.ended is not None
    ended = round(record.ended.timestamp(), 3)
    found: dict[str, float] = {
        LAST_RUN: ended,
        "harvest_last_run_duration_seconds": record.seconds,
        "harvest_last_run_exit_code": record.exit_code or 0,
        **{f"harvest_last_run_{name}": record.counts[name] for name in ("rows", "delivered", "dead")},
    }
    if record.exit_code == 0:
        found[LAST_SUCCESS] = ended
    moment = _checkpoint(job, settings, report.fields if report is not None else {})
    return found if moment is None else {**found, CHECKPOINT: moment}


def _checkpoint(job: Job, settings: Settings, fields: Mapping[str, Any]) -> float | None:
    text = fields.get("checkpoint")
    if not text or job.kind is None:
        return None
    moment = job.moment(job.kind(settings).decode(str(text)))
    return moment.timestamp() if moment is not None else None
