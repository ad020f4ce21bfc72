"""What was deleted, and by which message: a version that is older than that must not bring a listing back.

The listing itself is gone from its index, where nothing may be left of it. So the message is remembered in an index
beside it, ``LISTINGS_INDEX-deleted``, which searches with patterns do not see (`index.hidden`).

A marker in that index is written with all deletions. As long as it has not changed, nothing was deleted, and nobody
needs to look for the listings of a batch one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from harvesters.elastic import bulk, paths
from harvesters.elastic.client import SearchClient
from harvesters.errors import SinkUnavailable
from harvesters.listings.indexname import ensure_index
from harvesters.listings.place import Place
from harvesters.search import scan
from harvesters.timespan import iso

_INDEX = {
    "settings": {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": True}},
    "mappings": {
        "dynamic": False,
        "properties": {"at": {"type": "date"}, "origin": {"type": "object", "enabled": False}},
    },
}
_MARKER = "\t"  # no listing is called so
_RECENT = timedelta(days=1)
_FOUND = {"filter_path": "docs._source,docs._seq_no,docs._primary_term"}


@dataclass
class Deletions:
    """The deletions of the listings in `listings`; of each listing the latest.

    Attributes:
        seen: the marker as it was some time ago.
    """

    client: SearchClient
    listings: str
    seen: int | None = field(default=-1, init=False)

    @property
    def index(self) -> str:
        """The index that they are in."""
        return f"{self.listings}-deleted"

    def prepare(self) -> None:
        """Make the index where it is missing. Elasticsearch looks for an id quickly where there is one.

        Raises:
            ConfigError: no index can be called so.
        """
        ensure_index(self.client, self.index, _INDEX)
        self.look()

    def look(self) -> int | None:
        """The marker as it is now: another number as soon as anything more is deleted; None where nothing ever was."""
        path = f"/{paths.name(self.index)}/_doc/{paths.name(_MARKER)}"
        answer = self.client.request("GET", path, params={"_source": "false"}, accept=(404,))
        self.seen = int(answer.body["_seq_no"]) if answer.found else None
        return self.seen

    def find(self, ids: Sequence[str]) -> dict[str, Place]:
        """The messages that deleted these listings, of those that were ever deleted."""
        return {id: place for id, (place, _) in self._find(ids).items()}

    def remember(self, places: Mapping[str, Place]) -> dict[str, Place]:
        """Remember that the messages at these places delete these listings; returns the latest deletion of each.

        Raises:
            SinkUnavailable, RateLimited: Elasticsearch did not take it within the retry budget.
        """
        latest: dict[str, Place] = {}
        waiting = dict(places)
        while waiting:
            known = self._find([*waiting])
            for id, (place, _) in known.items():
                if not waiting[id].after(place):
                    latest[id] = place
                    del waiting[id]
            lines = [self._line(id, place, known.get(id)) for id, place in waiting.items()]
            # The marker comes last: who sees it as it was has seen the deletions as they were.
            lines.append(bulk.write(self.index, _MARKER, b"{}"))
            refused = bulk.deliver(self.client, lines)
            conflicts = {id for at, id in enumerate(waiting) if at in refused}
            other = next((each for each in refused.values() if each.status != 409), None)
            if other is not None:
                raise SinkUnavailable(f"{self.client.name} does not take deletions: {other.reason}")
            latest |= {id: place for id, place in waiting.items() if id not in conflicts}
            waiting = {id: place for id, place in waiting.items() if id in conflicts}
        return latest

    def recent(self) -> Iterator[dict[str, Place]]:
        """The deletions of the last day, some at a time."""
        since = self.client.retry.clock.now() - _RECENT
        answer = self.client.request("POST", f"/{paths.name(self.index)}/_refresh", accept=(404,))
        if not answer.found:
            return
        for hits in scan.pages(self.client, self.index, only={"range": {"at": {"gte": iso(since)}}}):
            yield {id: place for id, place in map(_entry, hits) if place is not None}

    def _find(self, ids: Sequence[str]) -> dict[str, tuple[Place, bulk.Version]]:
        if not ids:
            return {}
        path = f"/{paths.name(self.index)}/_mget"
        answer = self.client.request("POST", path, {"ids": list(ids)}, params=_FOUND, accept=(404,)).body
        found: dict[str, tuple[Place, bulk.Version]] = {}
        for each in answer.get("docs", ()) if isinstance(answer, dict) else ():
            id, place = _entry(each)
            if place is not None:
                found[id] = place, bulk.Version(each["_seq_no"], each["_primary_term"])
        return found

    def _line(self, id: str, place: Place, known: tuple[Place, bulk.Version] | None) -> bytes:
        at = iso(self.client.retry.clock.now())
        body = orjson.dumps({"id": id, "at": at, "origin": place._asdict()})
        if known is None:
            return bulk.write(self.index, id, body, "create")
        return bulk.replace(self.index, id, body, known[1])


def _entry(found: Mapping[str, Any]) -> tuple[str, Place | None]:
    source = found.get("_source", {})
    return str(source.get("id", "")), Place.read(source.get("origin"))
