"""``harvest.py status``."""

from __future__ import annotations

import json
import logging
from typing import Any

import click

from harvesters.cli.choices import Choice
from harvesters.cli.durations import Duration
from harvesters.cli.runtime import settings_of
from harvesters.operate.jobs import BY_NAME, JOBS

log = logging.getLogger(__name__)


class Lag(click.ParamType):  # type: ignore[type-arg]
    """``DURATION`` for every job, or ``JOB=DURATION`` for one."""

    name = "lag"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[str, ...], float]:
        name, equals, text = str(value).rpartition("=")
        if equals and name not in BY_NAME:
            self.fail(f"{name!r} is none of {', '.join(BY_NAME)}", param, ctx)
        return (name,) if equals else (), Duration(bare=False).convert(text, param, ctx)


job_argument = click.argument("jobs", nargs=-1, type=Choice([*BY_NAME]), metavar="[JOB]…")
"""The names of jobs; none for all."""


@click.command(short_help="How the jobs are doing: lag, leases, last runs.")
@job_argument
@click.option(
    "--max-lag",
    "lags",
    type=Lag(),
    multiple=True,
    metavar="DURATION|JOB=DURATION",
    help="A job whose lag is longer is late, and the exit code 69: 90s, 15m, 1h or 7d, for all or for one job.",
)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(jobs: tuple[str, ...], lags: tuple[tuple[tuple[str, ...], float], ...], as_json: bool) -> int:
    """Show how far each job is behind, who is at it, and how its last runs ended; and how many dead letters there are.

    Asks no source: only the places of checkpoints and dead letters, of which one that does not answer is named. The lag
    is the time since the checkpoint; of a job without one, since its last success. Exit code 69: a job is late, or a
    place does not answer.

    \b
    Examples:
      harvest.py status
      harvest.py status useractions zoom --max-lag 15m --max-lag zoom=1h --json
    """
    from harvesters.operate.status import status as look

    limits: dict[str, float] = {}
    for names, seconds in sorted(lags, key=lambda lag: len(lag[0])):  # what is said of one job counts more
        limits |= dict.fromkeys(names or BY_NAME, seconds)
    named = {*jobs, *(name for names, _ in lags for name in names)}
    chosen = [job for job in JOBS if not jobs or job.name in named]
    answer = look(settings_of(), chosen, limits, named)
    if as_json:
        click.echo(json.dumps(answer.found))
    else:
        _print(answer.found)
    for trouble in answer.troubles:
        log.error("%s", trouble)
    return answer.code


def _print(found: dict[str, Any]) -> None:
    for job in found["jobs"]:
        unknown = "no success yet" if job["last_run"] else "never ran"
        lag = unknown if job["lag"] is None else f"{_duration(job['lag'])} behind"
        words = [f"{job['job']:<16}", f"{lag}{', late' if job['late'] else ''}"]
        if run := job["last_run"]:
            words.append(f"last run {run['started']}: {run['outcome']}")
        if lease := job["lease"]:
            words.append(f"process {lease['pid']} on {lease['host']} is at it")
        words += [
            f"back-fill {one['id']} to {one['output']}: {one['missing']} windows missing, {one['failed']} failed"
            for one in job["backfills"]
        ]
        click.echo("  ".join(words))
    letters = found["dead_letters"]
    click.echo(f"{'dead letters':<16}  {'?' if letters['count'] is None else letters['count']} in {letters['where']}")


def _duration(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
