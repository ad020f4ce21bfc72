"""The simulated Opencast as a process of its own: ``harvest.py dev simulate opencast``, which is ourselves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from harvesters.standins.base import StandIn, http_status

ROOT = Path(__file__).resolve().parent.parent.parent
"""The checkout, or where the package is installed."""

USER, PASSWORD = "matterhorn_system_account", "CHANGE_ME"
"""Opencast's own defaults, and the simulator's: nothing that would have to be kept secret."""


class SimulatedOpencast(StandIn):
    """An engage and admin node with made-up user actions of the last day, and a new one every second."""

    name = "opencast"

    @classmethod
    def installed(cls) -> bool:
        return True

    def command(self) -> list[str]:
        return harvest_command("dev", "simulate", "opencast", "--port", str(self.port))

    def answers(self) -> bool:
        return http_status(self.port, "/info/me.json") == 200

    def environment(self) -> dict[str, str]:
        return opencast_settings(self.url)


def opencast_settings(url: str) -> dict[str, str]:
    """The settings that point at a simulated Opencast with its default user."""
    return {
        "MATTERHORN_ENGAGE_HOST": url,
        "MATTERHORN_ADMIN_HOST": url,
        "MATTERHORN_REST_USER": USER,
        "MATTERHORN_REST_PASS": PASSWORD,
    }


def harvest_command(*arguments: str) -> list[str]:
    """A command line that runs ``harvest.py ARGUMENTS`` from any directory, and reads no `.env`."""
    # `env` becomes the interpreter: the process keeps its number, and a process list shows what it is.
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return ["env", f"PYTHONPATH={path}", sys.executable, "-m", "harvesters", "--env-file", os.devnull, *arguments]
