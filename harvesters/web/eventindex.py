"""The index of events: what is in it, what has changed since, and how one tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.errors import HarvestError
from harvesters.insights.events import Reading, Row
from harvesters.insights.source import index_rows
from harvesters.search import scan
from harvesters.search.reader import IndexReader

_MOST_CHANGES = 50_000  # more are as quickly read with all the others


@dataclass(frozen=True)
class Mark:
    """What an index says of itself.

    Attributes:
        numbers: by shard, the last sequence number: each change of a document has the next one.
        count: documents.
    """

    uuid: str
    numbers: tuple[int, ...]
    count: int


Marks = Mapping[str, Mark]
"""By the name of the index."""


@dataclass(frozen=True)
class EventIndex:
    """The indices behind `alias`."""

    client: SearchClient
    alias: str

    def exists(self) -> bool:
        """Whether there is any."""
        return IndexReader(self.client, self.alias).exists()

    def rows(self) -> Iterator[Row]:
        """Every event; errors as `index_rows` has them."""
        return index_rows(self.client, self.alias, Reading())

    def keys(self) -> set[str]:
        """The key of every event."""
        hits = (hit for page in scan.pages(self.client, self.alias, source=["id"], ordered=False) for hit in page)
        return {_key(hit) for hit in hits}

    def marks(self) -> Marks | None:
        """What the indices say of themselves now; None where they do not tell, as without the privilege `monitor`."""
        path = paths.pattern(self.alias)
        with suppress(HarvestError, LookupError, ValueError):
            self.client.request("POST", f"/{path}/_refresh")
            said = self.client.request("GET", f"/{path}/_stats/docs", params={"level": "shards"}).body["indices"]
            return {name: _mark(index) for name, index in said.items()}
        return None

    def changes(self, before: Marks, now: Marks) -> list[Row] | None:
        """The events that are new or have changed; None where all have to be read: an index is gone, or they are many.

        Raises:
            HarvestError: as `index_rows` does.
        """
        if any(name not in now or now[name].uuid != mark.uuid for name, mark in before.items()):
            return None
        since = {
            name: min(before[name].numbers) + 1 if name in before else 0
            for name, mark in now.items()
            if name not in before or mark.numbers != before[name].numbers
        }
        rows = [*islice(index_rows(self.client, self.alias, Reading(), since), _MOST_CHANGES + 1)]
        return rows if len(rows) <= _MOST_CHANGES else None


def _mark(index: Mapping[str, Any]) -> Mark:
    """Of each shard's copies the one that is furthest: a replica may have missed the last word."""
    shards = index["shards"]
    numbers = [max(copy["seq_no"]["max_seq_no"] for copy in shards[shard]) for shard in sorted(shards, key=int)]
    return Mark(index["uuid"], tuple(numbers), index["primaries"]["docs"]["count"])


def _key(hit: Mapping[str, Any]) -> str:
    """As `Reading.document` has it."""
    id = hit.get("_source", {}).get("id")
    return id if isinstance(id, str) else str(hit["_id"])
