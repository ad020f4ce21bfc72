"""``harvest.py listings log``."""

from __future__ import annotations

import click

from harvesters.cli.runtime import running, setting_option


@click.command(short_help="Write page views from Kafka into the access log.")
@click.option(
    "--drain/--follow",
    default=True,
    help="End with what the topic held at the start (the default; for cron), or go on until SIGTERM (for a service).",
)
@setting_option("--topic", setting="VIEWS_TOPIC")
@setting_option("--access-log", setting="ACCESS_LOG")
def log(drain: bool) -> None:
    """Write each page view of a Kafka topic once into the access log: a line with user, tab and listing.

    One process writes a log, and reads all partitions. How far it is stands beside the log, in ACCESS_LOG.offsets, and
    is changed after the lines are on the disk; so nothing is lost or doubled, however the command ends. A message that
    is no page view goes to the dead letters.

    \b
    Examples:
      harvest.py listings log
      harvest.py listings log --follow
    """
    from harvesters.kafka.config import require_client
    from harvesters.listings.viewlog import log_views

    with running("listings-log", stays=not drain) as assembly:
        require_client()
        log_views(assembly, follow=not drain)
