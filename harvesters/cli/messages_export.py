"""``harvest.py messages export``."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harvesters.cli.exporting import bar, mistakes, platform_of, platform_options, require_extra, span
from harvesters.cli.runtime import running, setting_option, settings_of

if TYPE_CHECKING:
    from harvesters.messages.exports.export import Asked
    from harvesters.settings import Settings

log = logging.getLogger(__name__)


@click.command(short_help="Counts, questions, users, tasks and messages as files.")
@setting_option("-af", "--analytic_file", setting="ANALYTIC_FILE")
@setting_option("-qf", "--question_file", setting="QUESTION_FILE")
@setting_option("-uf", "--user_file", setting="USER_FILE")
@setting_option("-tf", "--task_file", setting="TASK_FILE")
@setting_option("-mf", "--message_file", setting="MESSAGE_FILE")
@setting_option("-ai", "--app_id", setting="APP_ID")
@setting_option("-ii", "--ilog_id", setting="ILOG_ID")
@setting_option("-si", "--survey_id", setting="SURVEY_ID")
@platform_options
@setting_option("--es-host", setting="ES_HOST")
def export() -> None:
    """Counts, questions, users, tasks and messages of an application in a span of time, each in a file.

    Only the files that are named are written, and only what they need is asked for: messages come from Elasticsearch,
    all else from the platform. All files are replaced when all are complete; after a failure the old ones stand.

    \b
    Examples:
      harvest.py messages export -ai chatbot -r 30D -mf messages.json
      harvest.py messages export -s 2021-07-01 -e 2021-08-01 -af counts.csv -qf questions.tsv
    """
    from harvesters.messages.exports.export import Export
    from harvesters.messages.exports.source import Stored

    settings = settings_of()
    asked = _asked(settings)
    bounds, zone = span(settings)
    if bounds is None:
        raise click.UsageError("no span of time is given: give -r/--range, or -s/--start and -e/--end")
    needed = ["APP_ID"]
    if asked.platform:
        needed += ["INSTANCE", "APIKEY"]
    if asked.users is not None:
        needed += ["ILOG_ID", "SURVEY_ID"]
    settings.require_all(*needed)
    require_extra("emoji")
    app, ilog, survey = (settings.get(name) for name in ("APP_ID", "ILOG_ID", "SURVEY_ID"))
    with (
        running() as assembly,
        platform_of(assembly) if asked.platform else nullcontext() as platform,
        bar(assembly) as show,
    ):
        source = Stored(assembly, app, bounds)
        Export(asked, app, bounds, zone, source, platform, ilog, survey, show).write()
    log.info("exported %s", ", ".join(map(str, asked.paths)))


def _asked(settings: Settings) -> Asked:
    """The files that are to be written.

    Raises:
        UsageError: there is none, one is of another kind, or two are one.
    """
    from harvesters.messages.exports.export import Asked
    from harvesters.messages.exports.files import ARRAYS, SHEETS, check_distinct, path_of

    def sheet(name: str) -> Path | None:
        return path_of(settings, name, SHEETS)

    def array(name: str) -> Path | None:
        return path_of(settings, name, ARRAYS)

    with mistakes():
        asked = Asked(
            analytics=sheet("ANALYTIC_FILE"),
            questions=sheet("QUESTION_FILE"),
            users=sheet("USER_FILE"),
            tasks=array("TASK_FILE"),
            messages=array("MESSAGE_FILE"),
        )
        check_distinct(asked.paths)
    if not asked.paths:
        raise click.UsageError("no file is named: give at least one of -af, -qf, -uf, -tf and -mf")
    return asked
