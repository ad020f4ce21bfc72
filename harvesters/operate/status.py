"""How the jobs are doing, by what they keep: nothing is asked but the places of checkpoints and of dead letters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from harvesters.assembly import Assembly
from harvesters.clock import SystemClock
from harvesters.errors import Exit, HarvestError, Unavailable
from harvesters.operate.jobs import Job
from harvesters.operate.letters.boxes import open_boxes
from harvesters.operate.records import Kept, shown
from harvesters.operate.within import Answer, ask_within
from harvesters.retry import OneTry
from harvesters.settings import Settings
from harvesters.stores.blob import Blob
from harvesters.stores.checkpoint import Checkpoint
from harvesters.stores.lease import Holder
from harvesters.timespan import iso

T = TypeVar("T")

WITHIN = 4.5
"""Seconds that all places have to answer."""

_LETTERS = "dead letters"


@dataclass(frozen=True)
class Known:
    """What a job keeps."""

    checkpoint: str | None = None
    reached: datetime | None = None
    kept: Kept = field(default_factory=Kept)
    lease: dict[str, Any] | None = None
    backfills: list[dict[str, Any]] = field(default_factory=list)

    @property
    def seen(self) -> bool:
        """Whether it ever did anything."""
        return self.checkpoint is not None or self.kept.last_run is not None or bool(self.backfills)

    def lag(self, now: datetime) -> int | None:
        """Seconds since the checkpoint, or since it was last known to work; None when it never was."""
        since = self.reached if self.checkpoint is not None else self.kept.alive
        return int((now - since).total_seconds()) if since is not None else None


@dataclass
class Status:
    """The answer.

    Attributes:
        found: as JSON has it.
        troubles: what did not answer, or cannot be read, named once each.
        code: 69 for what is late or does not answer.
    """

    found: dict[str, Any]
    troubles: list[str]
    code: Exit


def status(settings: Settings, jobs: Sequence[Job], limits: Mapping[str, float], named: Collection[str]) -> Status:
    """Look at `jobs`.

    Args:
        limits: by the job's name, how many seconds its lag may be.
        named: those that were asked for by name: one of them that never ran is late as well.
    """
    assembly = Assembly(settings)
    questions: dict[str, Callable[[], Any]] = {job.name: _asking(assembly, job) for job in jobs}
    questions[_LETTERS] = lambda: _letters(settings)
    answers = ask_within(WITHIN, questions)
    now = assembly.clock.now()
    troubles = _Troubles()
    lines = []
    for job in jobs:
        known = troubles.answer(answers[job.name], assembly.store)
        lines.append(_line(job, known, now, limits.get(job.name), job.name in named))
    where = _where(settings)
    count = troubles.answer(answers[_LETTERS], where)
    found = {"time": iso(now.replace(microsecond=0)), "jobs": lines, "dead_letters": {"where": where, "count": count}}
    code = Exit.UNAVAILABLE if troubles.named or any(line["late"] for line in lines) else Exit.DONE
    return Status(found, [*troubles.named.values()], code)


@dataclass
class _Troubles:
    """What went wrong where: a place that does not answer is named once, whoever asked."""

    named: dict[str, str] = field(default_factory=dict)

    def answer(self, answer: Answer[T], place: str) -> T | None:
        """The answer, or None where there is none."""
        try:
            return answer.get()
        except HarvestError as error:
            text = str(error) if place in str(error) else f"{place}: {error}"
            self.named.setdefault(place if isinstance(error, Unavailable) else text, text)
            return None


def _line(job: Job, found: Known | None, now: datetime, limit: float | None, named: bool) -> dict[str, Any]:
    known = found if found is not None else Known()
    lag = known.lag(now)
    late = limit is not None and (lag > limit if lag is not None else known.seen or named or found is None)
    return {
        "job": job.name,
        "checkpoint": known.checkpoint,
        "lag": lag,
        "late": late,
        "lease": known.lease,
        "last_run": shown(known.kept.last_run),
        "last_success": shown(known.kept.last_success),
        "backfills": known.backfills,
    }


def _asking(assembly: Assembly, job: Job) -> Callable[[], Known]:
    settings, name = assembly.settings, job.checkpoint(assembly.settings)

    def blob(suffix: str = "") -> Blob:
        return assembly.blob_within(name + suffix, WITHIN, once=True)

    def ask() -> Known:
        checkpoint = reached = None
        if job.kind is not None:
            cursor, _ = Checkpoint(blob(), job.kind(settings)).load()
            if cursor is not None:
                checkpoint, reached = cursor.encode(), job.moment(cursor)
        lease = job.lease(settings) if job.lease is not None else blob(".lease") if job.key else None
        holder = _holder(lease) if lease is not None else None
        return Known(checkpoint, reached, job.records(assembly, once=True).load(), holder, job.backfills(assembly))

    return ask


def _holder(blob: Blob) -> dict[str, Any] | None:
    """Who has a lease; what has expired by the store's clock, or belongs to a dead process, is nobody's."""
    version = blob.read()
    if version is None:
        return None
    holder = Holder.decode(version.content, blob.name)
    # A file's clock is ours, as far as anybody here can tell: to ask for it one has to write.
    now = (blob.now() if blob.doubtful else None) or SystemClock().now()
    if holder.released or holder.expires <= now or holder.owner.dead:
        return None
    return {"host": holder.owner.host, "pid": holder.owner.pid, "expires": iso(holder.expires)}


def _letters(settings: Settings) -> int:
    return sum(box.count() for box in open_boxes(settings, OneTry(SystemClock()), timeout=WITHIN))


def _where(settings: Settings) -> str:
    try:
        return open_boxes(settings, OneTry(SystemClock()))[0].name
    except HarvestError:
        return settings.get("HARVEST_DEAD_LETTERS")
