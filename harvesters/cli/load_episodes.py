"""``harvest.py load_episodes``."""

from __future__ import annotations

import re

import click

from harvesters.cli.runtime import running, setting_option


def _index_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse what Elasticsearch would refuse for each document in turn."""
    if value != value.lower() or not re.fullmatch(r"[^-_+.][^\s\\/*?\"<>|,#:]{0,254}", value):
        raise click.BadParameter(f"{value!r} is no name of an index, such as episodes")
    return value


def _media_packages(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what cannot be one, such as bytes that are no UTF-8, which could not be asked for either."""
    for value in values:
        if not value.isprintable():
            raise click.BadParameter(f"{value!r} is no id of a media package")
    return values


@click.command(short_help="Index the episodes that user actions are about.")
@setting_option("-A", "--admin-host", setting="MATTERHORN_ADMIN_HOST")
@setting_option("-E", "--engage-host", setting="MATTERHORN_ENGAGE_HOST")
@setting_option("-u", "--user", setting="MATTERHORN_REST_USER")
@setting_option(
    "-p",
    "--password",
    setting="MATTERHORN_REST_PASS",
    text="Its password. Better put it into the setting: everybody on this machine can read command lines (ps).",
)
@setting_option("-e", "--es-host", setting="ES_HOST")
@click.option(
    "-t",
    "--target-index",
    default="episodes",
    show_default=True,
    callback=_index_name,
    help="Index that the episodes are written to.",
)
@click.option(
    "-s",
    "--source-index-pattern",
    help="Useraction indices whose media packages are looked up, such as 'useractions*-2026.02.*'; default: "
    "yesterday's (UTC).",
)
@click.option(
    "--mpid", "mpids", multiple=True, callback=_media_packages, help="Index this media package only. Can be repeated."
)
@click.option(
    "-w", "--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait between batch requests; default 0."
)
def load_episodes(target_index: str, source_index_pattern: str | None, mpids: tuple[str, ...], wait: float) -> None:
    """Index the episodes that user actions are about: what Opencast's search and workflows say of them.

    Finds the media packages in the useraction indices, and writes one document for each into the target index. What
    is there already, just so, is not written again; ids that Opencast does not know are counted.

    \b
    Examples:
      harvest.py load_episodes
      harvest.py load_episodes -s 'useractions*-2026.02.*' -w 1
      harvest.py load_episodes --mpid 74b6c02f-afbb-42bc-8145-344153a1792e
    """
    from harvesters.opencast import run

    with running("load_episodes") as assembly:
        pattern = source_index_pattern or run.yesterday(assembly.clock.now())
        run.load_episodes(assembly, target_index, [pattern], mpids, wait)
