"""The processes of a benchmark: stubs, the harvester, and baselines. Each has its own interpreter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
_LISTENING = re.compile(r"listening on (http://\S+)")


@dataclass(frozen=True)
class Run:
    """What one child process cost.

    Attributes:
        seconds: from before its interpreter starts until it has ended.
        peak: most memory that it had at once, in MB (`ru_maxrss`).
        cpu: seconds of processor time.
        report: the harvester's own run report; empty for commands without one.
    """

    seconds: float
    peak: float
    cpu: float
    report: dict[str, Any] = field(default_factory=dict)


@contextmanager
def stub(name: str, **arguments: Any) -> Iterator[str]:
    """A stub server (see `benchmarks.stubs`); its URL."""
    arguments.setdefault("latency", 0.0)
    command = [sys.executable, "-m", "benchmarks.stubs", name, orjson.dumps(arguments).decode()]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def harvest(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Run:
    """Run ``harvest.py`` with `arguments`; its standard error goes to `log`.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "harvest.py", *arguments]
    with log.open("wb") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    written = log.read_text(errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {written[-2000:]}")
    return Run(seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, _report(written))


@contextmanager
def serving(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """``harvest.py serve`` on a free port; its URL, once it listens. Its standard error goes to `log`.

    Raises:
        RuntimeError: it ended instead.
    """
    command = [sys.executable, "harvest.py", "--env-file", os.devnull, "serve", "--port", "0"]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=errors)
    try:
        while (found := _LISTENING.search(log.read_text(errors="replace"))) is None:
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield found[1]
    finally:
        process.terminate()
        process.wait()


def client(module: str, environment: Mapping[str, str], **asked: Any) -> dict[str, Any]:
    """Run a module of ours that asks a server; it gets `asked` as JSON on standard input. What it measured."""
    command = [sys.executable, "-m", f"benchmarks.{module}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, input=orjson.dumps(asked), capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    measured: dict[str, Any] = orjson.loads(done.stdout)
    return measured


def interpreter(environment: Mapping[str, str]) -> float:
    """Seconds that an interpreter takes to start and end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], cwd=ROOT, env=environment, check=True)
    return time.perf_counter() - started


def harvest_help() -> float:
    """Seconds that ``harvest.py --help`` takes."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "harvesters", "--help"]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def baseline(name: str, environment: Mapping[str, str], **arguments: Any) -> dict[str, Any]:
    """Run a baseline (see `benchmarks.baseline`) in a process of its own; what it measured."""
    command = [sys.executable, "-m", "benchmarks.baseline", name, orjson.dumps(arguments).decode()]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    measured: dict[str, Any] = orjson.loads(done.stdout)
    return measured


def _report(written: str) -> dict[str, Any]:
    for line in reversed(written.splitlines()):
        if line.startswith("{") and '"report":' in line:
            found: dict[str, Any] = orjson.loads(line)
            return found
    return {}
