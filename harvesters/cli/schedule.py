"""``harvest.py schedule``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harvesters.cli.choices import did_you_mean
from harvesters.cli.main import LazyGroup
from harvesters.cli.runtime import settings_of
from harvesters.files import refusal
from harvesters.settings import Settings

if TYPE_CHECKING:
    from harvesters.operate.schedule.entry import Entry, Installation

log = logging.getLogger(__name__)

_DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.group(cls=LazyGroup, short_help="Entries for cron, systemd or Kubernetes.")
def schedule() -> None:
    """Print entries that run jobs by the clock. Nothing is installed, and no secret is in them.

    JOB is useractions, index, load_episodes, zoom, firebase-events, listings-index, listings-log or listings-count;
    without one, all that the settings name. JOB=EVERY says how often: 2m, 1h, 1d.
    """


def _options(*options: Any) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        for option in reversed([click.argument("jobs", nargs=-1, metavar="[JOB[=EVERY]]..."), *options]):
            command = option(command)
        return command

    return add


_env_file = click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="Settings file that the runs read; default: the one that this command reads.",
)
_log_dir = click.option("--log-dir", type=_DIRECTORY, help="Directory where each job has its log, JOB.log.")
_output_dir = click.option(
    "--output-dir", type=_DIRECTORY, help="Write files into this directory instead of standard output."
)


@schedule.command(short_help="Lines for a crontab.")
@_options(
    _env_file,
    click.option("--mailto", metavar="ADDRESS", help="Who gets cron's mail."),
    _log_dir,
    _output_dir,
)
def crontab(
    jobs: tuple[str, ...], env_file: Path | None, mailto: str | None, log_dir: Path | None, output_dir: Path | None
) -> None:
    """Print lines for a crontab.

    \b
    Examples:
      harvest.py schedule crontab | crontab -
      harvest.py schedule crontab useractions=5m load_episodes --mailto ops@example.edu
    """
    from harvesters.operate.schedule import crontab as cron

    if mailto is not None and (not mailto.isprintable() or set(mailto) & set("\"'\\")):
        raise click.BadParameter(f"{mailto!r} is no address", param_hint="--mailto")
    lines = cron.crontab(_entries(jobs, env_file), _installation(env_file, log_dir), mailto)
    _write([("harvest.crontab", lines)], output_dir)


@schedule.command(short_help="Services and timers for systemd.")
@_options(_env_file, _log_dir, _output_dir)
def systemd(jobs: tuple[str, ...], env_file: Path | None, log_dir: Path | None, output_dir: Path | None) -> None:
    """Print a service and a timer a job; for worker, beat and serve, when they are named, a service.

    \b
    Examples:
      harvest.py schedule systemd --output-dir /etc/systemd/system
      harvest.py schedule systemd worker beat serve --output-dir /etc/systemd/system
    """
    from harvesters.operate.schedule.service import SERVICES
    from harvesters.operate.schedule.systemd import units

    services = [SERVICES[name] for name in dict.fromkeys(jobs) if name in SERVICES]
    rest = [name for name in jobs if name not in SERVICES]
    entries = _entries(rest, env_file) if rest or not services else []
    _write([*units(entries, _installation(env_file, log_dir), services)], output_dir)


@schedule.command(short_help="CronJobs for Kubernetes.")
@_options(
    click.option("--image", metavar="IMAGE", help="The image of docker/Dockerfile; default harvest:VERSION."),
    _output_dir,
)
def kubernetes(jobs: tuple[str, ...], image: str | None, output_dir: Path | None) -> None:
    """Print a CronJob a job. The settings come from the Secret harvest.

    \b
    Example:
      harvest.py schedule kubernetes --image registry.example.edu/harvest:1.0 | kubectl apply -f -
    """
    from harvesters import __version__
    from harvesters.operate.schedule.kubernetes import cronjobs

    if not settings_of().get("S3_HARVEST_TS_BUCKET"):
        log.warning(
            "S3_HARVEST_TS_BUCKET is not set: a pod's files are new each time, so each run would begin without a "
            "checkpoint. Name a bucket, in the Secret too."
        )
    _write([*cronjobs(_entries(jobs), image or f"harvest:{__version__}")], output_dir, between="---\n")


def _entries(wanted: Iterable[str], env_file: Path | None = None) -> list[Entry]:
    """The jobs that were named, or all that the settings name.

    Raises:
        click.UsageError: there is no such job, or nothing that cron can say.
    """
    from harvesters.operate.jobs import BY_NAME, JOBS
    from harvesters.operate.schedule.entry import Entry
    from harvesters.operate.schedule.every import Every
    from harvesters.operate.schedule.service import SERVICES

    settings = _settings(env_file)
    used = [job.name for job in JOBS if job.configured(settings)] or [job.name for job in JOBS if not job.signs]
    found: dict[str, Entry] = {}
    for text in wanted or used:
        name, equals, every = text.partition("=")
        job = BY_NAME.get(name.replace("load-episodes", "load_episodes"))
        if name in SERVICES:
            raise click.UsageError(f"{name} does not run by the clock: name it alone, to schedule systemd")
        if job is None:
            raise click.UsageError(f"there is no job {name!r}.{did_you_mean(name, BY_NAME)}")
        if job.name in found:
            raise click.UsageError(f"{job.name} is given twice")
        try:
            found[job.name] = Entry(job, Every.read(every if equals else job.every))
        except ValueError as error:
            raise click.UsageError(f"{job.name}: {error}") from error
    return [*found.values()]


def _installation(env_file: Path | None, log_dir: Path | None) -> Installation:
    from harvesters.operate.schedule.entry import Installation

    chosen = env_file or click.get_current_context().find_root().params.get("env_file")
    for path in (chosen, log_dir):
        if path is not None and not str(path).isprintable():
            raise click.UsageError(f"{str(path)!r} is no path that a line can hold")
    return Installation.here(chosen, _settings(env_file).state_dir(), log_dir)


def _settings(env_file: Path | None) -> Settings:
    """Those that the runs will read."""
    return Settings.read(env_file) if env_file is not None else settings_of()


def _write(files: list[tuple[str, str]], directory: Path | None, between: str = "") -> None:
    if directory is None:
        several = len(files) > 1
        texts = [f"# {name}\n{text}" if several and not between else text for name, text in files]
        click.echo((between or "\n").join(texts), nl=False)
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files:
            (directory / name).write_text(text)
            log.info("wrote %s", directory / name)
    except OSError as error:
        remedy = "Give --output-dir a directory that this user may write."
        raise refusal(error, directory, remedy) from error
