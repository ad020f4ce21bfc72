"""Which migrations an index has been through, and how far a copy is; kept in the cluster, in an index of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from harvesters.clock import Clock
from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.errors import RaceLost
from harvesters.retry import RetryPolicy
from harvesters.stores.elastic import ElasticBlob
from harvesters.stores.lease import Lease
from harvesters.timespan import iso

INDEX = "harvest-migrations"
_TOMBSTONES = "1d"  # how long a deleted entry keeps its version, and so keeps out who wakes up late
_GENERATION = 1 << 20  # above every version that entries have from before they were numbered by generation


@dataclass(frozen=True)
class Copy:
    """A copy under way: of index `source` (the one with `uuid`), which is called `logical`, into `target`.

    Attributes:
        numbers: the migrations that it is for.
        undo: whether it takes them back.
        cursor: every document up to this sequence number is in the target; None before the first.
        state: of the source when it was blocked; where it has another one, somebody has written meanwhile.
        write_blocked: whether the source's operator had blocked it for writes before, so that it stays so.
    """

    logical: str
    source: str
    uuid: str
    target: str
    numbers: tuple[int, ...]
    undo: bool
    cursor: int | None = None
    state: str = ""
    write_blocked: bool = False

    @property
    def stand_in(self) -> str:
        """What patterns know the index by while its own name changes hands."""
        return f"{self.logical}.swap"

    def after(self, cursor: int) -> Copy:
        """The same, further on."""
        return replace(self, cursor=cursor)

    def begun(self, state: str) -> Copy:
        """The same, from the beginning."""
        return replace(self, cursor=None, state=state)

    def is_for(self, other: Copy) -> bool:
        """Whether both are the same copy, however far."""
        return self.begun("") == replace(other.begun(""), write_blocked=self.write_blocked)


@dataclass
class Ledger:
    """The index ``harvest-migrations``: one document for each migration of an index, and for each copy under way.

    Entries are versioned by the lease's generation: a run that slept while another one took over writes none.
    """

    client: SearchClient
    clock: Clock
    index: str = INDEX
    _lease: Lease | None = field(default=None, init=False)

    def writer(self, target: str) -> str:
        """The name by which the holder of the lease's generation writes to a target, and nobody later."""
        return f"{target}.by-{self.generation}"

    def prepare(self) -> None:
        """Make the index, unless it is there."""
        lasting = {"gc_deletes": _TOMBSTONES}
        settings = {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1", **lasting}}
        mappings = {
            "dynamic": False,
            "properties": {"migration": {"type": "integer"}, "index": {"type": "keyword"}, "at": {"type": "date"}},
        }
        body = {"settings": settings, "mappings": mappings}
        path = f"/{paths.name(self.index)}"
        if self.client.request("GET", path, accept=(404,)).found:
            self.client.request("PUT", f"{path}/_settings", {"index": lasting})
        else:
            self.client.request("PUT", path, body, accept=(400,))  # 400: somebody was faster

    def lease(self, ttl: float) -> Lease:
        """The right to migrate this cluster, wherever a run is started from."""
        hasty = RetryPolicy(self.clock, min(self.client.retry.budget, ttl / 3))
        self._lease = Lease(ElasticBlob(self.client, self.index, "lease", hasty), self.clock, ttl)
        return self._lease

    @property
    def generation(self) -> int:
        """The lease's, as far as this run ever had it."""
        return self._lease.generation if self._lease is not None else 0

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
        self._delete(f"copy:{copy.logical}")

    def join_of(self, name: str) -> dict[str, Any] | None:
        """The join of that name that is under way."""
        return self._get(f"join:{name}")

    def save_join(self, name: str, join: dict[str, Any]) -> None:
        """Note how far a join is."""
        self._put(f"join:{name}", join)

    def forget_join(self, name: str) -> None:
        """The join is no more."""
        self._delete(f"join:{name}")

    def _get(self, id: str) -> dict[str, Any] | None:
        answer = self.client.request("GET", self._path(id), accept=(404,))
        return dict(answer.body["_source"]) if answer.found else None

    def _put(self, id: str, body: dict[str, Any]) -> None:
        self._check(self.client.request("PUT", self._path(id), body, params=self._version(), accept=(409,)).status)

    def _delete(self, id: str) -> None:
        self._check(self.client.request("DELETE", self._path(id), params=self._version(), accept=(404, 409)).status)

    def _path(self, id: str) -> str:
        return f"/{paths.name(self.index)}/_doc/{paths.name(id)}"

    def _version(self) -> dict[str, Any]:
        if not self.generation:
            return {}
        return {"version": self.generation * _GENERATION, "version_type": "external_gte"}

    def _check(self, status: int) -> None:
        if status == 409:
            raise RaceLost("another run migrates this cluster by now; this one has written nothing more")
