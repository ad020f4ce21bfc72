"""``harvest.py listings``: the group."""

from __future__ import annotations

import click

from harvesters.cli.main import LazyGroup

COMMANDS: dict[str, tuple[str, str, str]] = {
    "send": ("harvesters.cli.listings_send", "send", "Send listings to Kafka, or delete some."),
    "view": ("harvesters.cli.listings_send", "view", "Send a page view to Kafka."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Listings and page views: Kafka to Elasticsearch.")
def listings() -> None:
    """A market place's listings and page views: from Kafka into Elasticsearch, an access log and a ranking."""
