"""``listings index`` as processes of their own, which can be stopped, killed and told to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.processes import HARVEST, ROOT, wait


class Worker:
    """One process; its log is in a file of `directory`."""

    def __init__(self, directory: Path, *arguments: str, **environment: str) -> None:
        self.log_file = directory / f"worker-{len(list(directory.glob('worker-*')))}.log"
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [*HARVEST, "--log-format", "json", "listings", "index", *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stderr=log,
                cwd=ROOT,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def report(self) -> dict[str, Any]:
        """The run report; nothing while it runs, or where it was killed."""
        records = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return next((record for record in records if "report" in record), {})

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, seconds: float = 90) -> int:
        """Its exit code, once it has ended."""
        try:
            return self._process.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> float:
    """Wait until it is true; how long that took."""
    started = time.monotonic()
    wait(condition, seconds)
    return time.monotonic() - started
