"""The job of `listings count`: views from the access log into the documents of their listings.

A round counts what is new in the log, finds out which listings are new in the index, and writes what their documents do
not say yet. It writes totals, so writing one again changes nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from harvesters.assembly import Assembly
from harvesters.errors import HarvestError, Interrupted, RaceLost, SinkUnavailable
from harvesters.listings import hot
from harvesters.listings.logfiles import LogFiles
from harvesters.listings.logreader import Position, pieces
from harvesters.listings.offsets import Offsets
from harvesters.listings.ranking import Ranking, Written
from harvesters.listings.totals import Total, Totals
from harvesters.runs import run
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Lease
from harvesters.telemetry import log_report
from harvesters.watched import Watched

log = logging.getLogger(__name__)

_WRITERS = 2
_UNDER_WAY = 2 * _WRITERS
_SETTLED = 20_000  # listings
_PASSES = 5  # over what somebody else changed that moment


def count_views(assembly: Assembly, every: float | None = None) -> None:
    """Count the views of ``ACCESS_LOG`` into ``LISTINGS_INDEX``, once or every so many seconds until told to stop.

    Raises:
        LeaseHeld: another process counts this log.
        HarvestError: as its subclasses say. A round of several that fails is said, and the next one makes up for it.
    """
    client = assembly.search(_UNDER_WAY)
    rounds = _Rounds(
        assembly, LogFiles.of(assembly.settings), Ranking(client, assembly.settings.require("LISTINGS_INDEX"))
    )
    with closing(client):
        if every is None:
            with rounds.lease() as lease:
                assembly.watched.begin()
                rounds.count(lease, assembly.watched)
        else:
            rounds.go_on(every)


@dataclass
class _Rounds:
    assembly: Assembly
    files: LogFiles
    ranking: Ranking

    def lease(self) -> Lease:
        """Who may count. It is beside the log, as whoever shares the one shares the other."""
        ttl = self.assembly.settings.number("HARVEST_LEASE_TTL", minimum=1)
        return Lease(FileBlob(self.files.lease), self.assembly.clock, ttl)

    def count(self, lease: Lease, watched: Watched, good_end: type[HarvestError] | None = None) -> None:
        """One round."""
        self.ranking.may_write = lease.check
        job = CountViews(self.assembly, self.files, self.ranking, lease, watched)
        run(job, self.assembly.clock, (log_report, watched.hear), good_end)

    def go_on(self, every: float) -> None:
        """Round after round; the lease is kept in between."""
        clock, ours = self.assembly.clock, False
        try:
            while True:
                try:
                    with self.lease() as lease:
                        ours = True
                        while True:
                            started = clock.monotonic()
                            self._try(lease)
                            clock.sleep(max(0.0, every - (clock.monotonic() - started)))
                except Interrupted:
                    raise
                except HarvestError as error:  # of the lease itself
                    if not ours:
                        raise
                    _say(error)
                    clock.sleep(every)
        except Interrupted:
            return

    def _try(self, lease: Lease) -> None:
        try:
            with self.assembly.watched.round() as watched:
                self.count(lease, watched, good_end=Interrupted)
        except (Interrupted, RaceLost):
            raise
        except HarvestError as error:
            _say(error)


def _say(error: HarvestError) -> None:
    log.error("this round failed, and the next one makes up for it: %s", error)


@dataclass
class CountViews:
    """One round."""

    assembly: Assembly
    files: LogFiles
    ranking: Ranking
    lease: Lease
    watched: Watched
    command: str = "listings count"
    views: int = 0
    listings: int = 0
    waiting: int = 0
    written: Written = field(default_factory=Written)

    def work(self) -> None:
        """Count, and write.

        Raises:
            HarvestError: as its subclasses say. What was counted, and what was written, is not done again.
        """
        half_life = hot.half_life(self.assembly.settings)
        offsets = self.files.load()
        if offsets is None:
            log.warning("there is no access log %s yet; listings log writes it", self.files.path)
            return
        with Totals(self.files.counts) as totals:
            with self.watched.step("fetch") as step:
                self._read(totals, offsets, half_life)
                step.rows = self.views
            try:
                with self.watched.step("deliver"):
                    self._write(totals)
            finally:
                self.waiting = totals.unwritten()

    def fields(self, seconds: float) -> dict[str, Any]:
        return {
            "views": self.views,
            "listings": self.listings,
            "updated": self.written.updated,
            "unchanged": self.written.unchanged,
            "waiting": self.waiting,
        }

    def _read(self, totals: Totals, offsets: Offsets, half_life: float) -> None:
        """Count what is new in the log."""
        if why := _counted_otherwise(totals, offsets, half_life):
            self.files.require_all(offsets, why)
            log.info("%s: the log is counted from its beginning", why)
            totals.begin_anew(offsets.log, half_life)
        for piece in pieces(self.files, offsets, totals.progress.position, half_life):
            self._go_on()
            totals.add(piece.views, piece.end)
            self.views += piece.lines
            del piece  # before there is the next one

    def _write(self, totals: Totals) -> None:
        """Write what the documents do not say yet."""
        now = self.ranking.snapshot()
        if now is None:
            if totals.progress.index:
                totals.write_all("", -1)
            self.listings = sum(len(batch) for batch in totals.to_write())
            log.warning("there is no index %s yet: the views wait for it", self.ranking.index)
            return
        if now.id != totals.progress.index or now.seq_no < totals.progress.seq_no:
            totals.write_all(now.id, now.seq_no)
        else:
            for ids in self.ranking.without_views(totals.progress.seq_no, now.last):
                self._go_on()
                totals.write_again(ids)
            totals.searched(now.seq_no)
        for _ in range(_PASSES):
            try:
                left = self._write_once(totals)
            except RaceLost:
                totals.doubt()  # a process that is frozen between its last check and its request writes too late
                raise
            if not left:
                return
            if self.written.refusal is not None:
                raise self.ranking.refused(self.written.refusal)
        raise SinkUnavailable(f"{left} listings of {self.ranking.index} are changed all the time; run again")

    def _write_once(self, totals: Totals) -> int:
        """Write everything once; how many are left for another time."""
        settling = _Settling(totals, self.watched)
        under_way: deque[tuple[Future[Written], list[Total]]] = deque()

        def finish() -> None:
            future, batch = under_way.popleft()
            written = future.result()
            self.written.add(written)
            settling.add(batch, written)

        with ThreadPoolExecutor(_WRITERS, "count") as writers:
            try:
                for batch in totals.to_write():
                    self._go_on()
                    self.listings += len(batch)
                    under_way.append((writers.submit(self.ranking.write, batch), batch))
                    if len(under_way) == _UNDER_WAY:
                        finish()
                while under_way:
                    finish()
            finally:
                settling.end()
        return settling.left

    def _go_on(self) -> None:
        """Raise if we are told to stop, or may not go on."""
        self.lease.check()
        if self.assembly.stop.is_set():
            raise Interrupted(
                "told to stop: what was counted and written stays so; run the same command again to go on"
            )


@dataclass
class _Settling:
    """Notes batch after batch as written, many in one transaction, for each of those waits for the disk."""

    totals: Totals
    watched: Watched
    left: int = 0
    _done: list[Total] = field(default_factory=list)
    _missing: list[str] = field(default_factory=list)
    _left: list[str] = field(default_factory=list)

    def add(self, batch: list[Total], written: Written) -> None:
        """This batch is done; batches come in the order of their ids."""
        self._done += batch
        self._missing += written.missing
        self._left += written.left
        self.left += len(written.left)
        if len(self._done) >= _SETTLED:
            self.end()

    def end(self) -> None:
        """Nothing is done that is not noted."""
        if self._done:
            with self.watched.step("commit"):
                self.totals.settle(self._done, self._missing, self._left)
        self._done, self._missing, self._left = [], [], []


def _counted_otherwise(totals: Totals, offsets: Offsets, half_life: float) -> str:
    """Why the totals are of no use; "" if they are."""
    known = totals.progress
    there = Position(offsets.number, offsets.size)
    if not known.log:
        return "nothing was counted yet"
    if known.log != offsets.log:
        return "this is another log than the one that was counted"
    if known.half_life != half_life:
        return f"LISTINGS_HOT_HALF_LIFE was {known.half_life:g} s and is {half_life:g} s"
    if known.position[:2] > there[:2]:
        return "the log is shorter than what was counted, as after it was restored"
    return ""
