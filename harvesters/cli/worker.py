"""``harvest.py worker``."""

from __future__ import annotations

import logging

import click

from harvesters.cli.choices import Choice
from harvesters.cli.runtime import settings_of

QUEUES = ("harvest", "messages")


@click.command(short_help="Do what is queued: back-fills, analytics.")
@click.option("--concurrency", type=click.IntRange(min=1), default=1, show_default=True, help="Tasks at once.")
@click.option("--queue", "queues", type=Choice(QUEUES), multiple=True, help="Serve this queue only. Can be repeated.")
def worker(concurrency: int, queues: tuple[str, ...]) -> int:
    """Do what is queued until SIGTERM or Ctrl-C: windows of `backfill --executor celery`, analytics of messages.

    A worker needs the settings of the command that queues, and of the job. SIGTERM ends it after the batch, or the
    analytic, in hand.

    \b
    Examples:
      harvest.py worker
      harvest.py worker --concurrency 4 --queue messages
    """
    from harvesters.operate.analytics import check
    from harvesters.tasks.app import make_app, require_celery, run_worker

    require_celery()
    settings, served = settings_of(), list(queues or QUEUES)
    if "messages" in served:
        check(settings)
    level = logging.getLevelName(logging.getLogger().level)
    return run_worker(make_app(settings), concurrency, served, level)
