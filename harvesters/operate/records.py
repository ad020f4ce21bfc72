"""How the runs of a job ended, in one object beside its checkpoint: the last one, and the last that ended well."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import orjson

from harvesters.errors import HarvestError, Unavailable
from harvesters.stores.blob import Blob, Conflict
from harvesters.telemetry import Report
from harvesters.timespan import iso
from harvesters.watched import RunRecord, Step, Watched

log = logging.getLogger(__name__)

SUFFIX = ".last-runs"
WITHIN = 5.0
"""Seconds that a run's end may wait for its record to be kept."""

_TRIES = 20  # of runs that end at the same moment


@dataclass(frozen=True)
class Kept:
    """What is known of the runs of a job."""

    last_run: RunRecord | None = None
    last_success: RunRecord | None = None

    def with_run(self, record: RunRecord) -> Kept:
        """The same, with one more; a run that was seen later than this one stays the last."""
        last = record if self.last_run is None or record.seen >= self.last_run.seen else self.last_run
        good = self.last_success
        if record.exit_code == 0 and (good is None or record.seen >= good.seen):
            good = record
        return Kept(last, good)

    @property
    def alive(self) -> datetime | None:
        """When a run was last known to work: its success, or that it goes on."""
        seen = [record.seen for record in (self.last_run, self.last_success) if record is not None and _works(record)]
        return max(seen, default=None)


def _works(record: RunRecord) -> bool:
    return record.exit_code in (0, None)


@dataclass
class RunRecords:
    """The records in `blob`."""

    blob: Blob

    def load(self) -> Kept:
        """What is kept; nothing where the object is none of ours.

        Raises:
            HarvestError: the store does not answer.
        """
        return self._read()[0]

    def keep(self, record: RunRecord) -> None:
        """Add a run.

        Raises:
            HarvestError: it could not be kept.
        """
        for _ in range(_TRIES):
            kept, etag = self._read()
            try:
                self.blob.write(_encode(kept.with_run(record)), etag)
                return
            except Conflict:
                continue
        raise Unavailable(f"{self.blob.name} is changed all the time")

    def _read(self) -> tuple[Kept, str | None]:
        version = self.blob.read()
        if version is None:
            return Kept(), None
        return _decode(version.content), version.etag


@dataclass
class RecordKeeper:
    """Keeps the records of one job's runs, and warns once where it cannot; a listener of `Watched`."""

    records: RunRecords
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _warned: bool = False
    _over: bool = False

    def began(self, run: Watched) -> None:
        """Nothing is written for what ends soon."""

    def goes_on(self, run: Watched, record: RunRecord) -> None:
        """A run that stays: it is renewed."""
        with self._lock:
            if not self._over:
                self._keep(record)

    def stepped(self, run: Watched, step: Step) -> None:
        """Nothing is kept of it."""

    def ended(self, run: Watched, record: RunRecord, report: Report | None) -> None:
        """The last word, for which the run's end waits `WITHIN` seconds at most."""
        self._over = True

        def keep() -> None:
            with self._lock:
                self._keep(record)

        thread = threading.Thread(target=keep, name="record", daemon=True)
        thread.start()
        thread.join(WITHIN)
        if thread.is_alive():
            self._warn("the store does not answer")

    def held(self, run: Watched) -> None:
        """Who found the lease held did nothing."""

    def _keep(self, record: RunRecord) -> None:
        try:
            self.records.keep(record)
        except HarvestError as error:
            self._warn(str(error))

    def _warn(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("how this run ended is not kept for `harvest.py status`: %s", why)


def shown(record: RunRecord | None) -> dict[str, Any] | None:
    """As JSON has it."""
    if record is None:
        return None
    ended = iso(record.ended) if record.ended is not None else None
    return {**asdict(record), "started": iso(record.started), "ended": ended}


def _encode(kept: Kept) -> bytes:
    return orjson.dumps({"last_run": shown(kept.last_run), "last_success": shown(kept.last_success)})


def _decode(content: bytes) -> Kept:
    try:
        found = orjson.loads(content)
        return Kept(_record(found["last_run"]), _record(found["last_success"]))
    except (ValueError, KeyError, TypeError):
        return Kept()  # it is only told, and the next run writes it anew


def _record(found: Any) -> RunRecord | None:
    if found is None:
        return None
    started, ended = (datetime.fromisoformat(text) if text else None for text in (found["started"], found["ended"]))
    if started is None or started.tzinfo is None or (ended is not None and ended.tzinfo is None):
        raise ValueError(found)
    code = None if found["exit_code"] is None else int(found["exit_code"])
    counts = {str(name): int(count) for name, count in found["counts"].items()}
    return RunRecord(started, ended, float(found["seconds"]), code, str(found["outcome"]), str(found["host"]), counts)
