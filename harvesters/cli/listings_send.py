"""``harvest.py listings send`` and ``listings view``."""

from __future__ import annotations

from contextlib import closing

import click

from harvesters.cli.runtime import running, setting_option
from harvesters.cli.streams import say


@click.command(short_help="Send listings to Kafka, or delete some.")
@click.argument("what", nargs=-1, required=True, metavar="FILE|-")
@click.option("--delete", is_flag=True, help="Delete the listings with these ids instead: --delete ID [ID…].")
@setting_option("--topic", setting="LISTINGS_TOPIC")
def send(what: tuple[str, ...], delete: bool) -> None:
    """Send the listings in a file of JSON lines, or in standard input (-), to Kafka; a name in .gz is compressed.

    Each line is checked. One that is no listing is named with its number and left out; the
    command ends with 65 then. The topic is made if it is missing.

    \b
    Examples:
      harvest.py listings send new.jsonl
      harvest.py listings send --delete 42 43
    """
    from harvesters.listings.lines import deletions, listings_in
    from harvesters.listings.send import Sender, SendLines
    from harvesters.runs import run

    if not delete and len(what) != 1:
        raise click.UsageError("give one FILE, or - for standard input (or --delete and ids)")
    with running() as assembly, closing(Sender(assembly.settings, assembly.retry)) as sender:
        lines = deletions(what) if delete else listings_in(what[0], assembly.stop)
        run(SendLines(sender, lines, assembly.stop), assembly.clock)


@click.command(short_help="Send a page view to Kafka.")
@click.argument("user")
@click.argument("item")
@setting_option("--topic", setting="VIEWS_TOPIC")
def view(user: str, item: str) -> None:
    """Send that USER looked at the listing ITEM, both of them ids, and say where in Kafka that is.

    \b
    Example:
      harvest.py listings view u123 42
    """
    from harvesters.listings.send import Sender

    with running() as assembly, closing(Sender(assembly.settings, assembly.retry)) as sender:
        sent = sender.view(user, item)
    say(f"{sent.topic}/{sent.partition}/{sent.offset}")
