"""``harvest.py serve``."""

from __future__ import annotations

import logging
import secrets
from importlib.util import find_spec
from typing import Any

import click

from harvesters.cli.choices import did_you_mean
from harvesters.cli.runtime import setting_option, settings_of
from harvesters.errors import ConfigError
from harvesters.web.parts import PARTS

_EXTRA = ("fastapi", "uvicorn", "jinja2")
_MOST_WORKERS = 64


class _Parts(click.ParamType):  # type: ignore[type-arg]
    """Names of parts, with commas between."""

    name = "parts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        for name in names:
            if name not in PARTS:
                self.fail(f"{name!r} is none of {', '.join(PARTS)}.{did_you_mean(name, PARTS)}", param, ctx)
        if not names:
            self.fail(f"name at least one of {', '.join(PARTS)}", param, ctx)
        return names


def where_options(command: click.decorators.FC) -> click.decorators.FC:
    """The options of whatever listens: where, and in how many processes."""
    for option in (
        setting_option("--es-host", setting="ES_HOST"),
        click.option(
            "--workers",
            type=click.IntRange(1, _MOST_WORKERS),
            default=1,
            show_default=True,
            help="Processes that answer.",
        ),
        setting_option("--port", setting="WS_PORT", type=click.IntRange(0, 65_535)),
        setting_option("--host", setting="WS_HOST"),
    ):
        command = option(command)
    return command


@click.command(short_help="Serve answers as pages and JSON.")
@where_options
@click.option(
    "--parts",
    type=_Parts(),
    default=",".join(PARTS),
    show_default=True,
    help="What is served, with commas between.",
)
@click.pass_context
def serve(context: click.Context, parts: list[str], workers: int) -> None:
    """Serve answers as pages and JSON, until SIGTERM or Ctrl-C.

    On loopback anybody may ask. On another address everybody needs a key (HARVEST_API_KEYS).

    \b
    Example:
      harvest.py serve --port 8000 --parts insights
    """
    listen(context, parts, workers)


def listen(context: click.Context, parts: list[str], workers: int) -> None:
    """Serve `parts` where the settings say.

    Raises:
        ConfigError: an extra is missing, or a setting cannot be read.
    """
    if not all(map(find_spec, _EXTRA)):
        raise ConfigError("serve needs an extra that is not installed: pip install 'harvest[web]'")
    from harvesters.web.backend import PATIENCE
    from harvesters.web.server import Face
    from harvesters.web.server import serve as run

    settings = settings_of()
    port = settings.number("WS_PORT")
    if port > 65_535 or port % 1:
        raise ConfigError(f"WS_PORT={settings.get('WS_PORT')!r} is no port; it should be a whole number up to 65535")
    root = context.find_root().params
    face = Face(
        dict(settings.values),
        dict(settings.flags),
        parts,
        settings.get("WS_HOST"),
        secrets.token_bytes(32),
        logging.getLevelName(logging.getLogger().level),
        root["log_format"],
    )
    run(face, int(port), workers, settings.number(PATIENCE, minimum=0.001))
