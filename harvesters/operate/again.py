"""Dead letters on their way once more: each job's own mapping, from a letter's row, and its own sink."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harvesters.assembly import Assembly
from harvesters.document import Document
from harvesters.outbound import Outbound, unpacked
from harvesters.sinks.base import IndexMisfit, Sink
from harvesters.sinks.deadletters import DeadLetter

_NO_ROW = "the letter holds no row of this job: {}"
_STRANGE = (AttributeError, KeyError, LookupError, OverflowError, TypeError, ValueError)


@dataclass(frozen=True)
class Died:
    """A letter that is not delivered, and why; `as_it_was`: that says nothing new of it, so its reason stays.

    `letter` is what it should be by now, where its row must not stay as it is.
    """

    reason: str
    as_it_was: bool = False
    letter: DeadLetter | None = None


class Again(Protocol):
    """Where the letters of one job go."""

    @property
    def name(self) -> str:
        """Where that is, for people."""

    @property
    def durable(self) -> bool:
        """False for what is lost with its reader, such as standard output."""

    def deliver(self, letters: Sequence[DeadLetter]) -> list[Died | None]:
        """Deliver the rows of letters, in their order; for each None once it is acknowledged, else why it is not.

        Raises:
            HarvestError: as a sink's `send`; what was acknowledged before is delivered all the same.
        """

    def finish(self) -> None:
        """Called once, when everything is delivered."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass
class Mapped:
    """Rows that become documents for a sink.

    Args:
        map: a document for each row, or the reason why there can be none.
        sink: the job's own.
        outbound: what documents and letters pass on their way out.
        opened: what is closed with it.
    """

    map: Callable[[Sequence[Any]], list[Document | str]]
    sink: Sink
    outbound: Outbound
    opened: ExitStack = field(default_factory=ExitStack)

    @property
    def name(self) -> str:
        """The sink's."""
        return self.sink.name

    @property
    def durable(self) -> bool:
        """The sink's."""
        return self.sink.durable

    def deliver(self, letters: Sequence[DeadLetter]) -> list[Died | None]:
        """Map and send; of two versions of one document the later one is sent when the earlier one is settled."""
        rows = [unpacked(letter.row) for letter in letters]
        made = self._documents([row for row, _ in rows])
        for document, (_, kept) in zip(made, rows, strict=True):
            if isinstance(document, Document) and kept:
                document.body.update(kept)
                document.__dict__.pop("encoded", None)
        made = self.outbound.documents(made, again=True)
        endings = [Died(one) if isinstance(one, str) else None for one in made]
        places: dict[Document, int] = {}
        for at, document in enumerate(made):
            if isinstance(document, str):
                continue
            if any(document.id == other.id and document.kind == other.kind for other in places):
                self._send(places, endings)
                places = {}
            places[document] = at
        self._send(places, endings)
        documents = [one if isinstance(one, Document) else None for one in made]
        return [
            self._told(letter, died, document) if died is not None else None
            for letter, died, document in zip(letters, endings, documents, strict=True)
        ]

    def finish(self) -> None:
        """The sink's."""
        self.sink.finish()

    def close(self) -> None:
        """Let go of the sink, and of what the mapping asks."""
        self.sink.close()
        self.opened.close()

    def _told(self, letter: DeadLetter, died: Died, document: Document | None) -> Died:
        """Why it died, and what the letter should hold where its row is still in the clear."""
        reason = letter.reason if died.as_it_was else died.reason
        now = self.outbound.letter(replace(letter, reason=reason), document, again=True)
        if now.row is letter.row:
            return died
        return replace(died, reason=died.reason if died.as_it_was else now.reason, letter=now)

    def _send(self, places: dict[Document, int], endings: list[Died | None]) -> None:
        if not places:
            return
        try:
            outcomes = self.sink.send([*places])
        except IndexMisfit as misfit:
            outcomes = misfit.outcomes
        heard = {outcome.document: outcome for outcome in outcomes}
        for document, at in places.items():
            if document not in heard:
                endings[at] = Died("nothing was heard of it", as_it_was=True)
            elif not heard[document].delivered:
                endings[at] = Died(heard[document].reason)

    def _documents(self, rows: Sequence[Any]) -> list[Document | str]:
        """As `map`; a row that no harvest of ours can have had is refused alone."""
        try:
            return self.map(rows)
        except _STRANGE:
            return [self._alone(row) for row in rows]

    def _alone(self, row: Any) -> Document | str:
        try:
            return self.map([row])[0]
        except _STRANGE as error:
            return _NO_ROW.format(f"{type(error).__name__}: {error}"[:200])


def useractions(assembly: Assembly, output: str | None) -> Again:
    """User actions, with what their episodes are by now."""
    from harvesters.opencast.run import actions_sink, open_useractions, require_actions

    require_actions(assembly, output)
    opened = ExitStack()
    harvest = open_useractions(assembly)
    opened.callback(harvest.close)
    return Mapped(harvest.documents, actions_sink(assembly, output), assembly.outbound, opened)


def index(assembly: Assembly, output: str | None) -> Again:
    """The messages of a queue, whose letters hold their bodies."""
    from harvesters.indexing.messages import NoDocument, to_document

    zone = assembly.settings.timezone("OPENCAST_TIMEZONE")

    def document(row: Any) -> Document | str:
        try:
            return to_document(row if isinstance(row, str) else json.dumps(row), zone)
        except NoDocument as error:
            return str(error)

    sink = assembly.sink(output or "es", fresh_pattern="useractions-*")
    return Mapped(_each(document), sink, assembly.outbound)


def load_episodes(assembly: Assembly, output: str | None) -> Again:
    """Episodes, into the index that `load_episodes` fills by default."""
    from harvesters.opencast.episode_index import KIND, document_of
    from harvesters.opencast.run import episodes_sink

    now = assembly.clock.now()
    sink = episodes_sink(assembly, KIND) if output in (None, "es") else assembly.sink(output)
    return Mapped(_each(lambda row: document_of(row, now)), sink, assembly.outbound)


def zoom(assembly: Assembly, output: str | None) -> Again:
    """Meetings and sessions."""
    from harvesters.zoom.harvest import document_of
    from harvesters.zoom.run import open_sink, where_is

    geoip = where_is(assembly)
    sink = open_sink(assembly, output or "es")
    return Mapped(_each(lambda row: document_of(row, geoip)), sink, assembly.outbound)


def firebase_events(assembly: Assembly, output: str | None) -> Again:
    """Events; rows are scrubbed, and scored where the run scored them."""
    from harvesters.firebase.events import document_of
    from harvesters.firebase.parts import open_indices, open_mapper, open_sink

    indices, mapper = open_indices(assembly.settings), open_mapper(assembly.settings)
    sink = open_sink(assembly, output or "es", indices.events, indices.of_event, True)
    return Mapped(_each(lambda row: document_of(row, mapper, assembly.clock.now)), sink, assembly.outbound)


def firebase_profiles(assembly: Assembly, output: str | None) -> Again:
    """Profiles, with the words by which they are found where they go into an index."""
    from harvesters.firebase.people import indexed_profile, profile

    return _people(assembly, output, "profiles", profile if output not in (None, "es") else indexed_profile)


def firebase_classes(assembly: Assembly, output: str | None) -> Again:
    """Classes."""
    from harvesters.firebase.people import course

    return _people(assembly, output, "classes", course)


def listings_index(assembly: Assembly, output: str | None) -> Again:
    """Messages about listings, as what they were: a newer version stays."""
    return _Listings(assembly, output in (None, "es"))


@dataclass
class _Listings:
    assembly: Assembly
    wanted: bool
    durable: bool = True

    @property
    def name(self) -> str:
        return f"index {self.assembly.settings.get('LISTINGS_INDEX')}"

    def deliver(self, letters: Sequence[DeadLetter]) -> list[Died | None]:
        from harvesters.listings.replay import Unreplayable, replay

        if not self.wanted:
            return [Died("listings go into LISTINGS_INDEX alone: leave --output out", as_it_was=True)] * len(letters)
        endings: list[Died | None] = []
        for ending in replay(self.assembly, letters):
            if isinstance(ending, Unreplayable):
                endings.append(Died(ending.reason, as_it_was=True))
            else:
                endings.append(Died(ending) if isinstance(ending, str) else None)
        return endings

    def finish(self) -> None:
        """Everything is acknowledged."""

    def close(self) -> None:
        """The assembly closes what was opened."""


def _people(assembly: Assembly, output: str | None, what: str, fill: Callable[[dict[str, Any]], None]) -> Again:
    from harvesters.firebase.parts import open_indices, open_scrubber, open_sink
    from harvesters.firebase.people import EntityMapper

    indices = open_indices(assembly.settings)
    name = indices.profiles if what == "profiles" else indices.classes
    mapper = EntityMapper(name, fill, open_scrubber(assembly.settings))
    sink = open_sink(assembly, output or "es", name, lambda document: name)
    return Mapped(_each(mapper.document), sink, assembly.outbound)


def _each(document: Callable[[Any], Document | str]) -> Callable[[Sequence[Any]], list[Document | str]]:
    return lambda rows: [document(row) for row in rows]
