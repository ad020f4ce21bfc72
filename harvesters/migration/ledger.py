"""Which migrations an index has been through, and how far a copy is; kept in the cluster, in an index of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from harvesters.clock import Clock
from harvesters.retry import RetryPolicy
from harvesters.search.client import SearchClient
from harvesters.stores.elastic import ElasticBlob
from harvesters.stores.lease import Lease
from harvesters.timespan import iso

INDEX = "harvest-migrations"


@dataclass(frozen=True)
class Copy:
    """A copy under way: of index `source` (the one with `uuid`), which is called `logical`, into `target`.

    Attributes:
        numbers: the migrations that it is for.
        undo: whether it takes them back.
        cursor: every document up to this sequence number is in the target; None before the first.
    """

    logical: str
    source: str
    uuid: str
    target: str
    numbers: tuple[int, ...]
    undo: bool
    cursor: int | None = None

    @property
    def stand_in(self) -> str:
        """What patterns know the index by while its own name changes hands."""
        return f"{self.logical}.swap"

    def after(self, cursor: int) -> Copy:
        """The same, further on."""
        return replace(self, cursor=cursor)


@dataclass
class Ledger:
    """The index ``harvest-migrations``: one document for each migration of an index, and for each copy under way."""

    client: SearchClient
    clock: Clock
    index: str = INDEX

    def prepare(self) -> None:
        """Make the index, unless it is there."""
        settings = {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}}
        mappings = {
            "dynamic": False,
            "properties": {"migration": {"type": "integer"}, "index": {"type": "keyword"}, "at": {"type": "date"}},
        }
        body = {"settings": settings, "mappings": mappings}
        if not self.client.request("GET", f"/{self.index}", accept=(404,)).found:
            self.client.request("PUT", f"/{self.index}", body, accept=(400,))  # 400: somebody was faster

    def lease(self, ttl: float) -> Lease:
        """The right to migrate this cluster, wherever a run is started from."""
        hasty = RetryPolicy(self.clock, min(self.client.retry.budget, ttl / 3))
        return Lease(ElasticBlob(self.client, self.index, "lease", hasty), self.clock, ttl)

    def is_done(self, number: int, logical: str, uuid: str) -> bool:
        """Whether the index that is now called `logical` has been through the migration."""
        found = self._get(f"{number}:{logical}")
        return found is not None and found["state"] == "done" and found["uuid"] == uuid

    def record(self, number: int, logical: str, uuid: str, state: str, documents: int) -> None:
        """Note that the index now called `logical` is ``done`` or ``undone``, with so many documents changed."""
        entry = {"migration": number, "index": logical, "uuid": uuid, "state": state, "documents": documents}
        self._put(f"{number}:{logical}", {**entry, "at": iso(self.clock.now())})

    def copy_of(self, logical: str) -> Copy | None:
        """The copy under way of the index that is called `logical`."""
        found = self._get(f"copy:{logical}")
        return Copy(**{**found, "numbers": tuple(found["numbers"])}) if found is not None else None

    def save(self, copy: Copy) -> None:
        """Note how far the copy is."""
        self._put(f"copy:{copy.logical}", asdict(copy))

    def forget(self, copy: Copy) -> None:
        """The copy is no more."""
        self.client.request("DELETE", f"/{self.index}/_doc/copy:{copy.logical}", accept=(404,))

    def _get(self, id: str) -> dict[str, Any] | None:
        answer = self.client.request("GET", f"/{self.index}/_doc/{id}", accept=(404,))
        return dict(answer.body["_source"]) if answer.found else None

    def _put(self, id: str, body: dict[str, Any]) -> None:
        self.client.request("PUT", f"/{self.index}/_doc/{id}", body)
