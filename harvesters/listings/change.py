"""A message about a listing, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from harvesters.elastic.bulk import Version
from harvesters.errors import BadInput
from harvesters.kafka.records import Record
from harvesters.kafka.topics import Topic
from harvesters.listings.message import Listing, parse_key, parse_listing
from harvesters.listings.place import Place


class Fate(Enum):
    """What became of a change."""

    INDEXED = "indexed"
    SUPERSEDED = "superseded"
    DELETED = "deleted"


@dataclass(eq=False, slots=True)
class Change:
    """A message about a listing: a version of it, or without one its deletion.

    Attributes:
        earlier: an earlier version of the same listing: its place, and when it says that the listing was made.
    """

    id: str
    place: Place
    listing: Listing | None
    earlier: tuple[Place, str] | None = None

    @property
    def first(self) -> tuple[Place, str]:
        """The first version that is known, and when that says that the listing was made; "" where it does not."""
        if self.earlier is not None:
            return self.earlier
        return self.place, self.listing.created if self.listing is not None else ""


def change_of(topic: Topic, record: Record) -> Change:
    """What a message says.

    Raises:
        BadInput: nothing that can be understood.
    """
    place = Place(topic.name, topic.id, record.partition, record.offset, record.timestamp)
    if record.value is None:
        if record.key is None:
            raise BadInput("it has neither a key nor a value")
        return Change(parse_key(record.key), place, None)
    listing = parse_listing(record.value)
    return Change(listing.id, place, listing)


Fates = dict[Change, Fate | str]


@dataclass(frozen=True, slots=True)
class Stored:
    """A listing that is there.

    Attributes:
        place: of the message that it comes from; None where it was not indexed by us.
        first: of the message that its `created` comes from.
        created: when it was made; "" where it does not say.
        views: what is counted of it.
    """

    version: Version
    place: Place | None
    first: Place | None
    created: str
    views: dict[str, Any]

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Stored:
        """What Elasticsearch says of a document that it has."""
        source = found.get("_source", {})
        origin = source.get("origin")
        place = Place.read(origin)
        first = Place.read(origin.get("first")) if isinstance(origin, dict) else None
        views = {name: source[name] for name in ("visits", "hot") if name in source}
        version = Version(found["_seq_no"], found["_primary_term"])
        return cls(version, place, first or place, str(source.get("created") or ""), views)

    def older(self, place: Place) -> bool:
        """Whether a message at `place` counts as later."""
        return self.place is None or place.after(self.place)


def turns(changes: Sequence[Change], fates: Fates) -> Iterator[list[Change]]:
    """The changes as turns that each have one of a listing at most.

    Of several versions of a listing the last one is in the turn, and the others are superseded. What comes after a
    deletion is in the next one.
    """
    if len({change.id for change in changes}) == len(changes):
        yield list(changes)
        return
    turn: dict[str, Change] = {}
    for change in changes:
        before = turn.get(change.id)
        if before is not None and before.listing is None and change.listing is not None:
            yield [*turn.values()]
            turn, before = {}, None
        turn[change.id] = change if before is None else _later(before, change, fates)
    yield [*turn.values()]


def _later(one: Change, other: Change, fates: Fates) -> Change:
    later, earlier = (other, one) if other.place.after(one.place) else (one, other)
    fates[earlier] = Fate.SUPERSEDED
    if later.listing is not None and earlier.listing is not None and later.first[0].after(earlier.first[0]):
        later.earlier = earlier.first
    return later
