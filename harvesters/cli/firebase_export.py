"""``harvest.py firebase export``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harvesters import collector
from harvesters.cli.choices import Choice
from harvesters.cli.firebase import node_path, page_size_option, source_options
from harvesters.cli.progress import progress
from harvesters.cli.runtime import running
from harvesters.firebase.parts import open_client

if TYPE_CHECKING:
    from harvesters.firebase.dumps.writing import ExportCounts


@click.command(short_help="Export a database, or a part of it, verbatim.")
@click.argument("path", default="")
@click.option(
    "-o",
    "--output",
    metavar="-|FILE",
    default="-",
    help='File to write, or "-" for standard output (the default). A file that is there is gone on with.',
)
@click.option(
    "--format",
    "form",
    type=Choice(["jsonl", "json"]),
    default="jsonl",
    help="jsonl (the default): a line {key, value} per child. json: one object.",
)
@click.option("--restart", is_flag=True, help="Begin anew, and forget what is in the file.")
@page_size_option(None)
@source_options
def export(
    path: str,
    output: str,
    form: str,
    restart: bool,
    page_size: int | None,
) -> None:
    """Export the children of PATH, or without it the whole database, verbatim: nothing is scrubbed.

    Any size, in little memory. The same command after a kill goes on where the file ends.

    \b
    Examples:
      harvest.py firebase export events --output events.jsonl
      harvest.py firebase export --format json -o database.json
      harvest.py firebase export users | gzip > users.jsonl.gz
    """
    from harvesters.firebase.documents import milliseconds
    from harvesters.firebase.dumps.file import ExportFile, ExportStdout, ExportWriter
    from harvesters.firebase.dumps.formats import Format, Lines, OneObject
    from harvesters.firebase.dumps.writing import Export
    from harvesters.firebase.paging import PageSize
    from harvesters.firebase.verbatim import parse_verbatim
    from harvesters.firebase.walk import Walk

    if output.endswith(".gz"):
        raise click.UsageError("a compressed file cannot be gone on with: write a plain one, or pipe - into gzip")
    if restart and output == "-":
        raise click.UsageError("--restart is for files; standard output always begins anew")
    collector.rest()
    with running() as assembly, progress("exporting") as show:
        client = open_client(assembly)
        writing: Format = Lines() if form == "jsonl" else OneObject()
        writer: ExportWriter = ExportStdout(writing) if output == "-" else ExportFile(Path(output), writing, restart)
        walk = Walk(client, node_path(path), PageSize(page_size), parse_verbatim)
        watch = _watch(show, milliseconds(assembly.clock.now()))
        Export(walk, writer, assembly.clock, assembly.stop).run(watch)


def _watch(show: Callable[[float, str], None], now: int) -> Callable[[ExportCounts], None]:
    """Shows how far an export is: how many children there are is not known, but push ids tell the time."""
    from harvesters.firebase.keys import time_of

    begun: int | None = None

    def watch(counts: ExportCounts) -> None:
        nonlocal begun
        time = time_of(counts.last[-1], now) if counts.last else None
        begun = time if begun is None else begun
        fraction = (time - begun) / max(1, now - begun) if time is not None and begun is not None else 0.0
        show(fraction, f"{counts.children:,} children, {counts.bytes / 1e6:,.1f} MB")

    return watch
