"""``harvest.py firebase``: the group, and what its commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from harvesters.assembly import Assembly
from harvesters.cli.main import LazyGroup
from harvesters.cli.runtime import setting_option, settings_of

if TYPE_CHECKING:
    from harvesters.document import Document
    from harvesters.firebase.client import FirebaseClient
    from harvesters.firebase.elastic import SearchIndex
    from harvesters.firebase.indices import Indices
    from harvesters.firebase.scrub import Scrubber
    from harvesters.firebase.sentiment import Sentiment
    from harvesters.sinks.base import Sink

_IN_FLIGHT = 3  # bulk requests: events come in order of time, and each one under way writes a segment of the same month

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


def open_client(assembly: Assembly, output: str | None = "-") -> FirebaseClient:
    """The database that the settings name; what is missing for it and for `output` is named at once.

    Raises:
        ConfigError: something is missing.
    """
    from harvesters.firebase.auth import Auth, LegacySecret, ServiceAccount
    from harvesters.firebase.client import FirebaseClient
    from harvesters.firebase.credentials import service_account
    from harvesters.http import HttpSource
    from harvesters.privacy import redact

    settings, timeout = assembly.settings, assembly.timeout
    by_flag = "FIREBASE_KEY" in settings.flags and "FIREBASE_CREDENTIALS" not in settings.flags
    account = "" if by_flag else settings.get("FIREBASE_CREDENTIALS")
    secret = settings.get("FIREBASE_KEY")
    needs = assembly.output_needs(output)
    settings.require_all(*needs, "FIREBASE_ENDPOINT", ("FIREBASE_CREDENTIALS", "FIREBASE_KEY"))
    where = settings.get("FIREBASE_ENDPOINT")
    name = redact(f"Firebase at {where.partition('?')[0].rstrip('/')}")
    auth: Auth
    if account:
        auth = ServiceAccount(service_account(account), HttpSource("Google's token endpoint", assembly.retry, timeout))
    else:
        auth = LegacySecret(secret)
    return FirebaseClient(where, auth, HttpSource(name, assembly.retry, timeout))


def node_path(text: str) -> tuple[str, ...]:
    """The keys of a path given on the command line."""
    from harvesters.firebase.keys import split_path

    try:
        return split_path(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def open_scrubber() -> Scrubber:
    """What ``FIREBASE_SCRUB`` says must not be seen."""
    from harvesters.firebase.scrub import Scrubber

    return Scrubber.parse(settings_of().get("FIREBASE_SCRUB"))


def open_indices() -> Indices:
    """The names of the indices."""
    from harvesters.firebase.indices import PERIODS, Indices

    settings = settings_of()
    return Indices(settings.get("FIREBASE_INDEX_PREFIX"), settings.choice("FIREBASE_INDEX_PERIOD", PERIODS))


def maybe_sentiment(wanted: bool) -> Sentiment | None:
    """The function that scores messages, if it is wanted."""
    from harvesters.firebase.sentiment import open_sentiment

    return open_sentiment() if wanted else None


def open_sink(
    assembly: Assembly,
    output: str,
    name: str,
    index_name: Callable[[Document], str],
    several: bool = False,
    complete: Callable[[Document], str] | None = None,
) -> Sink:
    """The sink of ``--output``; in Elasticsearch documents go to indices behind the alias (or index) `name`.

    `several`: whether there are several. `complete`: the index of a document, if nothing more will come to it after
    this run; such are merged at the end.

    Raises:
        ConfigError: it is ``sqs`` and no queue is named.
    """
    if output != "es":
        return assembly.sink(output)
    from harvesters.firebase.elastic import IndexingSink
    from harvesters.sinks.elastic import ElasticSink

    index = open_index(assembly, name)
    sink = ElasticSink(index.client, index_name, threads=_IN_FLIGHT, fresh_pattern=f"{name}*")
    return IndexingSink(sink, index, index_name if several else None, complete)


def open_index(assembly: Assembly, name: str) -> SearchIndex:
    """What is in Elasticsearch behind `name`."""
    from harvesters.firebase.elastic import SearchIndex

    return SearchIndex(assembly.search(), name)
