"""``harvest.py firebase load`` and ``firebase events``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harvesters import collector
from harvesters.cli.firebase import (
    maybe_sentiment,
    node_path,
    output_option,
    page_size_option,
    sentiment_option,
    source_options,
)
from harvesters.cli.progress import progress
from harvesters.cli.runtime import Moment, given_by_name, running, setting_option

if TYPE_CHECKING:
    from harvesters.pipeline import Counts
    from harvesters.timespan import Window

_ZONE = "FIREBASE_TIMEZONE"


@click.command(short_help="Load a dump of events into Elasticsearch.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--path", default="", help="Where in the dump the events are, such as events; default: nothing else.")
@output_option
@setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME", instead="--output")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=4000, help="Events read and delivered at once; default 4000."
)
@sentiment_option
def load(file: Path, path: str, output: str, batch_size: int, sentiment: bool) -> None:
    """Load a dump of events: an object or an array, or the JSON lines of an export; gzip too.

    FILE may be of any size; it is read as a stream. Loading it again is harmless.

    \b
    Examples:
      harvest.py firebase load events.json
      harvest.py firebase load whole-database.json.gz --path events
    """
    from harvesters.firebase.dumps.reading import Dump
    from harvesters.firebase.load import DumpHarvest
    from harvesters.firebase.parts import open_indices, open_mapper, open_sink
    from harvesters.firebase.run import load_dump

    collector.rest()
    with running("firebase-events", moves=False) as assembly, progress("loading") as show:
        dump = Dump(file, node_path(path))
        dump.check()
        indices = open_indices(assembly.settings)
        harvest = DumpHarvest(dump, open_mapper(assembly.settings, maybe_sentiment(sentiment)), batch_size)
        complete = indices.over(assembly.clock.now())
        sink = open_sink(assembly, output, indices.events, indices.of_event, True, complete)
        load_dump(assembly, harvest, sink, lambda counts: show(dump.fraction, f"{counts.delivered:,} events"))


@click.command(short_help="Harvest new events; for cron.")
@click.option("--path", default="events", help="Where the events are; default events.")
@output_option
@setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME", instead="--output")
@click.option("--follow", is_flag=True, help="Stay, and listen for events as they happen, until SIGTERM or Ctrl-C.")
@click.option(
    "-s",
    "--start",
    type=Moment(_ZONE),
    help="By hand, instead of what is new: events from YYYYMMDDHHmmss or ISO 8601 on.",
)
@click.option("-e", "--end", type=Moment(_ZONE), help="With --start: up to this time; default: now.")
@click.option(
    "--update-checkpoint/--no-update-checkpoint",
    default=True,
    help="Move the checkpoint, or leave it alone and send what is new all the same. Default: move it, unless it "
    "belongs to another output; given by name, this output becomes its owner.",
)
@sentiment_option
@page_size_option(1000)
@source_options
def events(
    path: str,
    output: str,
    follow: bool,
    start: datetime | None,
    end: datetime | None,
    update_checkpoint: bool,
    sentiment: bool,
    page_size: int,
) -> None:
    """Harvest the events that came since the checkpoint, the last push id; without one from the first key.

    Events whose keys are no push ids are found too. The checkpoint moves when everything before it is delivered, so
    the same command, started again, goes on where the last run ended.

    \b
    Examples:
      harvest.py firebase events
      harvest.py firebase events --follow --output sqs -q buddyup-events
      harvest.py firebase events -s 2016-01-01 -e 2016-02-01 -o january.jsonl
    """
    from harvesters.firebase.cursor import SinceKey
    from harvesters.firebase.events import Events
    from harvesters.firebase.follow import FollowedEvents
    from harvesters.firebase.parts import open_events, open_events_sink, open_index, open_indices
    from harvesters.firebase.run import event_place, harvest_events

    if follow and start is not None:
        raise click.UsageError("--follow goes on from the checkpoint; it cannot be combined with --start")
    collector.rest()
    moves = update_checkpoint and start is None
    with running("firebase-events", moves, stays=follow) as assembly, progress("harvesting") as show:
        score, kind = maybe_sentiment(sentiment), FollowedEvents if follow else Events
        harvest = open_events(assembly, output, node_path(path), score, page_size, kind)
        if isinstance(harvest, FollowedEvents) and output == "es":
            harvest.index = open_index(assembly, open_indices(assembly.settings).events)
        span = _span(start, end, assembly.clock.now())
        asked = SinceKey(span, update_checkpoint and span is None)
        sink = open_events_sink(assembly, output)
        claim = update_checkpoint and given_by_name("update_checkpoint")
        watch = _show(show)
        harvest_events(assembly.parts, event_place(assembly), harvest, sink, asked, watch, claim)


def _show(bar: Callable[[float, str], None]) -> Callable[[Counts], None]:
    return lambda counts: bar(counts.fraction, f"{counts.delivered:,} events")


def _span(start: datetime | None, end: datetime | None, now: datetime) -> Window | None:
    from harvesters.timespan import Window

    if start is None:
        if end is not None:
            raise click.UsageError("--end needs --start")
        return None
    if start > (end or now):
        raise click.UsageError(f"the start ({start}) lies after the end ({end or now})")
    return Window(start, end or now)
