"""What the tests of `listings count` share: an index of listings, and an access log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harvesters.listings.accesslog import AccessLog
from harvesters.listings.logfiles import LogFiles
from harvesters.search import templates
from tests.commandline import run_here
from tests.indices import Cluster

ROOT = Path(__file__).parents[2]
MONDAY = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) // 60
"""The minute in which views are where nothing else is said."""


@dataclass
class Shop:
    """An index of listings, and an access log, of one test."""

    cluster: Cluster
    state: Path
    capfd: pytest.CaptureFixture[str]

    @property
    def files(self) -> LogFiles:
        return LogFiles(self.state / "access.log")

    def view(self, *items: str, minute: int = MONDAY, most: float | None = None) -> None:
        """Add a batch of views to the log, as `listings log` does."""
        with AccessLog(self.files, most) as log:
            done = log.offsets.topics.get("T", {}).get(0, 0)
            lines = "".join(f"u\t{item}\n" for item in items).encode()
            log.append(lines, [(minute, len(items))], "T", {0: done + len(items)})

    def index(self, *ids: str, **fields: Any) -> None:
        """Add listings, each whole, as somebody who knows nothing of views."""
        documents = [{"id": id, "title": f"Listing {id}", **fields} for id in ids]
        if not self.cluster.exists("listings"):
            self.cluster.create("listings", templates.find("listings").mappings)
        self.cluster.fill_by_id("listings", documents)

    def count(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Exit code and report of `listings count`; `said` is what it logged."""
        self.capfd.readouterr()
        code = run_here("--log-format", "json", "listings", "count", *options)
        self.said = self.capfd.readouterr().err
        reports = [
            record for line in self.said.splitlines() if line[:1] == "{" and "report" in (record := json.loads(line))
        ]
        return code, reports[0] if reports else {}

    def counted(self, *options: str) -> tuple[int, ...]:
        """Views, listings, updated, unchanged and waiting of a count that ends well."""
        code, report = self.count(*options)
        assert code == 0, self.said
        return tuple(report[name] for name in ("views", "listings", "updated", "unchanged", "waiting"))

    @property
    def visits(self) -> dict[str, Any]:
        return {id: document.get("visits") for id, document in self.cluster.documents("listings").items()}

    def hot(self, id: str) -> float:
        return float(self.cluster.documents("listings")[id]["hot"])

    def versions(self, *ids: str) -> list[int]:
        return [self.cluster.version("listings", id) for id in ids]

    @contextmanager
    def counting(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """A process of its own."""
        command = [sys.executable, "harvest.py", "--env-file", os.devnull, "listings", "count", *options]
        environment = {**os.environ, "HARVEST_STATE_DIR": str(self.state)}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


def eventually(happens: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not happens():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.05)


def wait_for(process: subprocess.Popen[str], words: str) -> str:
    """The line in which the process says this."""
    assert process.stderr is not None
    while words not in (line := process.stderr.readline()):
        assert line or process.poll() is None, f"it ended and never said {words!r}"
    return line
