"""``harvest.py beat``."""

from __future__ import annotations

from contextlib import closing, suppress

import click

from harvesters.cli.runtime import running
from harvesters.errors import Interrupted


@click.command(short_help="Queue what workers have to compute each day.")
def beat() -> None:
    """Have workers compute the analytics of messages again each day, until SIGTERM or Ctrl-C.

    MESSAGES_BEAT says at what time, in MESSAGES_TIMEZONE. What came due while no beat ran is queued at once. Several
    may run: each time is queued once.

    \b
    Example:
      harvest.py beat
    """
    from harvesters.tasks.app import make_app, require_celery

    require_celery()
    from harvesters.tasks.beat import beat_of

    with running(stays=True) as assembly, suppress(Interrupted):
        app = make_app(assembly.settings)
        with closing(beat_of(app, assembly.settings, assembly.clock)) as one:
            one.run()
