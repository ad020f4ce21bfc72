"""``harvest.py pseudonym``."""

from __future__ import annotations

import json

import click

from harvesters.cli.runtime import running, setting_option, settings_of
from harvesters.cli.streams import standard_input


@click.command(short_help="The pseudonyms of a value, and what is under them.")
@click.argument("value", metavar="VALUE|-")
@click.option("--json", "as_json", is_flag=True, help="As one JSON array.")
@click.option("--find", is_flag=True, help="Name every document in Elasticsearch that has one of them: INDEX _id.")
@setting_option("-e", "--es-host", setting="ES_HOST")
def pseudonym(value: str, as_json: bool, find: bool) -> None:
    """Print the pseudonyms of VALUE, one for each key of HARVEST_PSEUDONYM_KEY: ID PSEUDONYM.

    With - the values come from standard input, one a line: everybody on this machine can read command lines (ps).

    \b
    Examples:
      harvest.py pseudonym 10564389
      harvest.py pseudonym - --find < values.txt
    """
    from harvesters.pseudonyms import keys_of

    keys = keys_of(settings_of())
    values = _lines(standard_input()) if value == "-" else [value]
    found = [(key.id, made) for each in values for key in keys if (made := key.pseudonym(each)) is not None]
    if len(found) < len(values) * len(keys) or not values:
        raise click.UsageError("there is nothing to make a pseudonym of: empty values and anonymous stay as they are")
    if find:
        _print_documents([made for _, made in found], as_json)
    elif as_json:
        click.echo(json.dumps([{"id": id, "pseudonym": made} for id, made in found]))
    else:
        for id, made in found:
            click.echo(f"{id} {made}")


def _lines(content: bytes) -> list[str]:
    try:
        return [line for line in content.decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise click.UsageError("standard input is no UTF-8") from error


def _print_documents(pseudonyms: list[str], as_json: bool) -> None:
    from harvesters.search.mentions import mentions

    with running() as assembly:
        places = mentions(assembly.search(), pseudonyms)
        if as_json:
            click.echo(json.dumps([{"index": index, "_id": id} for index, id in places]))
            return
        for index, id in places:
            click.echo(f"{index} {id}")
