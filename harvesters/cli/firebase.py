"""``harvest.py firebase``: the group, and what its commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from harvesters.cli.main import LazyGroup
from harvesters.cli.runtime import setting_option

if TYPE_CHECKING:
    from harvesters.firebase.sentiment import Sentiment

COMMANDS: dict[str, tuple[str, str, str]] = {
    "export": ("harvesters.cli.firebase_export", "export", "Export a database, or a part of it, verbatim."),
    "load": ("harvesters.cli.firebase_events", "load", "Load a dump of events into Elasticsearch."),
    "events": ("harvesters.cli.firebase_events", "events", "Harvest new events; for cron."),
    "profiles": ("harvesters.cli.firebase_mirror", "profiles", "Index the profiles."),
    "classes": ("harvesters.cli.firebase_mirror", "classes", "Index the classes."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Export and harvest a Firebase Realtime Database.")
def firebase() -> None:
    """Export and harvest a Firebase Realtime Database. It is only ever read."""


def source_options(command: Any) -> Any:
    """The options that say which database, and who we are."""
    options = [
        setting_option("--endpoint", setting="FIREBASE_ENDPOINT"),
        setting_option(
            "--key",
            setting="FIREBASE_KEY",
            text="Legacy database secret. Better put it into the setting: everybody on this machine can read command "
            "lines (ps).",
        ),
        setting_option(
            "--credentials",
            setting="FIREBASE_CREDENTIALS",
            text="Service-account file, instead of the secret; the setting may hold its JSON or base64, too.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def page_size_option(most: int | None) -> Callable[[Any], Any]:
    """``--page-size``; None is as many as make small and quick answers."""
    default = most if most is not None else "as many as make answers of 4 MB within 2 s"
    return click.option(
        "--page-size",
        type=click.IntRange(min=1),
        default=most,
        help=f"Most children per request; fewer are asked for when they are too big; default {default}.",
    )


output_option = click.option(
    "-o",
    "--output",
    metavar="es|sqs|-|FILE",
    default="es",
    help='Where to send output: es (Elasticsearch, the default), sqs, "-" for JSON lines on standard output, or a file '
    "that JSON lines are appended to (compressed when it ends in .gz).",
)

sentiment_option = click.option(
    "--sentiment", is_flag=True, help="Score the bodies of chat messages (needs pip install 'harvest[sentiment]')."
)


def node_path(text: str) -> tuple[str, ...]:
    """The keys of a path given on the command line."""
    from harvesters.firebase.keys import split_path

    try:
        return split_path(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def maybe_sentiment(wanted: bool) -> Sentiment | None:
    """The function that scores messages, if it is wanted."""
    from harvesters.firebase.sentiment import open_sentiment

    return open_sentiment() if wanted else None
