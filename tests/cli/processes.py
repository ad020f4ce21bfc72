"""Commands as processes of their own, with standard streams as rude as a shell can make them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harvesters.cli import main
from harvesters.cli.reference import commands

ROOT = Path(__file__).parents[2]
HARVEST = (sys.executable, "-m", "harvesters", "--env-file", os.devnull)
COMMANDS = [path.split()[1:] for path, _ in commands(main.cli)]
GROUPS = [[], *({tuple(path[:length]): path[:length] for path in COMMANDS for length in range(1, len(path))}.values())]


def wait(condition: Callable[..., object], seconds: float = 60.0) -> None:
    """Look until `condition` holds, for a minute if nothing else is said."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)  # another process brings it about, and nothing tells of that


def run(
    *arguments: str, stdout: int = subprocess.PIPE, shell: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """``harvest.py ARGUMENTS``; `shell`: redirections such as ``>&-``."""
    command = [*HARVEST, *arguments]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        check=False,
        timeout=120,
    )


@contextmanager
def nobody() -> Iterator[int]:
    """The writing end of a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)
