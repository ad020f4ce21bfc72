"""``harvest.py firebase profiles`` and ``firebase classes``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from harvesters.cli.firebase import node_path, output_option, source_options
from harvesters.cli.progress import progress
from harvesters.cli.runtime import running, setting_option
from harvesters.firebase.parts import open_client, open_index, open_indices, open_scrubber, open_sink


def _options(path: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def add(command: Callable[..., None]) -> Callable[..., None]:
        options = [
            click.option("--path", default=path, help=f"Where they are; default {path}."),
            output_option,
            setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME", instead="--output"),
            click.option("--sync", is_flag=True, help="Delete from the index what is gone from the database, too."),
            click.option(
                "--allow-empty", is_flag=True, help="With --sync: believe an empty database, and empty the index."
            ),
            source_options,
        ]
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command(short_help="Index the profiles.")
@_options("users")
def profiles(**options: Any) -> None:
    """Index all profiles, after reading all of them: when the source fails nothing is changed.

    \b
    Example:
      harvest.py firebase profiles --sync
    """
    from harvesters.firebase.people import indexed_profile, profile

    _mirror("profiles", indexed_profile if options["output"] == "es" else profile, **options)


@click.command(short_help="Index the classes.")
@_options("classes")
def classes(**options: Any) -> None:
    """Index all classes, after reading all of them: when the source fails nothing is changed.

    \b
    Example:
      harvest.py firebase classes --sync
    """
    from harvesters.firebase.people import course

    _mirror("classes", course, **options)


def _mirror(
    what: str,
    fill: Any,
    path: str,
    output: str,
    sync: bool,
    allow_empty: bool,
) -> None:
    from harvesters.firebase.mirror import Mirror
    from harvesters.firebase.people import EntityMapper
    from harvesters.firebase.run import mirror

    if sync and output != "es":
        raise click.UsageError("--sync deletes from an index: it needs --output es")
    if allow_empty and not sync:
        raise click.UsageError("--allow-empty is about what --sync may delete")
    with running(f"firebase-{what}", moves=False) as assembly, progress(f"indexing {what}") as show:
        client = open_client(assembly, output)
        indices = open_indices(assembly.settings)
        name = indices.profiles if what == "profiles" else indices.classes
        mirrored = Mirror(
            client,
            node_path(path),
            EntityMapper(name, fill, open_scrubber(assembly.settings)),
            open_index(assembly, name) if sync else None,
            allow_empty,
        )
        # All of it was written anew, and a search asks each segment: so it is merged at the end, as months are.
        sink = open_sink(assembly, output, name, lambda document: name, complete=lambda document: name)
        mirror(assembly, mirrored, sink, what, lambda counts: show(counts.fraction, f"{counts.delivered:,} {what}"))
