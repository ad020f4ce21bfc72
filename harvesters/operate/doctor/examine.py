"""All checks in one table, made at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harvesters import telemetry
from harvesters.errors import ConfigError, Exit
from harvesters.operate.doctor import cluster, outward, places, servers, sources, told
from harvesters.operate.doctor.check import FAIL, Check, Examination, Probe
from harvesters.operate.jobs import JOBS, Job
from harvesters.operate.within import ask_within
from harvesters.settings import Settings

WITHIN = 18.0
"""Seconds that everything has to answer."""

_GRAVEST = (Exit.CONFIG, Exit.CREDENTIALS, Exit.PROTOCOL, Exit.UNAVAILABLE)


def _always(about: Examination) -> bool:
    return True


def _given(*names: str) -> Callable[[Examination], bool]:
    return lambda about: any(about.settings.given(name) for name in names)


def _asked(part: str, *names: str) -> Callable[[Examination], bool]:
    """Whether one of the jobs uses `part` and these settings are there; without JOB, one of them is enough."""

    def wanted(about: Examination) -> bool:
        uses = any(part in job.uses for job in about.jobs)
        has = all(about.settings.get(name) for name in names)
        return has and (uses or (not about.named and _given(*names)(about)))

    return wanted


PROBES: tuple[Probe, ...] = (
    Probe(("settings",), _always, told.settings),
    Probe(("privacy",), _always, told.privacy),
    Probe(("state",), lambda about: not about.settings.get("S3_HARVEST_TS_BUCKET"), places.state),
    Probe(("s3", "state", "s3.conditional"), _given("S3_HARVEST_TS_BUCKET"), places.s3),
    Probe(("redis",), _asked("redis", "REDIS_URL"), places.redis),
    Probe(
        ("sqs",), lambda about: _queue(about) not in ("", "-") and _asked("sqs", "SQS_QUEUE_NAME")(about), places.sqs
    ),
    Probe(("deadletters",), _always, places.deadletters),
    Probe(("elasticsearch", "elasticsearch.templates"), _asked("elasticsearch", "ES_HOST"), cluster.elasticsearch),
    Probe(
        ("opencast", "opencast.login", "opencast.usertracking", "opencast.timezone"),
        _asked("opencast", "MATTERHORN_ENGAGE_HOST", "MATTERHORN_REST_USER", "MATTERHORN_REST_PASS"),
        sources.opencast,
    ),
    Probe(
        ("opencast",),
        _asked("opencast.admin", "MATTERHORN_ADMIN_HOST", "MATTERHORN_REST_USER", "MATTERHORN_REST_PASS"),
        sources.opencast_admin,
    ),
    Probe(("ping",), _given("HARVEST_PING_URL"), outward.ping),
    Probe(("metrics",), _given("HARVEST_METRICS_FILE"), outward.metrics),
    Probe(("zoom",), lambda about: _configured(about, "zoom"), sources.zoom),
    Probe(("firebase",), lambda about: _configured(about, "firebase-events"), sources.firebase),
    Probe(("kafka",), _asked("kafka"), servers.kafka),
    Probe(("celery",), _given("CELERY_BROKER_URL"), servers.celery),
    Probe(("platform",), lambda about: not about.named and _given("INSTANCE")(about), servers.platform),
)


def examine(settings: Settings, jobs: Sequence[Job], more: Sequence[Probe] = ()) -> list[Check]:
    """Make all checks about `jobs`, about what the settings name where none are given; and `more`."""
    chosen = jobs or [job for job in JOBS if job.configured(settings)]
    about = {probe: Examination(settings, chosen, named=bool(jobs)) for probe in (*PROBES, *more)}
    wanted = {probe: one for probe, one in about.items() if probe.wanted(one)}
    questions = {str(at): _question(probe, one) for at, (probe, one) in enumerate(wanted.items())}
    ask_within(WITHIN, questions)
    return [check for probe, one in wanted.items() for check in _found(probe, one)]


def exit_code(checks: Sequence[Check]) -> Exit:
    """The gravest of what fails: what cannot be right before something else is, first."""
    codes = {check.code for check in checks if check.status == FAIL}
    return next((code for code in _GRAVEST if code in codes), Exit.DONE)


def _question(probe: Probe, about: Examination) -> Callable[[], None]:
    def ask() -> None:
        try:
            probe.run(about)
        except ConfigError as error:  # the settings are in the way, and `settings` says so as well
            about.fail(probe.names[0], error, "See `harvest.py config`.", Exit.CONFIG)
        except Exception as error:
            telemetry.log_bug(type(error), error, error.__traceback__)
            about.fail(probe.names[0], type(error).__name__, "This is a bug; please report it.")
        about.done = True

    return ask


def _found(probe: Probe, about: Examination) -> list[Check]:
    found = [*about.found]
    if not about.done:
        met = {check.check for check in found}
        hangs = next((name for name in probe.names if name not in met), probe.names[-1])
        remedy = "Look whether it runs, and whether something between drops what is sent to it."
        found.append(Check(hangs, FAIL, f"no answer within {WITHIN:.0f} s", remedy))
    return found


def _queue(about: Examination) -> str:
    return about.settings.get("SQS_QUEUE_NAME")


def _configured(about: Examination, name: str) -> bool:
    return any(job.name == name and job.configured(about.settings) for job in about.jobs)
