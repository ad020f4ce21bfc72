"""What every part of ``dev demo`` does: say what comes, and run commands before the reader's eyes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from harvesters.cli.progress import coloured

_PROGRAM = (sys.executable, "-m", "harvesters", "--env-file", os.devnull)


def say(text: str) -> None:
    """Write it, a command in bold, after all that was written before."""
    sys.stdout.flush()
    click.secho(text, bold=text.startswith("$") and coloured(sys.stdout))
    sys.stdout.flush()


def harvest(environment: Mapping[str, str], *arguments: str) -> None:
    """Run a command of harvest.py, and end the demo if it fails."""
    shown = " ".join(arguments)
    say(f"$ harvest.py {shown}")
    finished = subprocess.run([*_PROGRAM, *arguments], env=environment, check=False)
    if finished.returncode:
        raise click.ClickException(f"harvest.py {shown} ended with exit code {finished.returncode}")


@contextmanager
def harvesting(environment: Mapping[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of harvest.py that goes on until it is told to stop, as it is when the block ends."""
    say(f"$ harvest.py {' '.join(arguments)}")
    process = subprocess.Popen([*_PROGRAM, *arguments], env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
