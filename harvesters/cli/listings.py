"""``harvest.py listings``: the group."""

from __future__ import annotations

import click

from harvesters.cli.main import LazyGroup

COMMANDS: dict[str, tuple[str, str, str]] = {
    "index": ("harvesters.cli.listings_index", "index", "Index the listings in Kafka into Elasticsearch."),
    "log": ("harvesters.cli.listings_log", "log", "Write page views from Kafka into the access log."),
    "count": ("harvesters.cli.listings_count", "count", "Count the views of the access log into the listings."),
    "send": ("harvesters.cli.listings_send", "send", "Send listings to Kafka, or delete some."),
    "view": ("harvesters.cli.listings_send", "view", "Send a page view to Kafka."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Put listings and page views on Kafka.")
def listings() -> None:
    """Put a market place's listings and page views on Kafka."""
