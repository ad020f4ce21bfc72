"""An export: a walk through the database, written as it is read, that goes on where the file ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from harvesters.clock import Clock
from harvesters.errors import BadInput, Interrupted
from harvesters.firebase.dumps.file import ExportWriter
from harvesters.firebase.keys import Path
from harvesters.firebase.walk import Entries, Walk
from harvesters.runs import run
from harvesters.telemetry import Report, per_second

log = logging.getLogger(__name__)


@dataclass
class ExportCounts:
    """What an export has moved."""

    pages: int = 0
    children: int = 0
    bytes: int = 0
    last: Path = ()


@dataclass
class Export:
    """Writes what `walk` reads to `writer`, verbatim.

    In one thread: writing a page takes a twentieth of reading it, which is less than two threads cost each other.
    """

    walk: Walk
    writer: ExportWriter
    clock: Clock
    stop: threading.Event
    counts: ExportCounts = field(default_factory=ExportCounts)
    command: str = "firebase export"
    _watch: Callable[[ExportCounts], None] = lambda counts: None

    def run(self, watch: Callable[[ExportCounts], None] = lambda counts: None) -> Report:
        """Export, and report; `watch` is called after each page.

        Raises:
            BadInput: the file that is to be gone on with is no export of this path.
            Interrupted: told to stop; what was written stays, and the same command goes on from there.
            HarvestError: as its subclasses say.
        """
        self._watch = watch
        with closing(self.walk.client), closing(self.writer):
            return run(self, self.clock)

    def work(self) -> None:
        """Write what the file has not; as `run`, without the report."""
        after = self.writer.resume()
        if after is None:
            return
        if after:
            self._check(after)
            log.info("going on in %s after %s", self.writer.name, "/".join(after))
        for page in self.walk.pages(after):
            self.writer.write(page.entries)
            self._count(page)
            self._watch(self.counts)
            if self.stop.is_set():
                raise Interrupted("told to stop: the page in hand is written; run the same command again to go on")
        self.writer.finish()

    def _check(self, after: Path) -> None:
        """Whether the file's last entry is in the database: a file of another path must not be gone on with."""
        where = self.walk.path + after
        if self.walk.client.keys(where) is None:
            raise BadInput(
                f"{self.writer.name} ends with {'/'.join(after)}, but there is no /{'/'.join(where)} in the database: "
                "the file may be an export of another path, or that entry was deleted. Give --restart to begin anew."
            )

    def _count(self, page: Entries) -> None:
        self.counts.pages += 1
        self.counts.children += len(page.entries)
        self.counts.bytes += page.size
        self.counts.last = page.entries[-1][0]

    def fields(self, seconds: float) -> dict[str, Any]:
        """What was moved from where."""
        counts = self.counts
        return {
            "path": "/" + "/".join(self.walk.path),
            "pages": counts.pages,
            "children": counts.children,
            "bytes": counts.bytes,
            "refused": self.walk.refused,
            "children_per_second": per_second(counts.children, seconds),
        }
