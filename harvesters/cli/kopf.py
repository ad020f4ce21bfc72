"""``harvest.py dev install_kopf``: what became of the plugin that older installations had here."""

from __future__ import annotations

import click

from harvesters.cli.streams import say
from harvesters.errors import ConfigError

EXPLANATION = """\
kopf is gone: it was a site plugin, and Elasticsearch has had none since version 5.0 (2016). Nothing is installed.
In its place there are
  Cerebro, by kopf's author: `harvest.py dev install_kopf` starts it in a container. Its last release (0.9.4, 2021) is
    older than Elasticsearch 8 and does not know all its node roles, nor composable templates.
  Kibana: Stack Monitoring shows nodes, indices and shards, Dev Tools sends any request."""


@click.command(short_help="What became of kopf, and its successor.")
@click.option("--explain", is_flag=True, help="Explain only; start nothing.")
def install_kopf(explain: bool) -> None:
    """Say what became of the kopf plugin, and start Cerebro, its successor, where there is Docker.

    \b
    Example:
      harvest.py dev install_kopf
    """
    from harvesters.dev.compose import Compose
    from harvesters.dev.services import SERVICES

    say(EXPLANATION)
    kibana = f"{SERVICES['kibana'].url}/app/monitoring"
    if explain:
        return
    try:
        compose = Compose.find()
    except ConfigError as error:
        say(f"\nCerebro cannot be started. {error}\nWhere there is a Kibana, see {kibana}")
        return
    compose.up(["cerebro"])
    say(
        f"\nCerebro: {SERVICES['cerebro'].url}/#!/overview?host=http://elasticsearch:9200\n"
        f"Kibana:  {kibana}\n`harvest.py dev down` ends both."
    )
