"""``harvest.py dev``: the development environment."""

from __future__ import annotations

import click

from harvesters.cli.main import LazyGroup

_COMMANDS = {
    "init": ("harvesters.cli.environment", "init", "Start everything, load templates and dashboards."),
    "up": ("harvesters.cli.environment", "up", "Start the local servers."),
    "down": ("harvesters.cli.environment", "down", "Stop the local servers."),
    "status": ("harvesters.cli.environment", "status", "Show which local servers are up."),
    "install_kopf": ("harvesters.cli.kopf", "install_kopf", "What became of kopf, and its successor."),
    "simulate": ("harvesters.cli.simulate", "simulate", "Start a stand-in of a source."),
    "demo": ("harvesters.cli.demo", "demo", "Watch the main job at work on embedded servers."),
}


@click.group(cls=LazyGroup, table=_COMMANDS, short_help="Development environment: simulators and local servers.")
def dev() -> None:
    """Development environment: simulators and local servers, all on loopback."""
