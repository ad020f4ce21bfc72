"""``harvest.py messages id_email`` and ``apps_usage``: tables of users, made from what the platform knows."""

from __future__ import annotations

import logging
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harvesters.cli.exporting import bar, mistakes, platform_of, platform_options, require_extra, span
from harvesters.cli.runtime import running, setting_option, settings_of
from harvesters.errors import ConfigError

if TYPE_CHECKING:
    from harvesters.messages.exports.appsusage import Usage
    from harvesters.settings import Settings

log = logging.getLogger(__name__)


@click.command("id_email", short_help="Ids and e-mail addresses of an application's users.")
@setting_option("-f", "--file", setting="FILE")
@setting_option("-ai", "--app_id", setting="APP_ID")
@platform_options
def id_email() -> None:
    """Ids and e-mail addresses of those who enabled an application, in a span of time or ever.

    \b
    Example:
      harvest.py messages id_email -ai chatbot -f emails.csv -r 30D
    """
    from harvesters.messages.exports import idemail

    settings = settings_of()
    path = _sheet(settings, "FILE", "-f/--file")
    bounds, zone = span(settings)
    settings.require_all("APP_ID", "INSTANCE", "APIKEY")
    with running() as assembly, platform_of(assembly) as platform, bar(assembly) as show:
        count = idemail.write(path, settings.get("APP_ID"), bounds, zone, platform, show)
    log.info("exported %d users to %s", count, path)


@click.command("apps_usage", short_help="Which applications each user enabled.")
@setting_option("-o", "--output", setting="OUTPUT_FILE")
@setting_option("-ai", "--app_ids", setting="APP_IDS")
@setting_option("-ii", "--ilog_id", setting="ILOG_ID")
@setting_option("-si", "--survey_id", setting="SURVEY_ID")
@setting_option("-u", "--updates", setting="USER_UPDATES_DUMP")
@setting_option("-f", "--failures", setting="USER_FAILURES_DUMP")
@platform_options
def apps_usage() -> None:
    """Which applications each user enabled, and whether they took part in the survey.

    The survey's dumps are csv or tsv files with the columns wenet_id and last_update (or failure_datetime); dates in
    them may be written in any way, and are UTC where they have no offset.

    \b
    Example:
      harvest.py messages apps_usage -o usage.csv -ai 'chatbot;helper' -ii ilog -si survey -u updates.csv
    """
    from harvesters.messages.exports import appsusage

    settings = settings_of()
    path = _sheet(settings, "OUTPUT_FILE", "-o/--output")
    usage, zone = _usage(settings, path)
    with running() as assembly, platform_of(assembly) as platform, bar(assembly) as show:
        count = appsusage.write(path, usage, zone, platform, show)
    log.info("exported %d users to %s", count, path)


def _usage(settings: Settings, output: Path) -> tuple[Usage, tzinfo]:
    from harvesters.messages.exports import appsusage, dumps
    from harvesters.messages.exports.files import SHEETS, check_distinct, path_of

    with mistakes():
        columns = {"USER_UPDATES_DUMP": dumps.UPDATED, "USER_FAILURES_DUMP": dumps.FAILED}
        given = {path_of(settings, name, SHEETS): column for name, column in columns.items()}
        files = {path: column for path, column in given.items() if path is not None}
        check_distinct([output, *files])
    bounds, zone = span(settings)
    settings.require_all("APP_IDS", "ILOG_ID", "SURVEY_ID", "USER_UPDATES_DUMP", "INSTANCE", "APIKEY")
    require_extra("dateparser")
    completed = [entry for path, column in files.items() for entry in dumps.read(path, column)]
    apps = appsusage.listed(settings.get("APP_IDS"))
    if not apps:
        raise ConfigError("APP_IDS names no application: write ids with semicolons between.")
    return appsusage.Usage(apps, settings.get("ILOG_ID"), settings.get("SURVEY_ID"), completed, bounds), zone


def _sheet(settings: Settings, name: str, option: str) -> Path:
    """The file that is to be written.

    Raises:
        UsageError: none is named, or one of another kind.
    """
    from harvesters.messages.exports.files import SHEETS, path_of

    with mistakes():
        path = path_of(settings, name, SHEETS)
    if path is None:
        raise click.UsageError(f"no file is named: give {option}")
    return path
