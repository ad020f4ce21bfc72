"""Which version of a listing stays, whoever writes it and in whatever order: the later one, by `Place.after`.

Every write says which version it takes the place of, so that of two processes one has to look again:

- A listing is made (``create``), which a listing that is there refuses.
- One that is there is replaced, or deleted, under the sequence number that was read with it. `visits`, `hot` and
  `created` are read with it too, and are in what is written, so there is no moment without them.
- A deletion is remembered before the listing is removed. Who makes a listing looks before and afterwards whether it was
  deleted by a later message, and removes it then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from typing import Any

import orjson

from harvesters.elastic import bulk, paths
from harvesters.elastic.bulk import ItemRefusal
from harvesters.elastic.client import SearchClient
from harvesters.errors import ConfigError
from harvesters.listings.deletions import Deletions, ensure_index
from harvesters.listings.message import Listing
from harvesters.listings.place import Place
from harvesters.search import form, templates
from harvesters.search.templates import Template
from harvesters.timespan import iso

_READ = {
    "_source_includes": "visits,hot,created,origin",
    "filter_path": "docs._id,docs._seq_no,docs._primary_term,docs._source",
}
_CONFLICT = 409
_TEMPLATE = "listings"


class Fate(Enum):
    """What became of a change."""

    INDEXED = "indexed"
    SUPERSEDED = "superseded"
    DELETED = "deleted"


@dataclass(eq=False)
class Change:
    """A message about a listing: a version of it, or without one its deletion.

    Attributes:
        first: the first version of the same listing that is known, and the time that it gives: `created` is its.
    """

    id: str
    place: Place
    listing: Listing | None
    first: tuple[Place, str] | None = None

    def __post_init__(self) -> None:
        if self.listing is not None and self.first is None:
            self.first = self.place, self.listing.created


@dataclass(frozen=True)
class _Stored:
    """A listing that is there; `place` is None where it was not indexed by us."""

    version: bulk.Version
    place: Place | None
    first: Place | None
    kept: dict[str, Any]


Fates = dict[Change, Fate | str]


@dataclass
class Versions:
    """The listings in the index `index`."""

    client: SearchClient
    index: str
    deletions: Deletions = field(init=False)

    def __post_init__(self) -> None:
        self.deletions = Deletions(self.client, self.index)

    def prepare(self) -> None:
        """Make the index where it is missing, and remove what came back after its deletion.

        That may be where a process was stopped before it made a listing, went on when its partitions were another's
        that had deleted it, and was killed before it looked again.

        Raises:
            ConfigError: no index can be called so.
        """
        self._ensure_template()
        ensure_index(self.client, self.index, {"settings": self._form.settings, "mappings": self._form.mappings})
        for places in self.deletions.recent():
            self._remove(places)

    def apply(self, changes: Sequence[Change]) -> Fates:
        """Make the changes, in order; what became of each, or the words with which Elasticsearch refused it for good.

        Raises:
            SinkUnavailable, RateLimited: it went on refusing, or not answering, for longer than the retry budget.
            CredentialsRefused, ConfigError, ProtocolError: it will not take anything from us as things are.
        """
        fates: Fates = {}
        for turn in _turns(changes, fates):
            _Turn(self, turn, fates).run()
        return fates

    def refresh(self) -> None:
        """Have searches see what was changed."""
        self.client.request("POST", f"/{paths.name(self.index)}/_refresh", accept=(403, 404))

    def stored(self, ids: Sequence[str]) -> dict[str, _Stored]:
        """The listings with these ids that are there."""
        path = f"/{paths.name(self.index)}/_mget"
        answer = self.client.request("POST", path, {"ids": list(ids)}, params=_READ, accept=(404,)).body
        found = answer.get("docs", ()) if isinstance(answer, dict) else ()
        return {each["_id"]: _stored(each) for each in found if "_seq_no" in each}

    def _remove(self, places: Mapping[str, Place]) -> None:
        """Delete listings that are older than their deletion."""
        waiting = dict(places)
        while waiting:
            found = self.stored([*waiting])
            waiting = {id: place for id, place in waiting.items() if id in found and _older(found[id], place)}
            lines = [bulk.delete(self.index, id, **found[id].version.conditions) for id in waiting]
            refused = bulk.deliver(self.client, lines, settled=(404,)) if lines else {}
            waiting = {id: place for at, (id, place) in enumerate(waiting.items()) if at in refused}

    def _ensure_template(self) -> None:
        """Put the template where there is none, for an index that is removed and made anew while we run."""
        name, body = _TEMPLATE, self._form.body
        if [self.index] != self._form.patterns:
            name, body = f"{self.index}-{_TEMPLATE}", {**body, "index_patterns": [self.index]}
        path = f"/_index_template/{paths.name(name)}"
        if not self.client.request("GET", path, accept=(404,)).found:
            self.client.request("PUT", path, body, accept=(400,))  # 400: somebody has one for that name

    @cached_property
    def _form(self) -> Template:
        return templates.find(_TEMPLATE)


class _Turn:
    """Changes of different listings, on their way to what becomes of them.

    Each is taken for a new listing first, which most are. One that is there already is read, compared and replaced; and
    whatever somebody else changed meanwhile is tried again.
    """

    def __init__(self, versions: Versions, changes: Sequence[Change], fates: Fates) -> None:
        self.versions = versions
        self.client, self.index = versions.client, versions.index
        self.fates = fates
        self.absent = [change for change in changes if change.listing is not None]
        self.present: list[Change] = []
        self.limits: dict[Change, Place] = {}  # what the listing has to be later than, or it is removed
        removals = {change.id: change for change in changes if change.listing is None}
        if removals:
            latest = versions.deletions.remember({id: change.place for id, change in removals.items()})
            for id, change in removals.items():
                self._bury(change, latest[id], Fate.SUPERSEDED if latest[id].after(change.place) else Fate.DELETED)

    def run(self) -> None:
        """Until every change has met its fate."""
        made: list[Change] = []
        while self.absent or self.present:
            made += self._make()
            self._change()
            if not self.absent and not self.present:
                self._look_again(made)
                made = []

    def _make(self) -> list[Change]:
        """Index those that are not there, as far as is known, and were not deleted later; returns those that were."""
        deleted = self.versions.deletions.find([change.id for change in self.absent])
        making: list[Change] = []
        for change in self.absent:
            if change.id in deleted and deleted[change.id].after(change.place):
                self._bury(change, deleted[change.id], Fate.SUPERSEDED)
            else:
                making.append(change)
        self.absent = []
        lines = [bulk.write(self.index, each.id, self._document(each, {}), "create") for each in making]
        refused = bulk.deliver(self.client, lines) if lines else {}
        made = []
        for at, change in enumerate(making):
            refusal = refused.get(at)
            if refusal is None:
                self.fates[change] = Fate.INDEXED
                made.append(change)
            elif refusal.status == _CONFLICT:
                self.present.append(change)
            else:
                self._refuse(change, refusal)
        return made

    def _change(self) -> None:
        """Replace or delete those that are there, where they are older."""
        if not self.present:
            return
        found = self.versions.stored([change.id for change in self.present])
        lines: dict[Change, bytes] = {}
        late: dict[Change, bytes] = {}
        for change in self.present:
            stored = found.get(change.id)
            if stored is not None and change in self.limits:
                self._remove(change, stored, lines)
            elif stored is not None and _older(stored, change.place):
                document = self._document(change, stored.kept, stored)
                lines[change] = bulk.replace(self.index, change.id, document, stored.version)
            elif stored is not None:
                self.fates[change] = Fate.INDEXED if stored.place == change.place else Fate.SUPERSEDED
                if line := self._created(change, stored):
                    late[change] = line
            elif change not in self.limits:
                self.absent.append(change)
        self.present = []
        self._send(lines, Fate.INDEXED)
        self._send(late, Fate.SUPERSEDED, settled=(404,))  # deleted meanwhile, so there is nothing to be done

    def _send(self, lines: Mapping[Change, bytes], fate: Fate, settled: Sequence[int] = ()) -> None:
        """What somebody else has changed meanwhile is looked at once more."""
        refused = bulk.deliver(self.client, [*lines.values()], settled=settled) if lines else {}
        for at, change in enumerate(lines):
            refusal = refused.get(at)
            if refusal is None:
                self.fates[change] = self.fates[change] if change in self.limits else fate
            elif refusal.status == _CONFLICT:
                self.present.append(change)
            else:
                self._refuse(change, refusal)

    def _remove(self, change: Change, stored: _Stored, lines: dict[Change, bytes]) -> None:
        """Delete the listing that is there, unless it came after its deletion."""
        if _older(stored, self.limits[change]):
            lines[change] = bulk.delete(self.index, change.id, **stored.version.conditions)
        else:
            self.fates[change] = Fate.SUPERSEDED

    def _created(self, change: Change, stored: _Stored) -> bytes | None:
        """What makes `created` that of this version: it comes late, and is the first one all the same."""
        assert change.first is not None
        place, created = change.first
        first = stored.first or stored.place
        if first is None or not first.after(place):
            return None
        more = {"created": created or self._time(place), "origin": {"first": place._asdict()}}
        return bulk.update(self.index, change.id, orjson.dumps(more), stored.version)

    def _document(self, change: Change, kept: Mapping[str, Any], stored: _Stored | None = None) -> bytes:
        """The version, with what stays of the one before, and where it is from."""
        assert change.listing is not None
        assert change.first is not None
        place, created = change.first
        known = (stored.first or stored.place) if stored is not None else None
        origin: dict[str, Any] = change.place._asdict()
        if known is not None and not known.after(place):
            place, created = known, str(kept.get("created") or created)
        elif stored is not None and known is None:
            created = str(kept.get("created") or created)
        if place != change.place:
            origin["first"] = place._asdict()
        return change.listing.document(**{**kept, "created": created or self._time(place), "origin": origin})

    def _time(self, place: Place) -> str:
        if place.timestamp < 0:
            return iso(self.client.retry.clock.now())
        return iso(datetime.fromtimestamp(place.timestamp / 1000, UTC))

    def _bury(self, change: Change, limit: Place, fate: Fate) -> None:
        self.fates[change] = fate
        self.limits[change] = limit
        self.present.append(change)

    def _refuse(self, change: Change, refusal: ItemRefusal) -> None:
        """Refused for good; unless that is the index's fault and not the listing's.

        Raises:
            ConfigError: the index maps a field of ours otherwise.
        """
        if refusal.field and (differs := form.difference(self.client, self.index, _TEMPLATE, refusal.field)):
            raise ConfigError(
                f"{self.client.name} refused the listing {change.id!r} ({refusal.kind}): {differs}. Name another index "
                "in LISTINGS_INDEX, or remove this one: it is filled again from the beginning of the topic once the "
                "offsets of LISTINGS_GROUP are removed too. Nothing is lost."
            )
        self.fates[change] = f"{self.client.name} refused it: {refusal.reason}"

    def _look_again(self, made: Sequence[Change]) -> None:
        """Whether what was made had been deleted meanwhile by a later message."""
        deleted = self.versions.deletions.find([change.id for change in made])
        for change in made:
            if change.id in deleted and deleted[change.id].after(change.place):
                self._bury(change, deleted[change.id], Fate.SUPERSEDED)


def _older(stored: _Stored, place: Place) -> bool:
    return stored.place is None or place.after(stored.place)


def _stored(found: Mapping[str, Any]) -> _Stored:
    source = found.get("_source", {})
    origin = source.get("origin")
    first = Place.read(origin.get("first")) if isinstance(origin, dict) else None
    kept = {name: source[name] for name in ("visits", "hot", "created") if name in source}
    return _Stored(bulk.Version(found["_seq_no"], found["_primary_term"]), Place.read(origin), first, kept)


def _turns(changes: Sequence[Change], fates: Fates) -> Iterator[list[Change]]:
    """Changes of different listings; of several versions of one the last, and a deletion before what comes after it."""
    turn: dict[str, Change] = {}
    for change in changes:
        before = turn.get(change.id)
        if before is None:
            turn[change.id] = change
            continue
        if before.listing is None and change.listing is not None:
            yield [*turn.values()]
            turn = {change.id: change}
            continue
        later, earlier = (change, before) if change.place.after(before.place) else (before, change)
        fates[earlier] = Fate.SUPERSEDED if earlier.place != later.place else Fate.INDEXED
        if later.first is not None and earlier.first is not None and later.first[0].after(earlier.first[0]):
            later.first = earlier.first
        turn[change.id] = later
    if turn:
        yield [*turn.values()]
