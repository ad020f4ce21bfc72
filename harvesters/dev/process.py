"""A process that outlives the command which started it, told apart from a later one with the same number."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass

from harvesters import process


@dataclass(frozen=True)
class ServerProcess:
    """One process: its number, and when that number was given to it."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ServerProcess:
        """The process that has this number now; one that has ended counts as started never."""
        return cls(pid, start_time(pid) or "ended")

    @property
    def alive(self) -> bool:
        """Whether it still runs. A number that was given to another process since does not count."""
        return start_time(self.pid) == self.started

    def stop(self, grace: float = 15.0) -> bool:
        """SIGTERM, and SIGKILL after `grace` seconds. False if it had ended already; returns when it has ended."""
        if not self.alive:
            return False
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return True
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if not self.alive:
                    return True
                time.sleep(0.02)
        return True


def start_time(pid: int) -> str | None:
    """When process `pid` started, as a text to compare; None when there is none, or only what is left of one.

    From ``/proc`` (clock ticks since boot, with the boot's own id), elsewhere from ``ps`` (seconds).
    """
    boot = process.boot_id()
    if not boot:
        return _by_ps(pid)
    ticks = process.started(pid)
    return f"{boot}/{ticks}" if ticks else None


def _by_ps(pid: int) -> str | None:
    asked = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(asked, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
    state, _, started = done.stdout.strip().partition(" ")
    return started.strip() if started and not state.startswith("Z") else None
