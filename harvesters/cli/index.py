"""``harvest.py index``."""

from __future__ import annotations

import click

from harvesters.cli.runtime import running, setting_option
from harvesters.errors import ConfigError


@click.command(short_help="Index the messages of an SQS queue into Elasticsearch.")
@setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME")
@setting_option("-e", "--es-host", setting="ES_HOST")
@click.option(
    "--drain/--follow",
    default=True,
    help="End when the queue is empty (the default; for cron), or go on until SIGTERM (for a service).",
)
@click.option(
    "--receivers",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Threads that receive, in each process; as many delete.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option(
    "--visibility-timeout",
    type=click.IntRange(2, 43_200),
    default=60,
    show_default=True,
    help="Seconds after which an unfinished message is shown to others again. Extended while it is worked on.",
)
def index(drain: bool, receivers: int, workers: int, visibility_timeout: int) -> int:
    """Index the user actions in an SQS queue into daily indices, useractions-YYYY.MM.DD by their UTC date.

    A message is deleted when Elasticsearch has acknowledged its document. One that is no user action, or that
    Elasticsearch refuses for good, goes to the dead letters first. Messages in the form of older versions are brought
    into today's.

    \b
    Examples:
      harvest.py index
      harvest.py index --follow --workers 2 --receivers 8
    """
    from harvesters.indexing.run import IndexWanted, index_in_processes, index_queue

    wanted = IndexWanted(not drain, receivers, visibility_timeout)
    with running("index", stays=not drain) as assembly:
        if assembly.settings.get("SQS_QUEUE_NAME") in ("", "-"):
            raise ConfigError("SQS_QUEUE_NAME is not set: name the queue in .env or with -q/--queue-name.")
        if workers > 1:
            return index_in_processes(assembly, wanted, workers)
        index_queue(assembly, wanted)
    return 0
