"""``harvest.py messages``: the group."""

from __future__ import annotations

import click

from harvesters.cli.main import LazyGroup

COMMANDS: dict[str, tuple[str, str, str]] = {
    "serve": ("harvesters.cli.messages_serve", "serve", "Serve messages and analytics."),
    "erase": ("harvesters.cli.messages_erase", "erase", "Erase every message of a user, and the logs that name him."),
    "compute": ("harvesters.cli.messages_compute", "compute", "Compute analytics at once, without Celery."),
    "export": ("harvesters.cli.messages_export", "export", "Counts, questions, users, tasks and messages as files."),
    "id_email": ("harvesters.cli.messages_users", "id_email", "Ids and e-mail addresses of an application's users."),
    "apps_usage": ("harvesters.cli.messages_users", "apps_usage", "Which applications each user enabled."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Store, count, export and erase messages of chatbots.")
def messages() -> None:
    """Store, count, export and erase the messages of chatbots."""
