"""``harvest.py backfill``."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import orjson

from harvesters.cli.choices import Choice
from harvesters.cli.durations import Duration, length
from harvesters.cli.progress import progress, steerable
from harvesters.cli.runtime import running, setting_option, settings_of
from harvesters.intervals import Intervals
from harvesters.spans import WindowError
from harvesters.timespan import Window, iso, parse_moment

if TYPE_CHECKING:
    from harvesters.operate.backfill import Backfill, Wanted
    from harvesters.operate.dispatch import Dispatch
    from harvesters.operate.foreman import Tally
    from harvesters.operate.jobs import Job

log = logging.getLogger(__name__)

_MINUTE = 60.0
_MOST = 1_000_000  # windows of one run, each of which is remembered
_JOBS = ("useractions", "load_episodes", "zoom", "firebase-events")
_BY_HAND = {
    "useractions": "harvest.py useractions --start {start} --end {end} --no-update-last-ts --output -",
    "zoom": "harvest.py zoom --start {start} --end {end} --output -",
    "firebase-events": "harvest.py firebase events --start {start} --end {end} --output -",
}


class _Job(Choice):
    """A job that can be back-filled; of another one it says that it cannot."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The job's name."""
        if str(value) == "index":
            self.fail("index has no past: what is in the queue comes with its next run", param, ctx)
        chosen: str = super().convert(str(value).replace("load-episodes", "load_episodes"), param, ctx)
        return chosen


@click.command(short_help="Harvest a range of the past, window by window.")
@click.argument("job", type=_Job(_JOBS))
@click.option("-s", "--start", metavar="TIME", help="From then on: YYYYMMDDHHmmss or ISO 8601, in the zone of the job.")
@click.option("-e", "--end", metavar="TIME", help="Up to, without it; one in the future is now.")
@click.option(
    "--step",
    type=Duration(bare=False),
    help="How long a window is: 90s, 15m, 1h, 7d; default 1h, of zoom and episodes 1d.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=4, show_default=True, help="Windows that are harvested at once."
)
@click.option(
    "-o",
    "--output",
    metavar="sqs|es|FILE",
    help="Where to send output, as the job has it by hand: of useractions sqs by default, of the others es.",
)
@setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME", instead="--output")
@click.option(
    "--executor",
    type=Choice(["local", "celery"]),
    default="local",
    show_default=True,
    help="Who works: this machine, or the workers of harvest.py worker.",
)
@click.option("--again", is_flag=True, help="Do the range anew, also what is done.")
@click.option(
    "--max-failures",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="So many windows in a row that fail end the run.",
)
@click.option("--dry-run", is_flag=True, help="Only print what is left to do, START/END a line.")
@click.option("--status", is_flag=True, help="Only say what is done, running, failed and missing.")
@click.option("--json", "as_json", is_flag=True, help="Print that as JSON: of --status, or at the end of a run.")
def backfill(
    job: str,
    start: str | None,
    end: str | None,
    step: float | None,
    workers: int,
    output: str | None,
    executor: str,
    again: bool,
    max_failures: int,
    dry_run: bool,
    status: bool,
    as_json: bool,
) -> None:
    """Harvest a range of the past into one output, window by window, while the live runs go on beside it.

    JOB is useractions, load_episodes, zoom or firebase-events. What is done is remembered for each output, so the same
    command, or one of a wider range, does only what is missing. Windows that fail are named at the end.

    \b
    Examples:
      harvest.py backfill useractions --start 2026-02-01 --end 2026-03-01
      harvest.py backfill zoom -s 2026-01-01 -e 2026-02-01 --dry-run
      harvest.py backfill useractions --status --json
    """
    if dry_run and status:
        raise click.UsageError("--dry-run and --status exclude one another")
    with running() as assembly:
        from harvesters.operate.backfill import Backfill, Wanted
        from harvesters.operate.jobs import BY_NAME

        chosen = BY_NAME[job]
        assembly.job = chosen.name
        first, last = _moment(start, chosen, "--start"), _moment(end, chosen, "--end")
        if not status:
            _ = assembly.outbound  # pseudonyms that cannot be made end it before anything is read
        if not status and (first is None or last is None):
            raise click.UsageError("--start and --end say which range is to be harvested")
        _refuse_standard_output(chosen, output, start, end)
        if executor == "celery":
            from harvesters.tasks.app import require_celery

            _refuse_file(chosen, output)
            require_celery()
        with closing(Backfill(assembly, chosen, output, looks=status or dry_run)) as filled:
            now = assembly.clock.now()
            if status:
                _print_status(filled, first, last, now, as_json)
                return
            assert first is not None
            assert last is not None
            long = timedelta(seconds=step) if step is not None else chosen.step
            filled.ranges.require()
            window = filled.ranges.fitted(first, last, now)
            _refuse_tiny(window, long)
            wanted = Wanted(window, long, again, max_failures)
            filled.ranges.check(wanted.step)
            if dry_run:
                _print_left(filled, wanted)
                return
            try:
                _run(filled, wanted, workers, executor)
            finally:
                if as_json:
                    _print_status(filled, window.start, window.end, now, True)


def _moment(text: str | None, job: Job, option: str) -> datetime | None:
    """The time that an option says, in the zone of the job's own ``--start`` and ``--end``."""
    if text is None:
        return None
    try:
        return parse_moment(text, settings_of().timezone(job.zone) if job.zone else UTC)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def _refuse_standard_output(job: Job, output: str | None, start: str | None, end: str | None) -> None:
    """What reads standard output may leave at any time, and nobody knows then what it got."""
    chosen = output or job.output
    if chosen == "-" or (chosen == "sqs" and settings_of().get("SQS_QUEUE_NAME") == "-"):
        by_hand = _BY_HAND.get(job.name, "").format(start=start or "START", end=end or "END")
        raise click.UsageError(
            "a back-fill remembers what its output got, and standard output says nothing of that: give --output a "
            f"file, or harvest the range by hand{': ' if by_hand else ''}{by_hand}"
        )


def _refuse_tiny(window: Window, step: timedelta) -> None:
    if step < timedelta(seconds=1) or (window.end - window.start) / step > _MOST:
        raise click.BadParameter(
            f"that makes more than {_MOST:,} windows, or shorter ones than 1s", param_hint="--step"
        )


def _refuse_file(job: Job, output: str | None) -> None:
    """A file of which machine? Workers may be on any."""
    if (output or job.output) not in ("sqs", "es", ""):
        raise click.UsageError("workers may be on any machine, so a file is no output for --executor celery: sqs or es")


def _run(filled: Backfill, wanted: Wanted, workers: int, executor: str) -> None:
    if not wanted.again and not filled.missing(wanted):
        log.info("all of %s is done: there is nothing to do", wanted.window)
        return
    from harvesters.operate.foreman import Foreman
    from harvesters.runs import run

    with _shown() as show:
        work: Foreman | Dispatch
        if executor == "celery":
            from harvesters.operate.dispatch import Dispatch
            from harvesters.tasks.app import make_app, reach
            from harvesters.tasks.backfill import TaskQueue

            app, retry = make_app(filled.assembly.settings), filled.assembly.retry
            reach(app, retry)
            work = Dispatch(filled, wanted, TaskQueue(app, retry), show)
        else:
            work = Foreman(filled, wanted, workers, show)
        run(work, filled.assembly.clock)


def _print_left(filled: Backfill, wanted: Wanted) -> None:
    state = filled.load()
    left = filled.left(state, wanted)
    if left:
        done = Intervals.of([wanted.window]) - left
        for window in filled.steps(state, wanted).left(wanted.window, done):
            click.echo(str(window))


def _print_status(filled: Backfill, start: datetime | None, end: datetime | None, now: datetime, as_json: bool) -> None:
    state = filled.load()
    whole = state.whole
    first, last = start or (whole.start if whole else None), end or (whole.end if whole else None)
    if last is not None:
        last = min(last, now.replace(microsecond=0))
    if first is not None and last is not None and first > last:
        raise WindowError(f"the start ({iso(first)}) lies after the end ({iso(last)})")
    window = Window(first, last) if first is not None and last is not None else None
    found = filled.shown(state, window)
    if as_json:
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    click.echo(f"{found['job']} {found['id']} into {found['output']}")
    for kind in ("done", "running", "failed", "missing"):
        for one in found[kind]:
            more = [str(one[name]) for name in ("worker", "code", "error") if name in one]
            click.echo(" ".join([kind, f"{one['start']}/{one['end']}", *more]))


@contextmanager
def _shown() -> Iterator[Callable[[Tally], None]]:
    """A bar on a terminal, else a line a minute."""
    began = said = time.monotonic()
    with progress("back-filling") as bar:

        def show(tally: Tally) -> None:
            nonlocal said
            now = time.monotonic()
            bar(tally.ended / max(1, tally.windows), _words(tally, now - began))
            if not steerable(sys.stderr) and now - said >= _MINUTE:
                said = now
                log.info("%s", _words(tally, now - began))

        yield show


def _words(tally: Tally, seconds: float) -> str:
    left = f", {length((tally.windows - tally.ended) * seconds / tally.ended)} left" if tally.ended else ""
    rate = tally.documents / max(seconds, 0.001)
    return f"{tally.ended} of {tally.windows} windows, {rate:,.0f} documents/s{left}"
