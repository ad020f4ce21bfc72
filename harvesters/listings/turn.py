"""Changes of different listings, on their way to what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson

from harvesters.elastic import bulk
from harvesters.elastic.bulk import ItemRefusal
from harvesters.elastic.client import SearchClient
from harvesters.errors import ConfigError
from harvesters.listings.change import Change, Fate, Fates, Stored
from harvesters.listings.deletions import Deletions
from harvesters.listings.indexname import require_one
from harvesters.listings.place import Place
from harvesters.listings.stored import Listings
from harvesters.search import form
from harvesters.timespan import iso

TEMPLATE = "listings"
_CONFLICT = 409
# What an index asks of documents that is not in our template, by how it refuses the others.
_WANTS = {
    "strict_dynamic_mapping_exception": "the index takes no fields that it does not know",
    "routing_missing_exception": "the index wants routing with each document",
}


class Turn:
    """Each is taken for a new listing first, which most are. One that is there already is read, compared and replaced;
    and whatever somebody else changed meanwhile is tried again.
    """

    def __init__(self, listings: Listings, deletions: Deletions, changes: Sequence[Change], fates: Fates) -> None:
        self._listings, self._deletions, self._fates = listings, deletions, fates
        self._marker = deletions.seen
        self._absent = [change for change in changes if change.listing is not None]
        self._present: list[Change] = []
        self._limits: dict[Change, Place] = {}  # what the listing has to be later than, or it is removed
        if len(self._absent) < len(changes):
            self._delete([change for change in changes if change.listing is None])

    def run(self) -> None:
        """Until every change has met its fate."""
        made: list[Change] = []
        while self._absent or self._present:
            made += self._make()
            self._change()
            if made and not self._absent and not self._present:
                self._look_again(made)
                made = []

    @property
    def _client(self) -> SearchClient:
        return self._listings.client

    @property
    def _index(self) -> str:
        return self._listings.index

    def _delete(self, removals: Sequence[Change]) -> None:
        """Remember deletions, and go after what is older than they are."""
        latest = self._deletions.remember({change.id: change.place for change in removals})
        for change in removals:
            limit = latest[change.id]
            self._bury(change, limit, Fate.SUPERSEDED if limit.after(change.place) else Fate.DELETED)

    def _make(self) -> list[Change]:
        """Index those that are not there, as far as is known, and were not deleted later; returns those that were."""
        making, self._absent = self._not_deleted(self._absent) if self._marker is not None else self._absent, []
        if not making:
            return []
        index = self._index
        lines = [bulk.write(index, change.id, self._document(change), "create") for change in making]
        refused = bulk.deliver(self._client, lines)
        made = making
        if refused:
            made = [change for at, change in enumerate(making) if at not in refused]
            for at, refusal in refused.items():
                self._not_made(making[at], refusal)
        self._fates.update(dict.fromkeys(made, Fate.INDEXED))
        return made

    def _not_made(self, change: Change, refusal: ItemRefusal) -> None:
        assert change.listing is not None
        if refusal.status == _CONFLICT:
            self._present.append(change)
        elif change.listing.verbatim:
            change.listing.verbatim = False
            self._absent.append(change)
        else:
            self._refuse(change, refusal)

    def _change(self) -> None:
        """Replace or remove those that are there, where they are older."""
        if not self._present:
            return
        found = self._listings.find([change.id for change in self._present])
        present, self._present = self._present, []
        lines: dict[Change, bytes] = {}
        late: dict[Change, bytes] = {}
        for change in present:
            stored = found.get(change.id)
            if change in self._limits:
                self._remove(change, stored, lines)
            elif stored is None:
                self._absent.append(change)
            elif stored.older(change.place):
                lines[change] = bulk.replace(self._index, change.id, self._document(change, stored), stored.version)
            else:
                self._fates[change] = Fate.INDEXED if stored.place == change.place else Fate.SUPERSEDED
                if line := self._created(change, stored):
                    late[change] = line
        self._send(lines, Fate.INDEXED)
        self._send(late, Fate.SUPERSEDED, settled=(404,))  # deleted meanwhile, so there is nothing to be done

    def _send(self, lines: Mapping[Change, bytes], fate: Fate, settled: Sequence[int] = ()) -> None:
        """What somebody else has changed meanwhile is looked at once more."""
        refused = bulk.deliver(self._client, [*lines.values()], settled=settled) if lines else {}
        for at, change in enumerate(lines):
            refusal = refused.get(at)
            if refusal is None:
                self._fates[change] = self._fates[change] if change in self._limits else fate
            elif refusal.status == _CONFLICT:
                self._present.append(change)
            else:
                self._refuse(change, refusal)

    def _remove(self, change: Change, stored: Stored | None, lines: dict[Change, bytes]) -> None:
        """Delete the listing that is there, unless it came after its deletion."""
        if stored is None:
            return
        if stored.older(self._limits[change]):
            lines[change] = bulk.delete(self._index, change.id, **stored.version.conditions)
        else:
            self._fates[change] = Fate.SUPERSEDED

    def _document(self, change: Change, stored: Stored | None = None) -> bytes:
        """The version, with what stays of the one before, and where it is from."""
        assert change.listing is not None
        place, created = change.first
        if stored is not None and (stored.first is None or not stored.first.after(place)):
            place, created = stored.first or place, stored.created or created
        origin = change.place.encoded()
        if place is not change.place:
            origin = b'%b,"first":%b}' % (origin[:-1], place.encoded())
        return change.listing.document(origin, created or self._time(place), stored.views if stored is not None else {})

    def _created(self, change: Change, stored: Stored) -> bytes | None:
        """What makes `created` that of this version: it comes late, and is the first one all the same."""
        place, created = change.first
        if stored.first is None or not stored.first.after(place):
            return None
        created = created or self._time(place)
        body = b'{"created":%b,"origin":{"first":%b}}' % (orjson.dumps(created), place.encoded())
        return bulk.update(self._index, change.id, body, stored.version)

    def _time(self, place: Place) -> str:
        """The time of a message; now where that is none, or no clock's."""
        try:
            if place.timestamp >= 0:
                return iso(datetime.fromtimestamp(place.timestamp / 1000, UTC))
        except (ValueError, OverflowError, OSError):
            pass
        return iso(self._client.retry.clock.now())

    def _bury(self, change: Change, limit: Place, fate: Fate) -> None:
        """The listing was deleted by the message at `limit`: what is older than that has to go."""
        self._fates[change] = fate
        self._limits[change] = limit
        self._present.append(change)

    def _refuse(self, change: Change, refusal: ItemRefusal) -> None:
        """Refused for good; unless that is the index's fault and not the listing's.

        Raises:
            ConfigError: the index maps a field of ours otherwise, or is an alias by now that cannot be written to.
        """
        if refusal.kind == "illegal_argument_exception":
            require_one(self._client, self._index)
        differs = _WANTS.get(refusal.kind, "")
        if refusal.field and not differs:
            differs = form.difference(self._client, self._index, TEMPLATE, refusal.field)
        if differs:
            raise ConfigError(
                f"{self._client.name} refused the listing {change.id!r} ({refusal.kind}): {differs}. Name another "
                "index in LISTINGS_INDEX, or remove this one: it is filled again from the beginning of the topic once "
                "the offsets of LISTINGS_GROUP are removed too. Nothing is lost."
            )
        self._fates[change] = f"{self._client.name} refused it: {refusal.reason}"

    def _look_again(self, made: Sequence[Change]) -> None:
        """Whether what was made had been deleted meanwhile by a later message."""
        before, self._marker = self._marker, self._deletions.look()
        if self._marker != before:
            self._not_deleted(made)

    def _not_deleted(self, changes: Sequence[Change]) -> list[Change]:
        """Those that no later message deletes; the others are superseded."""
        deleted = self._deletions.find([change.id for change in changes])
        kept: list[Change] = []
        for change in changes:
            limit = deleted.get(change.id)
            if limit is not None and limit.after(change.place):
                self._bury(change, limit, Fate.SUPERSEDED)
            else:
                kept.append(change)
        return kept
