"""``harvest.py query``."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import click

from harvesters.cli.choices import format_option
from harvesters.cli.runtime import Moment, running, setting_option
from harvesters.cli.streams import standard_input

_ZONE = "OPENCAST_TIMEZONE"


@click.command(short_help="Ask a saved query, or one from standard input.")
@click.argument("name", required=False, metavar="[NAME|-]")
@format_option
@click.option("-s", "--start", type=Moment(_ZONE), help="Only documents with a timestamp from then on.")
@click.option("-e", "--end", type=Moment(_ZONE), help="Only documents with a timestamp before that.")
@click.option("--source", default="", help="Only documents of the Opencast of that name (OPENCAST_SOURCE).")
@click.option("--index", help="Index or pattern to ask, instead of the query's own.")
@setting_option("--es-host", setting="ES_HOST")
@click.option("-o", "--output", metavar="-|FILE", help="Where to write; default: standard output.")
def query(
    name: str | None,
    style: str,
    start: datetime | None,
    end: datetime | None,
    source: str,
    index: str | None,
    output: str | None,
) -> None:
    """Ask our indices a saved query (a file in queries/), or one given on standard input (-).

    Without a name it lists the saved queries.

    \b
    Examples:
      harvest.py query
      harvest.py query top_episodes --start 20260201000000 --format csv
      echo '{"query": {"term": {"huid": "10564389"}}}' | harvest.py query -
    """
    from harvesters.elastic.errors import Refused
    from harvesters.search.answers import columns_of, to_rows
    from harvesters.search.countable import require_countable
    from harvesters.search.reader import IndexReader
    from harvesters.search.saved import QueryError, find_query, parse_query, saved_queries
    from harvesters.tables.output import WRITERS, opened
    from harvesters.tables.viewers import warn_where_there_are_none

    write = WRITERS[style]
    if name is None:
        listed = [{"name": saved.name, "description": saved.description} for saved in saved_queries()]
        with opened(output) as stream:
            write(listed, ["name", "description"], stream)
        return
    with running() as assembly:
        try:
            found = parse_query(standard_input(), "on standard input") if name == "-" else find_query(name)
            found = replace(found, index=index or found.index).between(start, end)
            reader = IndexReader(assembly.search(), found.index, source)
            require_countable(reader, found.body)
            answer = reader.search(found.body)
        except QueryError as error:
            raise click.UsageError(str(error)) from error
        except Refused as error:
            raise click.UsageError(f"the cluster does not understand the query: {error.reason}") from error
        rows = to_rows(answer)
        if not rows and found.types:
            warn_where_there_are_none(reader, found.types)
        with opened(output) as stream:
            write(rows, columns_of(rows), stream)
