"""Workers and beats as processes, a real Redis between them, and analytics that are files (`analyst.py`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from harvesters.settings import Settings
from harvesters.tasks.app import make_app
from tests.cli.processes import wait
from tests.crash.crashing import ROOT
from tests.tasks.analyst import PLACE

PROGRAM = (sys.executable, "-m", "tests.tasks.analyst")
VISIBLE = 4  # seconds after which the task of a worker that was killed comes back
BEGUN = "begun"


@dataclass
class Office:
    """What the processes share."""

    directory: Path
    redis_url: str
    stack: ExitStack
    more: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
        return kept | {
            "PYTHONPATH": str(ROOT),
            PLACE: str(self.directory),
            "REDIS_URL": self.redis_url,
            "HARVEST_STATE_DIR": str(self.directory / "state"),
            "HARVEST_LEASE_TTL": "2",
            "HARVEST_RETRY_BUDGET": "20",
            "CELERY_VISIBILITY_TIMEOUT": str(VISIBLE),
            **self.more,
        }

    def popen(self, *words: str, **env: str) -> subprocess.Popen[bytes]:
        """A process of a group of its own, whose log is in a file."""
        log = (self.directory / f"{len(self.processes)}-{words[0]}.log").open("ab")
        self.stack.callback(log.close)
        process = subprocess.Popen(
            [*PROGRAM, *words], env={**self.env, **env}, stdout=log, stderr=log, cwd=self.directory,
            start_new_session=True,
        )  # fmt: skip
        self.stack.callback(kill, process)
        self.processes.append(process)
        return process

    def worker(self, *words: str, **env: str) -> subprocess.Popen[bytes]:
        """A worker that is ready."""
        process = self.popen("worker", *words, **env)
        log = self.directory / f"{len(self.processes) - 1}-worker.log"
        wait(lambda: "ready" in log.read_text() or process.poll() is not None)
        return process

    def know(self, **analytics: str) -> None:
        """There are these, each with its type of window."""
        (self.directory / "known").write_text("".join(f"{id} {kind}\n" for id, kind in analytics.items()))

    def put(self, name: str) -> Path:
        path = self.directory / name
        path.touch()
        return path

    def told(self, what: str) -> list[str]:
        """The ids that were tried, begun or done, in that order."""
        with suppress(FileNotFoundError):
            lines = [line.split() for line in (self.directory / "told").read_text().splitlines()]
            return [id for said, id, _ in lines if said == what]
        return []

    def workers_of(self, id: str, what: str = BEGUN) -> list[int]:
        """The processes that did it."""
        lines = [line.split() for line in (self.directory / "told").read_text().splitlines()]
        return [int(pid) for said, of, pid in lines if (said, of) == (what, id)]

    def send(self, name: str, *arguments: str, **options: Any) -> None:
        """Queue a task by its name, as any program may."""
        with closing_app(self) as app:
            app.send_task(name, [*arguments], **options)

    def redis(self) -> redis.Redis:
        client: redis.Redis = redis.Redis.from_url(self.redis_url)
        self.stack.callback(client.close)
        return client

    def queued(self) -> int:
        """Messages in the queue, and in the hands of workers."""
        client: Any = self.redis()
        with client.pipeline() as pipe:
            return sum(pipe.llen("messages").hlen("unacked").execute())

    def ends(self, process: subprocess.Popen[bytes], code: int, timeout: float = 60) -> None:
        process.wait(timeout)
        assert process.returncode == code, self.logs()

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-4000:]}" for path in sorted(self.directory.glob("*.log")))


@contextmanager
def closing_app(office: Office) -> Iterator[Any]:
    """The application, in this process."""
    app = make_app(Settings({"REDIS_URL": office.redis_url}))
    try:
        yield app
    finally:
        app.harvest_ledger.close()
        app.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """-9 for it and the processes that it has made."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


@contextmanager
def opened(directory: Path, redis_url: str) -> Iterator[Office]:
    with ExitStack() as stack:
        yield Office(directory, redis_url, stack)
