"""The Compose file as a real parser of the Compose specification reads it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harvesters.dev.compose import FILE
from harvesters.standins.base import StandInMissing
from tests.servers import give_up

PARSER = "github.com/compose-spec/compose-go/v2/cmd"
VERSION = "v2.16.2"


@pytest.fixture(scope="session")
def compose_parser() -> Path:
    """Compose's own parser, built once with Go through its module proxy and then kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harvest" / "checkers"
    program = cache / f"compose-go-{VERSION}" / "cmd"
    program.parent.mkdir(parents=True, exist_ok=True)
    with (program.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it takes a minute: one worker builds it, and the others wait
        if not program.exists():
            _build(program)
    return program


def _build(program: Path) -> None:
    go = shutil.which("go")
    if go is None:
        give_up(StandInMissing("there is no go here", "install Go, 1.24 or newer, to build the Compose parser"))
    environment = {**os.environ, "GOBIN": str(program.parent)}
    built = subprocess.run(
        [go, "install", f"{PARSER}@{VERSION}"], env=environment, capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        give_up(StandInMissing(f"the Compose parser cannot be built: {built.stderr[-500:]}", "see its message"))


@pytest.fixture(scope="session")
def parsed(compose_parser: Path) -> dict[str, Any]:
    """``docker/docker-compose.yml``, validated, with every variable at its default."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    command = [str(compose_parser), "-format", "json", str(FILE)]
    done = subprocess.run(command, cwd=FILE.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
