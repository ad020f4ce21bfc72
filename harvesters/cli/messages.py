"""``harvest.py messages``: the group."""

from __future__ import annotations

import click

from harvesters.cli.main import LazyGroup

COMMANDS: dict[str, tuple[str, str, str]] = {
    "export": ("harvesters.cli.messages_export", "export", "Counts, questions, users, tasks and messages as files."),
    "id_email": ("harvesters.cli.messages_users", "id_email", "Ids and e-mail addresses of an application's users."),
    "apps_usage": ("harvesters.cli.messages_users", "apps_usage", "Which applications each user enabled."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Messages of chatbots: exports.")
def messages() -> None:
    """Messages of chatbots, and what is exported from them and the platform."""
