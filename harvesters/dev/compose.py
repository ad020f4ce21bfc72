"""The environment in containers: ``docker compose`` over ``docker/docker-compose.yml``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harvesters.dev.services import SERVICES
from harvesters.errors import ConfigError, Unavailable
from harvesters.privacy import redact
from harvesters.settingtable import SETTINGS
from harvesters.standins.opencast import ROOT

FILE = ROOT / "docker" / "docker-compose.yml"
PROJECT = "harvest-dev"
KIND = "compose"

_INSTEAD = "or run `harvest.py dev up --embedded`, which needs no Docker."
# Compose leaves alone what belongs to a profile that is not named.
_EVERY_PROFILE = [word for service in SERVICES.values() if service.optional for word in ("--profile", service.name)]
_PATIENCE = 30.0  # an engine that hangs is as good as none


@dataclass(frozen=True)
class Container:
    """What Compose says of one service's container. `health` is "" until its first check."""

    service: str
    state: str
    health: str


class Compose:
    """Docker Compose, known to work. Use `find`."""

    def __init__(self, docker: str) -> None:
        self._docker = docker

    @classmethod
    def find(cls) -> Compose:
        """Docker Compose, if this machine has all it takes.

        Raises:
            ConfigError: the message says what is missing, and what to do.
        """
        docker = shutil.which("docker")
        if docker is None:
            raise ConfigError(
                f"Docker is not installed: there is no `docker` command. Get it at https://docs.docker.com {_INSTEAD}"
            )
        if not FILE.is_file():
            raise ConfigError(
                f"{FILE} is missing: containers are for a checkout of the project; check it out {_INSTEAD}"
            )
        _check(
            [docker, "compose", "version", "--short"], "Docker has no Compose plugin", "Install docker-compose-plugin"
        )
        _check([docker, "version", "--format", "{{.Server.Version}}"], "Docker's engine cannot be reached", "Start it")
        return cls(docker)

    def up(self, services: Sequence[str], wait: float | None = None) -> None:
        """Start `services`; with `wait` return when they are healthy, for which they have that many seconds.

        Raises:
            Unavailable: Compose failed, or a service did not get healthy in time.
        """
        healthy = ["--wait", "--wait-timeout", str(int(wait))] if wait is not None else []
        self._run("up", "--detach", "--build", *healthy, *services)

    def down(self, volumes: bool = False) -> None:
        """Stop and remove all containers of the project; with `volumes` their data too."""
        self._run(*_EVERY_PROFILE, "down", *(["--volumes"] if volumes else []))

    def containers(self) -> list[Container]:
        """The project's containers, running or not."""
        done = self._ask(*_EVERY_PROFILE, "ps", "--all", "--format", "json")
        return [
            Container(str(entry.get("Service", "")), str(entry.get("State", "")), str(entry.get("Health", "")))
            for entry in _entries(done)
        ]

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(self._command(*arguments), env=_environment(), check=False)
        if done.returncode:
            what = next(word for word in arguments if word in ("up", "down"))
            raise Unavailable(
                f"docker compose {what} failed (exit code {done.returncode}); it said why above. "
                f"`docker compose --project-name {PROJECT} logs` shows what the services say."
            )

    def _ask(self, *arguments: str) -> str:
        done = subprocess.run(
            self._command(*arguments), env=_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unavailable(
                f"docker compose failed (exit code {done.returncode}): {redact(done.stderr.strip())[-500:]}"
            )
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        # The project's name is given here too: COMPOSE_PROJECT_NAME would win over the one in the file.
        return [self._docker, "compose", "--project-name", PROJECT, "--file", str(FILE), *arguments]


def _check(command: list[str], missing: str, remedy: str) -> None:
    try:
        done = subprocess.run(
            command, env=_environment(), capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
        reason = "" if done.returncode == 0 else _last_line(done.stderr) or f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"no answer in {_PATIENCE:.0f} s"
    except OSError as error:
        reason = str(error)
    if reason:
        raise ConfigError(f"{missing} ({reason}). {remedy}, {_INSTEAD}")


def _environment() -> dict[str, str]:
    """Ours without any setting of a harvest: containers need none, and Compose would put them into its file."""
    ours = {setting.name for setting in SETTINGS}
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("AWS_")}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _entries(text: str) -> list[dict[str, Any]]:
    """Compose wrote one array until 2.20, and one object a line since 2.21."""
    text = text.strip()
    if text.startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line.strip()]
