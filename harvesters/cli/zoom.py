"""``harvest.py zoom``."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from harvesters.cli.choices import Choice
from harvesters.cli.runtime import Zone, given_by_name, progress_bar, running, setting_option, settings_of
from harvesters.timespan import Window, day_window, parse_moment

if TYPE_CHECKING:
    from harvesters.zoom.client import ZoomClient

_SHOWN = "everybody on this machine can read command lines (ps)."


@click.command(short_help="Harvest Zoom meetings and participant sessions.")
@click.option(
    "--date", "day", metavar="YYYY-mm-dd", help="Fetch the meetings that ended on this day; default yesterday."
)
@click.option("-s", "--start", metavar="TIME", help="YYYYMMDDHHmmss or ISO 8601: fetch what ended from then on.")
@click.option("-e", "--end", metavar="TIME", help="YYYYMMDDHHmmss or ISO 8601: up to, without it; default: now.")
@setting_option(
    "--timezone",
    setting="ZOOM_TIMEZONE",
    type=Zone(),
    metavar="ZONE",
    text="Time zone of what a day is, and of --start and --end without an offset.",
)
@click.option("--live", is_flag=True, help="Fetch what ended since the checkpoint, and what appeared late; for cron.")
@click.option(
    "--update-checkpoint/--no-update-checkpoint",
    default=True,
    help="With --live: move the checkpoint, or leave it alone. Default: move it, unless it belongs to another output; "
    "given by name, this output becomes its owner.",
)
@click.option("--plan", is_flag=True, help="Only print the calls that it takes, the budget left and the time expected.")
@click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="A single wait for a rate limit that is longer ends the run with 75; the same command then continues it.",
)
@click.option(
    "-o",
    "--output",
    metavar="es|sqs|-|FILE",
    help='Where to send output: es, Elasticsearch (the default), sqs, "-" for JSON lines on standard output, or a file '
    "that JSON lines are appended to (compressed when it ends in .gz).",
)
@click.option(
    "--destination",
    type=Choice(["index", "stdout"]),
    help="Older spelling of --output: index is es, stdout is -.",
)
@setting_option("--es_host", setting="ES_HOST")
@setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME", instead="--output")
@setting_option("--account-id", setting="ZOOM_ACCOUNT_ID")
@setting_option("--client-id", setting="ZOOM_CLIENT_ID")
@setting_option(
    "--client-secret", setting="ZOOM_CLIENT_SECRET", text=f"Its client secret. Better put it into the setting: {_SHOWN}"
)
@setting_option("--key", setting="ZOOM_KEY")
@setting_option(
    "--secret", setting="ZOOM_SECRET", text=f"Secret of an old JWT app. Better put it into the setting: {_SHOWN}"
)
def zoom(
    day: str | None,
    start: str | None,
    end: str | None,
    live: bool,
    plan: bool,
    update_checkpoint: bool,
    max_wait: float,
    output: str | None,
    destination: str | None,
) -> None:
    """Harvest Zoom meetings and their participant sessions into Elasticsearch, an SQS queue, a file or standard output.

    A meeting belongs to the day it ended in. A run that has to wait too long for a rate limit ends with 75; given
    again, the same command continues it meeting by meeting.

    \b
    Examples:
      harvest.py zoom --es_host localhost:9200
      harvest.py zoom --date 2026-02-13 --timezone America/New_York --output -
      harvest.py zoom --live
      harvest.py zoom --plan
    """
    target = _output(output, destination)
    _check_range(day, start, end, live, plan)
    where = settings_of().timezone("ZOOM_TIMEZONE")
    with running("" if plan else "zoom", live and update_checkpoint) as assembly, progress_bar() as on_plan:
        wanted = None if live else _window(day, start, end, where, assembly.clock.now())
        from harvesters.zoom.run import ZoomRun, open_client, open_sink

        client, account = open_client(assembly, max_wait, () if plan else assembly.output_needs(target))
        if wanted is not None and plan:
            _print_plan(client, wanted)
            return
        command = [day or "yesterday", start or "", end or "", str(where)]
        claim = update_checkpoint and given_by_name("update_checkpoint")
        run = ZoomRun(
            assembly, client, account, lambda: open_sink(assembly, target), on_plan, command, update_checkpoint, claim
        )
        if wanted is None:
            run.live()
        else:
            run.by_hand(wanted)


def _output(output: str | None, destination: str | None) -> str:
    older = {"index": "es", "stdout": "-"}.get(destination or "")
    if output and older and output != older:
        raise click.UsageError(f"--output {output} and --destination {destination} are not the same; give one of them")
    return output or older or "es"


def _check_range(day: str | None, start: str | None, end: str | None, live: bool, plan: bool) -> None:
    if live and (day or start or end or plan):
        raise click.UsageError("--live goes by its checkpoint: it takes no --date, --start, --end or --plan")
    if day and (start or end):
        raise click.UsageError("give either --date or --start and --end")
    if end and not start:
        raise click.UsageError("--end needs a --start")


def _window(day: str | None, start: str | None, end: str | None, where: ZoneInfo, now: datetime) -> Window:
    """What is to be harvested.

    Raises:
        click.UsageError: it cannot be read, is the wrong way round, or lies where Zoom has nothing.
    """
    from harvesters.zoom.ranges import horizon

    if start:
        first = _moment(start, where, "--start")
        now = now.replace(microsecond=0)
        last = min(_moment(end, where, "--end"), now) if end else now
        if first > last:
            raise click.UsageError(f"the start ({first}) lies after the end ({last})")
        window = Window(first, last)
    else:
        today = now.astimezone(where).date()
        chosen = _day(day) if day else today - timedelta(days=1)
        if chosen > today:
            raise click.BadParameter(f"{chosen} has not begun yet", param_hint="--date")
        window = day_window(chosen, where)
    if window.start.date() < horizon(now):
        raise click.UsageError(f"Zoom keeps meetings for six months only: since {horizon(now)}")
    return window


def _moment(text: str, where: ZoneInfo, option: str) -> datetime:
    try:
        return parse_moment(text, where)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def _day(text: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()):
            raise ValueError(text)
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no day; write YYYY-mm-dd", param_hint="--date") from error


def _print_plan(client: ZoomClient, window: Window) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import closing

    from harvesters.zoom.estimate import estimate, lines
    from harvesters.zoom.notebook import Notebook
    from harvesters.zoom.routes import Routes

    with closing(client), ThreadPoolExecutor(1) as pool:
        routes = Routes(client, Notebook(client.clock.now), pool)
        for line in lines(estimate(client, routes, window), client):
            click.echo(line)
