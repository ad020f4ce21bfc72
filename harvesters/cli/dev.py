"""``harvest.py dev``: the development environment."""

from __future__ import annotations

from importlib.util import find_spec

import click

from harvesters.cli.main import LazyGroup
from harvesters.errors import ConfigError

_COMMANDS = {
    "init": ("harvesters.cli.environment", "init", "Start everything, load templates and dashboards."),
    "up": ("harvesters.cli.environment", "up", "Start the local servers."),
    "down": ("harvesters.cli.environment", "down", "Stop the local servers."),
    "status": ("harvesters.cli.environment", "status", "Show which local servers are up."),
    "install_kopf": ("harvesters.cli.kopf", "install_kopf", "What became of kopf, and its successor."),
    "simulate": ("harvesters.cli.simulate", "simulate", "Start a stand-in of a source."),
    "demo": ("harvesters.cli.demo", "demo", "Watch the main job at work on embedded servers."),
}


class DevGroup(LazyGroup):
    """Refuses where there is nothing to start: the production image leaves the servers out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, but only where simulators and stand-ins are installed.

        Raises:
            ConfigError: they are not.
        """
        if not ctx.resilient_parsing and not all(map(find_spec, ("harvesters.simulators", "harvesters.standins"))):
            raise ConfigError(
                "`dev` is not part of this installation: its simulators and stand-ins were left out, as in the "
                "production image. Use a checkout, or `pip install` the wheel into an environment of its own."
            )
        return super().parse_args(ctx, args)


@click.group(cls=DevGroup, table=_COMMANDS, short_help="Development environment: simulators and local servers.")
def dev() -> None:
    """Development environment: simulators and local servers, all on loopback."""
