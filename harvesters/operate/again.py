"""Dead letters on their way once more: each job's own mapping, from a letter's row, and its own sink."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harvesters.assembly import Assembly
from harvesters.document import Document
from harvesters.sinks.base import Sink

T = TypeVar("T")

_NO_ROW = "the letter holds no row of this job: {}"
_STRANGE = (AttributeError, KeyError, LookupError, OverflowError, TypeError, ValueError)


@dataclass
class Again:
    """Where the rows of letters go.

    Args:
        map: a document for each row, or the reason why there can be none.
        sink: the job's own.
        opened: what is closed with it.
    """

    map: Callable[[Sequence[Any]], list[Document | str]]
    sink: Sink
    opened: ExitStack = field(default_factory=ExitStack)

    def documents(self, rows: Sequence[Any]) -> list[Document | str]:
        """As `map`; a row that no harvest of ours can have had is refused alone."""
        try:
            return self.map(rows)
        except _STRANGE:
            return [self._alone(row) for row in rows]

    def close(self) -> None:
        """Let go of the sink, and of what the mapping asks."""
        self.sink.close()
        self.opened.close()

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
    return Again(harvest.documents, actions_sink(assembly, output), opened)


def index(assembly: Assembly, output: str | None) -> Again:
    """The messages of a queue, whose letters hold their bodies."""
    from harvesters.indexing.messages import NoDocument, to_document

    zone = assembly.settings.timezone("OPENCAST_TIMEZONE")

    def document(row: Any) -> Document | str:
        try:
            return to_document(row if isinstance(row, str) else json.dumps(row), zone)
        except NoDocument as error:
            return str(error)

    return Again(_each(document), assembly.sink(output or "es", fresh_pattern="useractions-*"))


def load_episodes(assembly: Assembly, output: str | None) -> Again:
    """Episodes, into the index that `load_episodes` fills by default."""
    from harvesters.opencast.episode_index import KIND, document_of
    from harvesters.opencast.run import episodes_sink

    now = assembly.clock.now()
    sink = episodes_sink(assembly, KIND) if output in (None, "es") else assembly.sink(output)
    return Again(_each(lambda row: document_of(row, now)), sink)


def zoom(assembly: Assembly, output: str | None) -> Again:
    """Meetings and sessions."""
    from harvesters.zoom.harvest import document_of
    from harvesters.zoom.run import open_sink, where_is

    geoip = where_is(assembly)
    return Again(_each(lambda row: document_of(row, geoip)), open_sink(assembly, output or "es"))


def firebase_events(assembly: Assembly, output: str | None) -> Again:
    """Events; rows are scrubbed, and scored where the run scored them."""
    from harvesters.firebase.events import document_of
    from harvesters.firebase.parts import open_indices, open_mapper, open_sink

    indices, mapper = open_indices(assembly.settings), open_mapper(assembly.settings)
    sink = open_sink(assembly, output or "es", indices.events, indices.of_event, True)
    return Again(_each(lambda row: document_of(row, mapper, assembly.clock.now)), sink)


def firebase_profiles(assembly: Assembly, output: str | None) -> Again:
    """Profiles, with the words by which they are found where they go into an index."""
    from harvesters.firebase.people import indexed_profile, profile

    return _people(assembly, output, "profiles", profile if output not in (None, "es") else indexed_profile)


def firebase_classes(assembly: Assembly, output: str | None) -> Again:
    """Classes."""
    from harvesters.firebase.people import course

    return _people(assembly, output, "classes", course)


def _people(assembly: Assembly, output: str | None, what: str, fill: Callable[[dict[str, Any]], None]) -> Again:
    from harvesters.firebase.parts import open_indices, open_scrubber, open_sink
    from harvesters.firebase.people import EntityMapper

    indices = open_indices(assembly.settings)
    name = indices.profiles if what == "profiles" else indices.classes
    mapper = EntityMapper(name, fill, open_scrubber(assembly.settings))
    return Again(_each(mapper.document), open_sink(assembly, output or "es", name, lambda document: name))


def _each(document: Callable[[Any], Document | str]) -> Callable[[Sequence[Any]], list[Document | str]]:
    return lambda rows: [document(row) for row in rows]
