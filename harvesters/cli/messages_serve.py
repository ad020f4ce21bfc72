"""``harvest.py messages serve``."""

from __future__ import annotations

import click

from harvesters.cli.serve import listen, where_options


@click.command(short_help="Serve messages and analytics.")
@where_options
@click.pass_context
def serve(context: click.Context, workers: int) -> None:
    """Take messages and logs, give messages out, and compute analytics, until SIGTERM or Ctrl-C.

    It is `serve --parts messages`. On loopback anybody may ask. On another address everybody needs a key
    (HARVEST_API_KEYS).

    \b
    Example:
      harvest.py messages serve --port 8000
    """
    listen(context, ["messages"], workers)
