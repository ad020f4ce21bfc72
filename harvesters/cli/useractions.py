"""``harvest.py useractions``."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from harvesters import settings
from harvesters.cli.runtime import Moment, progress_bar, running, setting_option
from harvesters.collector import uncollected

_ZONE = "OPENCAST_TIMEZONE"


@click.command(short_help="Harvest Opencast user actions.")
@click.option("-s", "--start", type=Moment(_ZONE), help="YYYYMMDDHHmmss or ISO 8601; default: the checkpoint.")
@click.option("-e", "--end", type=Moment(_ZONE), help="YYYYMMDDHHmmss or ISO 8601; default: now.")
@click.option(
    "-w", "--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait between batch requests; default 0."
)
@setting_option("-H", "--engage_host", setting="MATTERHORN_ENGAGE_HOST")
@setting_option("-u", "--user", setting="MATTERHORN_REST_USER")
@setting_option(
    "-p",
    "--password",
    setting="MATTERHORN_REST_PASS",
    text="Its password. Better put it into the setting: everybody on this machine can read command lines (ps).",
)
@click.option(
    "-o",
    "--output",
    metavar="sqs|es|-|FILE",
    help='Where to send output: sqs (the default), es for Elasticsearch (ES_HOST), "-" for JSON lines on standard '
    "output, or a file that JSON lines are appended to (compressed when it ends in .gz).",
)
@setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME")
@click.option(
    "-b", "--batch-size", type=click.IntRange(min=1), default=1000, help="Number of actions per request; default 1000."
)
@setting_option(
    "-i",
    "--interval",
    setting="DEFAULT_INTERVAL",
    type=click.FloatRange(min=0),
    text="Harvest actions from this many minutes ago, when there is neither --start nor a checkpoint.",
)
@click.option("--disable-start-end-span-check", is_flag=True, help="Don't abort on too-long start-end time spans.")
@click.option(
    "--update-last-ts/--no-update-last-ts",
    default=True,
    help="Move the checkpoint (the default), or leave it alone and send the whole range: for back-fills.",
)
def useractions(
    start: datetime | None,
    end: datetime | None,
    wait: float,
    engage_host: str | None,
    user: str | None,
    password: str | None,
    output: str | None,
    queue_name: str | None,
    batch_size: int,
    interval: float | None,
    disable_start_end_span_check: bool,
    update_last_ts: bool,
) -> None:
    """Harvest Opencast user actions, with their episodes, into an SQS queue, Elasticsearch, a file or standard output.

    Covers the time since the checkpoint, or a range given by --start and --end. The checkpoint moves when everything
    is delivered, so the same command, started again, goes on where the last run ended.

    \b
    Examples:
      harvest.py useractions
      harvest.py useractions --batch-size 100 --interval 1 --output -
      harvest.py useractions -s 20260213000000 -e 20260214000000 --no-update-last-ts -o day.jsonl.gz
    """
    with uncollected():
        from harvesters.live import Span, WindowError
        from harvesters.opencast.client import OpencastClient
        from harvesters.opencast.episodes import EpisodeLookup
        from harvesters.opencast.useractions import UserActions

    with running() as runtime, progress_bar() as on_plan:
        sink = runtime.sink(output, queue_name, fresh_pattern="useractions-*")
        host = settings.require("MATTERHORN_ENGAGE_HOST", engage_host, "-H/--engage_host")
        client = OpencastClient(
            settings.base_url(host, "MATTERHORN_ENGAGE_HOST"),
            settings.require("MATTERHORN_REST_USER", user, "-u/--user"),
            settings.require("MATTERHORN_REST_PASS", password, "-p/--password"),
            settings.choice("OPENCAST_AUTH", ("digest", "basic")),
            runtime.retry,
            settings.number("HARVEST_HTTP_TIMEOUT", minimum=0.001),
        )
        lookup = EpisodeLookup(client, runtime.cache, settings.number("EPISODE_CACHE_EXPIRE"))
        stepwise = update_last_ts and sink.durable
        harvest = UserActions(client, lookup, runtime.cache, settings.timezone(_ZONE), batch_size, wait, stepwise)
        span = Span(
            start,
            end,
            timedelta(minutes=settings.number("DEFAULT_INTERVAL", interval)),
            timedelta(seconds=settings.number("HARVEST_LOOKBACK")),
            update_last_ts,
        )
        live = runtime.live_harvest(
            "useractions", settings.get("S3_LAST_ACTION_TS_KEY"), _ZONE, not disable_start_end_span_check
        )
        try:
            live.run(span, harvest, sink, on_plan)
        except WindowError as error:
            raise click.UsageError(str(error)) from error
