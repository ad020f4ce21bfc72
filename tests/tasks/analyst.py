"""``harvest.py`` whose analytics are files: what is to be computed, what is away, what was done. Run as a module."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from celery.bin.celery import main as celery

from harvesters import tasks
from harvesters.cli import main
from harvesters.clock import SystemClock
from harvesters.errors import Unavailable
from harvesters.operate.analytics import Analytics
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Lease
from harvesters.tasks import beat, messages, waiting

PLACE = "ANALYST_DIRECTORY"
PAUSE = "ANALYST_PAUSE"
HESITATE = "hesitate"
"""A file that keeps a beat from sending, once it has claimed what is due."""


class Files(Analytics):
    """``known`` holds ids and types of windows. A file ``hold`` or ``away`` keeps a computation from its end."""

    @property
    def place(self) -> Path:
        return Path(os.environ[PLACE])

    def compute(self, id: str) -> None:
        if id not in self._known():
            return
        self._write(f"tried {id}")
        if (self.place / f"away-{id}").exists():
            raise Unavailable("Elasticsearch does not answer")
        ttl = self.settings.number("HARVEST_LEASE_TTL")
        with Lease(FileBlob(self.place / f"lease-{id}"), SystemClock(), ttl):
            self._write(f"begun {id}")
            while (self.place / f"hold-{id}").exists():
                time.sleep(0.02)
            self._write(f"done {id}")

    def ids(self, kind: str | None) -> list[str]:
        return [id for id, of in self._known().items() if kind in (None, of)]

    def unfinished(self) -> list[str]:
        return self.ids("fixed")

    def _known(self) -> dict[str, str]:
        lines = (self.place / "known").read_text().split("\n")
        return dict(line.split() for line in lines if line)

    def _write(self, line: str) -> None:
        with (self.place / "told").open("a") as file:
            file.write(f"{line} {os.getpid()}\n")


def stand_in() -> None:
    """Have this process compute by files."""
    for name in ("compute", "ids", "unfinished", "place", "_known", "_write"):
        setattr(Analytics, name, vars(Files)[name])
    if pause := os.environ.get(PAUSE):
        waiting._FIRST = float(pause)
    send = messages.send
    place = Path(os.environ[PLACE])

    def hesitant(*arguments: Any) -> None:
        while (place / HESITATE).exists():
            (place / f"hesitates-{os.getpid()}").touch()
            time.sleep(0.02)
        send(*arguments)

    vars(beat)["send"] = hesitant
    os.register_at_fork(before=lambda: _note_threads(place / "threads-at-forks"))


def _note_threads(path: Path) -> None:
    with path.open("a") as file:
        file.writelines(f"{thread.name}\n" for thread in threading.enumerate())


if __name__ == "__main__":
    stand_in()
    if sys.argv[1] == "celery":
        sys.argv = sys.argv[1:]
        del tasks.app  # the module, in whose place Celery's command finds the application
        celery()
    main.main(["--env-file", os.devnull, *sys.argv[1:]])
