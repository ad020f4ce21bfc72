"""Dead letters delivered once more, or dropped: what is acknowledged goes, what dies again stays, and says why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import groupby, islice

from harvesters.assembly import Assembly
from harvesters.canonical import digest
from harvesters.errors import Interrupted
from harvesters.operate.again import Again
from harvesters.operate.jobs import BY_NAME, LETTERS_ONLY
from harvesters.operate.letters.box import Box, Portion
from harvesters.operate.letters.boxes import open_boxes
from harvesters.operate.letters.letter import Letter
from harvesters.operate.letters.selection import Selection
from harvesters.stores.lease import Lease

log = logging.getLogger(__name__)

_SENT = 500  # letters at once
_NAMED = 20  # of those that stay
_CANNOT = "letters of {} cannot be delivered again"


class NotDurable(ValueError):
    """What is to be delivered would go to standard output, whose reader acknowledges nothing."""


@dataclass
class Tally:
    """What became of the letters that were meant."""

    found: int = 0
    gone: int = 0
    stay: int = 0
    hidden: int = 0
    strange: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)


def look(assembly: Assembly, selection: Selection, see: Callable[[Letter], None]) -> Tally:
    """Show each letter that is meant to `see`; nothing is changed.

    Raises:
        HarvestError: a place does not answer, or not to us.
    """
    tally = Tally()
    for box in open_boxes(assembly.settings, assembly.retry):
        with closing(box):
            for portion in box.portions():
                tally.strange += portion.strange
                for letter in filter(selection.takes, portion.letters):
                    tally.names.add(letter.name)
                    tally.found += 1
                    see(letter)
            tally.hidden += box.hidden()
    return tally


def drop(assembly: Assembly, selection: Selection) -> Tally:
    """Remove the letters that are meant.

    Raises:
        LeaseHeld: somebody else changes letters here.
        HarvestError: as for `look`.
    """
    tally = Tally()

    def work(box: Box, lease: Lease) -> None:
        for portion in box.portions():
            meant = _meant(portion, selection, tally)
            lease.check()
            portion.settle(dict.fromkeys(meant))
            portion.pass_by()
            tally.gone += len(meant)
            _go_on(assembly)

    _in_each_box(assembly, work)
    return tally


def replay(assembly: Assembly, selection: Selection, output: str | None) -> Tally:
    """Deliver the letters that are meant by their job's own mapping and sink.

    Args:
        output: instead of each job's own.

    Raises:
        LeaseHeld: somebody else changes letters here.
        NotDurable: a job's output is standard output.
        HarvestError: as for `look`, and as a sink's `send`. Letters stay until they are acknowledged.
    """
    _ = assembly.outbound  # pseudonyms that cannot be made end it before anything is read
    with ExitStack() as stack:
        work = _Replay(assembly, selection, output, stack)
        _in_each_box(assembly, work.work)
        for again in work.opened.values():
            if again is not None:
                again.finish()
    return work.tally


@dataclass
class _Replay:
    assembly: Assembly
    selection: Selection
    output: str | None
    stack: ExitStack
    tally: Tally = field(default_factory=Tally)
    opened: dict[str, Again | None] = field(default_factory=dict)

    def work(self, box: Box, lease: Lease) -> None:
        for portion in box.portions():
            letters = sorted(_meant(portion, self.selection, self.tally), key=lambda letter: letter.job)
            for job, of_job in groupby(letters, key=lambda letter: letter.job):
                while several := list(islice(of_job, _SENT)):
                    lease.check()
                    self._deliver(portion, lease, job, several)
                    _go_on(self.assembly)
            lease.check()
            portion.pass_by()

    def _deliver(self, portion: Portion, lease: Lease, job: str, letters: Sequence[Letter]) -> None:
        again = self._again(job)
        if again is None:
            for letter in letters:
                self._stays(letter, _CANNOT.format(job or "no job that is known"))
            return
        endings = again.deliver([letter.letter for letter in letters])
        changes: dict[Letter, bytes | None] = {}
        for letter, died in zip(letters, endings, strict=True):
            if died is None:
                changes[letter] = None
                self.tally.gone += 1
                continue
            self._stays(letter, died.reason)
            reason = letter.reason if died.as_it_was else died.reason
            reason = died.letter.reason if died.letter is not None else reason
            if reason != letter.reason or died.letter is not None:
                changes[letter] = letter.died_again(reason, died.letter)
        lease.check()
        portion.settle(changes)

    def _stays(self, letter: Letter, why: str) -> None:
        self.tally.stay += 1
        if self.tally.stay <= _NAMED:
            log.warning("letter %s stays: %s", letter.name, why)
        elif self.tally.stay == _NAMED + 1:
            log.warning("more letters stay; `deadletters ls` names them all")

    def _again(self, job: str) -> Again | None:
        if job not in self.opened:
            known = BY_NAME.get(job)
            opening = known.again if known is not None else LETTERS_ONLY.get(job)
            again = opening(self.assembly, self.output) if opening is not None else None
            if again is not None:
                self.stack.callback(again.close)
                if not again.durable:
                    raise NotDurable(f"{job} goes to {again.name}, which acknowledges nothing")
            self.opened[job] = again
        return self.opened[job]


def _in_each_box(assembly: Assembly, work: Callable[[Box, Lease], None]) -> None:
    """Do `work` on one place after the other, each while it is ours to change."""
    for box in open_boxes(assembly.settings, assembly.retry):
        with closing(box):
            blob = box.lease
            if blob is None:  # in a queue there is no place for one, and a directory may be missing
                name = digest(box.name.encode()).hex()
                blob = assembly.blob(f"deadletters-{name}.lease")
            with Lease(blob, assembly.clock, assembly.settings.number("HARVEST_LEASE_TTL", minimum=1)) as lease:
                work(box, lease)


def _meant(portion: Portion, selection: Selection, tally: Tally) -> list[Letter]:
    tally.strange += portion.strange
    meant = [letter for letter in portion.letters if selection.takes(letter)]
    tally.names.update(letter.name for letter in meant)
    tally.found += len(meant)
    return meant


def _go_on(assembly: Assembly) -> None:
    if assembly.stop.is_set():
        raise Interrupted("told to stop: what was acknowledged is gone, the rest stays; run the same command again")
