"""Who hears of the runs of a job: one place where they are all named."""

from __future__ import annotations

from harvesters.assembly import Assembly
from harvesters.errors import HarvestError
from harvesters.operate.jobs import BY_NAME, Job
from harvesters.operate.records import RecordKeeper
from harvesters.watched import Listener


def listeners(assembly: Assembly, name: str) -> list[Listener]:
    """Those of a run of the job called `name`; none for what is no job, or where settings are in the way."""
    job = BY_NAME.get(name)
    if job is None:
        return []
    found: list[Listener] = []
    for made in (_keeper, _pinger, _metrics, _exporter):
        try:
            listener = made(assembly, job)
        except HarvestError:
            continue  # the run itself says what is wrong with the setting
        if listener is not None:
            found.append(listener)
    return found


def _keeper(assembly: Assembly, job: Job) -> Listener:
    return RecordKeeper(job.records(assembly))


def _pinger(assembly: Assembly, job: Job) -> Listener | None:
    if not assembly.settings.given("HARVEST_PING_URL"):
        return None
    from harvesters.operate.ping import Pinger

    return Pinger(assembly.settings, job.name)


def _metrics(assembly: Assembly, job: Job) -> Listener | None:
    if not assembly.settings.given("HARVEST_METRICS_FILE"):
        return None
    from harvesters.operate.metricsfile import MetricsWriter

    return MetricsWriter(job, assembly.settings)


def _exporter(assembly: Assembly, job: Job) -> Listener | None:
    if not (assembly.settings.otlp("TRACES") or assembly.settings.otlp("METRICS")):
        return None
    from harvesters.operate.otel import Exporter

    return Exporter(job, assembly.settings)
