"""What is to be run: a job, how often, and the command of this installation."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harvesters.operate.jobs import Job
from harvesters.operate.schedule.every import Every

_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Entry:
    """A job that runs by the clock."""

    job: Job
    every: Every

    @property
    def name(self) -> str:
        """What units are called after it."""
        return f"harvest-{self.job.name}"

    @property
    def dns(self) -> str:
        """The name as Kubernetes takes it: RFC 1123, and short enough for what a CronJob appends."""
        return re.sub(r"[^a-z0-9-]", "-", self.name.lower())[:52].rstrip("-")


@dataclass(frozen=True)
class Installation:
    """Where this installation is.

    Args:
        command: what runs it: absolute paths.
        env_file: the settings file, absolute; None where there is none.
        state_dir: where its files are.
        log_dir: where each job's log is to go; None leaves it to whoever runs the jobs.
    """

    command: tuple[str, ...]
    env_file: Path | None
    state_dir: Path
    log_dir: Path | None = None

    @classmethod
    def here(cls, env_file: Path | None, state_dir: Path, log_dir: Path | None = None) -> Installation:
        """This one: a checkout by its `harvest.py`, else the package by its interpreter.

        Args:
            env_file: as ``--env-file`` has it; the one that is read by default where that is there.
        """
        script = _PACKAGE.parent / "harvest.py"
        installed = script.is_file()
        command = (sys.executable, str(script)) if installed else (sys.executable, "-m", "harvesters")
        default = (script.parent if installed else Path.cwd()) / ".env"
        chosen = env_file if env_file is not None else default if default.exists() else None
        absolute = chosen.expanduser().absolute() if chosen is not None else None
        return cls(
            command,
            absolute,
            state_dir.expanduser().absolute(),
            log_dir.expanduser().absolute() if log_dir is not None else None,
        )

    def words(self, command: Iterable[str], level: str) -> list[str]:
        """The command line of a run."""
        settings = ["--env-file", str(self.env_file)] if self.env_file is not None else []
        return [*self.command, *settings, "--log-level", level, *command]

    def log(self, name: str) -> Path | None:
        """The log of a job or service."""
        return self.log_dir / f"{name}.log" if self.log_dir is not None else None
