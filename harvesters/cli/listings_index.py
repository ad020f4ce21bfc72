"""``harvest.py listings index``."""

from __future__ import annotations

import click

from harvesters import collector
from harvesters.cli.runtime import running, setting_option


@click.command(short_help="Index the listings in Kafka into Elasticsearch.")
@click.option(
    "--drain/--follow",
    default=True,
    help="End when the group has all that the topic held at the start (the default; for cron), or go on until SIGTERM "
    "(for a service).",
)
@setting_option("--topic", setting="LISTINGS_TOPIC")
@setting_option("--group", setting="LISTINGS_GROUP")
@setting_option("--index", setting="LISTINGS_INDEX")
@setting_option("-e", "--es-host", setting="ES_HOST")
def index(drain: bool) -> None:
    """Index the listings in a topic of Kafka into Elasticsearch, each in its latest version.

    Several processes share the partitions. A message is committed when Elasticsearch has acknowledged its listing. One
    that is no listing, or that Elasticsearch refuses for good, goes to the dead letters first.

    \b
    Examples:
      harvest.py listings index
      harvest.py listings index --follow
    """
    from harvesters.kafka.config import require_client
    from harvesters.listings.run import index_listings

    collector.rest()
    with running("listings-index", stays=not drain) as assembly:
        require_client()
        index_listings(assembly, follow=not drain)
