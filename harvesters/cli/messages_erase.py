"""``harvest.py messages erase``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from harvesters.cli.runtime import running, setting_option
from harvesters.cli.streams import say

if TYPE_CHECKING:
    from harvesters.messages.erasure import Erased


@click.command(short_help="Erase every message of a user, and the logs that name him.")
@click.argument("user")
@setting_option("-e", "--es-host", setting="ES_HOST")
@click.option("--dry-run", is_flag=True, help="Say how many documents would go, and erase none.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def erase(user: str, dry_run: bool, as_json: bool) -> None:
    """Erase every message of USER (its userId) in every project, and the logs whose metadata.userId it is.

    Indices of older versions are looked through too. On failure the command prints the numbers until then, and ends
    with 69; the same command erases the rest.

    \b
    Examples:
      harvest.py messages erase 4711 --dry-run
      harvest.py messages erase 4711
    """
    from harvesters.messages import erasure

    if not user:
        raise click.UsageError("USER is empty")

    def tell(erased: Erased) -> None:
        if as_json:
            say(json.dumps({"messages": erased.messages, "logs": erased.logs}))
        else:
            say(f"{'would erase' if dry_run else 'erased'} {erased.messages} messages and {erased.logs} logs")

    with running() as assembly:
        client = assembly.search()
        try:
            tell(erasure.erase(client, user, dry_run=dry_run))
        except erasure.EraseFailed as error:
            tell(error.erased)
            raise
        finally:
            client.close()
