"""Several indices into others, and then, in one request, those in the place of these.

It is what `copying.py` does, for indices whose documents change their index: each is taken in from where it was, all of
them are blocked for writes meanwhile, and no pattern ever reads a document twice or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused
from harvesters.errors import Interrupted, RaceLost
from harvesters.migration.copying import UNDER_WAY, Body, Copier, CopyTally, Uneven, converted, path_of, source_of
from harvesters.migration.ledger import Copy, Ledger
from harvesters.search import scan
from harvesters.search.scan import Verbatim
from harvesters.search.templates import Template
from harvesters.stores.lease import Lease

SWAPPED = ".swap"
Placed = tuple[str, Body]
"""What the index of a document is to be called, and the document."""


@dataclass(frozen=True)
class Join:
    """A join under way, as the ledger keeps it.

    Attributes:
        sources: the indices whose documents are taken in, each with how far it is.
        targets: what they go into: the name that it is to have, and its own.
        recipe: by which a join that does otherwise with the documents is told from this one.
        at: when it began, in ISO 8601.
    """

    name: str
    sources: tuple[Copy, ...]
    recipe: str
    at: str
    targets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, kept: Body) -> Self:
        """As `asdict` wrote it."""
        sources = tuple(Copy(**{**each, "numbers": tuple(each["numbers"])}) for each in kept["sources"])
        return cls(**{**kept, "sources": sources})

    def is_for(self, other: Join) -> bool:
        """Whether both take the same indices in, in the same way; this one may have found that it needs more."""
        mine = {(each.logical, each.uuid) for each in self.sources}
        return self.recipe == other.recipe and {(each.logical, each.uuid) for each in other.sources} <= mine

    def begun(self) -> Join:
        """The same, from the beginning."""
        return replace(self, targets={}, sources=tuple(each.begun("") for each in self.sources))

    def with_source(self, place: int, copy: Copy) -> Join:
        """The same with another state of one source."""
        return replace(self, sources=(*self.sources[:place], copy, *self.sources[place + 1 :]))


@dataclass
class Joiner:
    """Joins indices of one template.

    Args:
        convert: where a document of a source goes, by its id, and what becomes of it; None where it goes nowhere.
            It is told when the join began, so that it says the same again for the same document.
        find: the index of a name, as a source, where there is one.
        body: what a target is made with.
        busy: whether somebody may make an index of that name at any moment.
        name: what a new target is called itself.
    """

    client: SearchClient
    ledger: Ledger
    template: Template
    convert: Callable[[Copy, str, Body, str], Placed | None]
    find: Callable[[str], Copy | None]
    body: Body
    busy: Callable[[str], bool]
    name: Callable[[str], str]
    lease: Lease | None = None

    def __post_init__(self) -> None:
        self.copier = Copier(self.client, self.ledger, self.template, lambda body: body, self.lease)

    def join(self, join: Join) -> tuple[Join, CopyTally]:
        """Fill the targets; the sources take no writes from here on, until `swap` removes them.

        Raises:
            TooManyDead: a target refuses a document.
            Uneven: the targets have other documents than the sources in the end.
        """
        self.copier.check()
        self.ledger.save_join(join.name, asdict(join))
        for copy in join.sources:
            self.copier.block(copy)
        join = self._taken_over(join)
        join, tally = self._filled(join)
        for target in join.targets.values():
            self.client.request("PUT", path_of(target, "_settings"), {"index": {"refresh_interval": None}})
        kept = sum(self.copier.count(target) for target in join.targets.values())
        unchanged = all(
            self.copier.state(copy.source) == copy.state and self.copier.blocked(copy) for copy in join.sources
        )
        tally.copied = sum(self.copier.count(copy.source) for copy in join.sources)
        if not unchanged or (kept != tally.copied and kept != self._wanted(join)):
            raise Uneven(
                f"what {join.name} was joined into has {kept} documents and not {tally.copied}, or its indices were "
                "written to meanwhile; the copies were removed, and all is as it was. Run the migration again."
            )
        tally.copied = kept
        return join, tally

    def swap(self, join: Join) -> None:
        """Put the targets in the sources' place.

        Raises:
            RaceLost: another run has taken over.
        """
        copier = self.copier
        copier.check()
        aliases = {copy.source: copier.aliases(copy.source) for copy in join.sources}
        bare = [copy for copy in join.sources if copy.source == copy.logical]
        if bare:
            stand_ins: list[Body] = [{"add": {"index": copy.source, "alias": copy.stand_in}} for copy in bare]
            self.client.request("POST", "/_aliases", {"actions": stand_ins})
        for copy in bare:
            copier.check()
            copier.hide(copy)
        own = {name for copy in join.sources for name in (copy.logical, copy.stand_in)}
        taken = {name for names in aliases.values() for name in names}
        others = {name: options for names in aliases.values() for name, options in names.items() if name not in own}
        actions: list[Body] = [
            {"remove": {"index": copy.source, "alias": name, "must_exist": False}}
            for copy in join.sources
            for name in {*aliases[copy.source], copy.stand_in}
        ]
        for logical, target in join.targets.items():
            # A name that is an alias goes over at once: between two requests somebody would make an index of it.
            wanted = {**self.template.aliases, **others, logical if logical in taken else logical + SWAPPED: {}}
            actions.append({"remove": {"index": target, "alias": self.ledger.writer(target), "must_exist": True}})
            actions += [{"add": {"index": target, "alias": name, **options}} for name, options in wanted.items()]
        copier.check()
        try:
            self.client.request("POST", "/_aliases", {"actions": actions})
        except Refused as error:
            if not self.is_read(join):  # else an answer was lost
                if not all(copier.has(target, self.ledger.writer(target)) for target in join.targets.values()):
                    raise RaceLost(f"another run has taken the join of {join.name} over") from error
                raise
        with suppress(Interrupted):  # from here on the end is near, and the way back is not
            self.ledger.clock.sleep(UNDER_WAY)
        self.finish(join)

    def finish(self, join: Join) -> list[str]:
        """Remove the sources, and give the targets their names; returns those that somebody has taken meanwhile."""
        there = [copy for copy in join.sources if self.copier.original_there(copy)]
        actions: list[Body] = [{"remove_index": {"index": copy.source}} for copy in there]
        missed = []
        for logical, target in join.targets.items():
            if logical not in {copy.source for copy in there} and self._is_index(logical):
                missed.append(logical)
                continue
            actions += [
                {"add": {"index": target, "alias": logical}},
                {"remove": {"index": target, "alias": logical + SWAPPED, "must_exist": False}},
            ]
        self.copier.check()
        if actions:
            try:
                self.client.request("POST", "/_aliases", {"actions": actions})
            except Refused:  # unless it was done, and the answer was lost
                if any(self.copier.original_there(copy) for copy in there) or not there:
                    raise
        if join.sources and all(copy.write_blocked for copy in join.sources):
            for target in join.targets.values():
                self.client.request("PUT", path_of(target, "_settings"), {"index.blocks.write": True})
        return missed

    def is_read(self, join: Join) -> bool:
        """Whether patterns read the targets already, so that they may never be discarded."""
        if not join.targets:  # nothing was kept: then the sources are what is left to remove
            return False
        return any(
            self.copier.has(target, name)
            for logical, target in join.targets.items()
            for name in (logical, logical + SWAPPED)
        )

    def discard(self, join: Join) -> None:
        """Remove the targets, let the sources take writes again, and forget the join; not if it is read by now."""
        if not self.release(join):
            return
        for target in join.targets.values():
            self.client.request("DELETE", path_of(target), accept=(403, 404))
        self.ledger.forget_join(join.name)

    def release(self, join: Join) -> bool:
        """Let the sources take writes again, and keep the targets; False where these are to take their place by now."""
        self.copier.check()
        if self.is_read(join):
            return False
        for copy in join.sources:
            if self.copier.original_there(copy):
                self.copier.give_back(copy)
        return True

    def _taken_over(self, join: Join) -> Join:
        """The join with targets that are ours to write to: as an earlier run left them, or from the beginning."""
        states = [self.copier.state(copy.source) for copy in join.sources]
        gone = [target for target in join.targets.values() if not self._is_index(target)]
        if gone or [copy.state for copy in join.sources] != states:
            for target in join.targets.values():
                self.client.request("DELETE", path_of(target), accept=(404,))
            join = join.begun()
            join = replace(
                join, sources=tuple(each.begun(state) for each, state in zip(join.sources, states, strict=True))
            )
        self.ledger.save_join(join.name, asdict(join))
        for target in join.targets.values():
            self.copier.own(target)
        return join

    def _filled(self, join: Join) -> tuple[Join, CopyTally]:
        tally, place = CopyTally(), 0
        while place < len(join.sources):
            copy = join.sources[place]
            for hits in scan.verbatim(self.client, copy.source, copy.cursor):
                self.ledger.clock.sleep(0)  # ends here when told to stop
                placed: dict[str, dict[str, bytes]] = {}
                for hit in hits:
                    logical, body, changed = self._converted(copy, hit, join)
                    tally.changed += changed
                    if logical is not None:
                        placed.setdefault(logical, {})[hit.id] = body
                for logical, bodies in placed.items():
                    join = self._with_target(join, logical)
                    into = replace(copy, logical=logical, target=join.targets[logical])
                    tally.odd += self.copier.write(into, bodies)
                copy = copy.after(int(hits[-1].sort[0]))
                join = join.with_source(place, copy)
                self.ledger.save_join(join.name, asdict(join))
            place += 1
            if place == len(join.sources):
                join = self._complete(join)
        return join, tally

    def _converted(self, copy: Copy, hit: Verbatim, join: Join) -> tuple[str | None, bytes, bool]:
        went: list[str | None] = []

        def transform(body: Body) -> Body:
            placed = self.convert(copy, hit.id, body, join.at)
            went[:] = [placed[0] if placed is not None else None]
            return placed[1] if placed is not None else {}

        body, changed = converted(source_of(hit, copy.source), transform)
        return went[0], body, changed

    def _with_target(self, join: Join, logical: str) -> Join:
        if logical in join.targets:
            return join
        target = self.name(logical)
        join = replace(join, targets={**join.targets, logical: target})
        self.copier.check()
        self.ledger.save_join(join.name, asdict(join))
        self.client.request("PUT", path_of(target), self.body, accept=(400,))  # 400: a killed run had made it
        self.copier.own(target)
        return join

    def _complete(self, join: Join) -> Join:
        """The join with what has the names of its targets among the sources, so that nobody writes there meanwhile."""
        for logical in join.targets:
            if any(copy.logical == logical for copy in join.sources):
                continue
            copy = self.find(logical)
            if copy is None and self.busy(logical):
                self.client.request("PUT", path_of(logical), self.template.body["template"], accept=(400,))
                copy = self.find(logical)
            if copy is not None:
                join = replace(join, sources=(*join.sources, copy))
                self.ledger.save_join(join.name, asdict(join))
                self.copier.block(copy)
                join = join.with_source(len(join.sources) - 1, copy.begun(self.copier.state(copy.source)))
                self.ledger.save_join(join.name, asdict(join))
        return join

    def _wanted(self, join: Join) -> int:
        """How many documents there are to be: without those that go, and one for each id that two sources have."""
        return len(set(self._places(join)))

    def _places(self, join: Join) -> Iterator[tuple[str, str]]:
        for copy in join.sources:
            for hits in scan.verbatim(self.client, copy.source):
                for hit in hits:
                    logical, _, _ = self._converted(copy, hit, join)
                    if logical is not None:
                        yield logical, hit.id

    def _is_index(self, name: str) -> bool:
        """Whether there is an index that is called so itself."""
        found = self.client.request("GET", path_of(name, "_settings"), accept=(404,))
        return found.found and name in found.body
