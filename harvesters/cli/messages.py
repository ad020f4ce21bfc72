"""``harvest.py messages``: the group."""

from __future__ import annotations

import click

from harvesters.cli.main import LazyGroup

COMMANDS: dict[str, tuple[str, str, str]] = {
    "serve": ("harvesters.cli.messages_serve", "serve", "Serve messages and analytics, as `serve --parts messages`."),
    "erase": ("harvesters.cli.messages_erase", "erase", "Erase every message of a user, and the logs that name him."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Store, count, export and erase messages of chatbots.")
def messages() -> None:
    """Store, count, export and erase the messages of chatbots."""
