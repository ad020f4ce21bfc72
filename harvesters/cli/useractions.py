"""``harvest.py useractions``."""

from __future__ import annotations

from datetime import datetime

import click

from harvesters.cli.runtime import Moment, given_by_name, progress_bar, running, setting_option
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
@setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME", instead="--output")
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
    help="Move the checkpoint, or leave it alone and send the whole range: for back-fills. Default: move it, unless it "
    "belongs to another output; given by name, this output becomes its owner.",
)
def useractions(
    start: datetime | None,
    end: datetime | None,
    wait: float,
    output: str | None,
    batch_size: int,
    disable_start_end_span_check: bool,
    update_last_ts: bool,
) -> None:
    """Harvest Opencast user actions, with their episodes, into an SQS queue, Elasticsearch, a file or standard output.

    Covers the time since the checkpoint, or a range given by --start and --end. The checkpoint moves when everything
    is delivered, so the same command, started again, goes on where the last run ended. It belongs to the output that
    moved it last: a look at standard output beside the job of a queue leaves it where it is.

    \b
    Examples:
      harvest.py useractions
      harvest.py useractions --batch-size 100 --interval 1 --output -
      harvest.py useractions -s 20260213000000 -e 20260214000000 --no-update-last-ts -o day.jsonl.gz
    """
    with uncollected():
        from harvesters.opencast import run, useractions  # noqa: F401 - the latter is what takes its time

    wanted = run.ActionsWanted(
        start,
        end,
        output,
        batch_size,
        wait,
        guarded=not disable_start_end_span_check,
        update=update_last_ts,
        claim=update_last_ts and given_by_name("update_last_ts"),
    )
    with running("useractions", update_last_ts and start is None) as assembly, progress_bar() as on_plan:
        run.harvest_useractions(assembly, wanted, on_plan)
