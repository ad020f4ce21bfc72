"""``harvest.py listings``: the group."""

from __future__ import annotations

import click

from harvesters.cli.main import LazyGroup

COMMANDS: dict[str, tuple[str, str, str]] = {
    "send": ("harvesters.cli.listings_send", "send", "Send listings to Kafka, or delete some."),
    "view": ("harvesters.cli.listings_send", "view", "Send a page view to Kafka."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Put listings and page views on Kafka.")
def listings() -> None:
    """Put a market place's listings and page views on Kafka."""
