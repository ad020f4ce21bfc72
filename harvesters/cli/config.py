"""``harvest.py config``."""

from __future__ import annotations

import json

import click

from harvesters.cli.runtime import settings_of
from harvesters.errors import ConfigError
from harvesters.privacy import MASK, redact
from harvesters.settings import Settings
from harvesters.settingtable import SETTINGS, Setting


@click.command(short_help="Every setting: its value, and where that comes from.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON array.")
def config(as_json: bool) -> None:
    """Show every setting with its value, and where that comes from: the environment, the settings file, its default.

    Secrets are shown as ***, inside URLs too. A value that is set under an older name has that name as its source.

    \b
    Examples:
      harvest.py config
      harvest.py --env-file /etc/harvest.env config --json
    """
    settings = settings_of()
    lines = [
        {"setting": each.name, "value": _value(settings, each), "source": settings.source(each.name)}
        for each in SETTINGS
    ]
    if as_json:
        click.echo(json.dumps(lines))
        return
    for line in lines:
        click.echo(f"{line['setting']}={line['value']}  ({line['source']})")


def _value(settings: Settings, setting: Setting) -> str:
    try:
        value = settings.get(setting.name)
    except ConfigError:  # it holds what no setting may, such as a private key
        return MASK
    return MASK if setting.secret and value else redact(value)
