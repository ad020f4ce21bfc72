"""``harvest.py listings count``."""

from __future__ import annotations

import click

from harvesters.cli.durations import Duration
from harvesters.cli.runtime import running, setting_option


@click.command(short_help="Count the views of the access log into the listings.")
@click.option("--every", type=Duration(), help="Count again and again, so often, until SIGTERM: 30s, 5m or 1h.")
@setting_option("--access-log", setting="ACCESS_LOG")
@setting_option("-i", "--index", setting="LISTINGS_INDEX")
@setting_option("-e", "--es-host", setting="ES_HOST")
def count(every: float | None) -> None:
    """Count the page views in the access log, and bring visits and hot of each listing up to date in Elasticsearch.

    Only what is new in the log is read, and only listings with new views are written. Totals are written, so counting
    again counts nothing twice. Views of a listing that is not there wait until it is.

    \b
    Examples:
      harvest.py listings count
      harvest.py listings count --every 30s
    """
    from harvesters.listings.counts import count_views

    with running("listings-count") as assembly:
        count_views(assembly, every)
