"""``harvest.py messages compute``."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import click

from harvesters.cli.choices import Choice
from harvesters.cli.runtime import running, setting_option
from harvesters.cli.streams import say

if TYPE_CHECKING:
    from harvesters.messages.analytics import AnalyticStore, Stored


@click.command(short_help="Compute analytics at once, without Celery.")
@click.option("--id", help="Only this one.")
@click.option(
    "--type", "kind", type=Choice(["moving", "fixed"], case_sensitive=False), help="With that type of window."
)
@click.option("--due", is_flag=True, help="What `beat` has computed each day.")
@setting_option("-e", "--es-host", setting="ES_HOST")
def compute(id: str | None, kind: str | None, due: bool) -> int:
    """Compute analytics at once, and keep their results: all of them, unless an option says which.

    Due are moving windows, and fixed ones that have no result or were not over when it was computed. The last line
    of output is {"computed": n, "failed": n}. When some failed the others are done, and the command ends with 69, or
    with 77 where credentials were refused.

    \b
    Examples:
      harvest.py messages compute
      harvest.py messages compute --due
      harvest.py messages compute --id 5c7e8a9e-6b0c-4f5e-9a53-2f1f6d3a7b11
    """
    if sum((id is not None, kind is not None, due)) > 1:
        raise click.UsageError("--id, --type and --due exclude one another")
    from harvesters.messages.analytics import Computer, rounds
    from harvesters.messages.platform import Platform

    with running() as assembly:
        with closing(
            Computer(
                assembly.search(),
                lambda: Platform.from_settings(assembly.settings, assembly.retry),
                assembly.settings,
                assembly.clock,
            )
        ) as computer:
            done = rounds.compute(computer, _wanted(computer.store, id, kind, due))
        say(json.dumps({"computed": done.computed, "failed": done.failed}))
    return done.code


def _wanted(store: AnalyticStore, id: str | None, kind: str | None, due: bool) -> list[Stored]:
    from harvesters.messages.analytics import UnknownAnalytic

    if id is not None:
        found = store.find(id)
        if found is None:
            raise UnknownAnalytic(f"there is no analytic {id[:100]!r}")
        return [found]
    return [*store.all(lambda stored: stored.is_due if due else kind in (None, stored.kind))]
