"""What every part of ``dev demo`` does: say what comes, and run commands before the reader's eyes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
import requests

from harvesters.cli.progress import coloured

PATIENCE = 30.0
"""Seconds that a server may take to begin, and to answer."""

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


@contextmanager
def serving(environment: Mapping[str, str], parts: str, port: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The web face with these parts, and its URL, once it listens."""
    url = f"http://127.0.0.1:{port}"
    with harvesting(environment, "serve", "--parts", parts, "--port", str(port)) as server:
        _wait(server, url)
        yield server, url


def ok(answer: requests.Response) -> requests.Response:
    """An answer that is good; the demo ends with any other."""
    if not answer.ok:
        raise click.ClickException(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:300]}")
    return answer


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f"{url}/health", timeout=PATIENCE).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise click.ClickException("serve did not start; please report this")
