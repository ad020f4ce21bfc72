"""The index of the listings, as the counting of views needs it: which index it is, which listings are new, and the
fields `visits` and `hot` of those that are there. Nothing else of a document is touched, and none is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from harvesters.elastic import bulk, paths
from harvesters.elastic.answers import WHOLE
from harvesters.elastic.bulk import ItemRefusal
from harvesters.elastic.client import SearchClient
from harvesters.errors import ConfigError
from harvesters.listings.totals import Total
from harvesters.retry import Transient

_PAGE = 10_000
_CONFLICT = 409
_MISSING = (404,)
_STATS = {
    "level": "shards",
    "filter_path": "indices.*.uuid,indices.*.shards.*.routing.primary,indices.*.shards.*.seq_no.global_checkpoint",
}


@dataclass(frozen=True)
class Snapshot:
    """The index at one moment.

    Attributes:
        id: of the index; one that is made anew has another.
        seq_no: the last of its changes that all shards are done with. Each shard numbers its own.
        last: the last that any shard is done with.
    """

    id: str
    seq_no: int
    last: int


@dataclass
class Written:
    """What became of totals that were to be written.

    Attributes:
        missing: ids of listings that are not there.
        left: ids of those that were changed by somebody else again and again, or refused.
    """

    updated: int = 0
    unchanged: int = 0
    missing: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    refusal: ItemRefusal | None = None

    def add(self, other: Written) -> None:
        """Count in what became of others; which ones these were is not kept."""
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.refusal = self.refusal or other.refusal


@dataclass
class Ranking:
    """The listings in `index`.

    Args:
        may_write: called before each request that writes; what it raises ends the writing.
    """

    client: SearchClient
    index: str
    may_write: Callable[[], None] = lambda: None

    def snapshot(self) -> Snapshot | None:
        """Which index it is, and how far; None while there is none."""

        def ask() -> Snapshot | None:
            path = f"/{paths.name(self.index)}/_stats/docs"
            answer = self.client.attempt("GET", path, params=_STATS, accept=_MISSING)
            if not answer.found:
                return None
            found = answer.body.get("indices", {})
            shards = [
                shard for each in found.values() for copies in each.get("shards", {}).values() for shard in copies
            ]
            ends = [shard["seq_no"]["global_checkpoint"] for shard in shards if shard["routing"]["primary"]]
            if not ends:
                raise Transient(f"the index {self.index} has no shard that answers")
            return Snapshot(",".join(sorted(each["uuid"] for each in found.values())), min(ends), max(ends))

        return self.client.retry.call(ask, self.client.name)

    def without_views(self, after: int, upto: int) -> Iterator[list[str]]:
        """The ids of listings that changed since and have no `visits`: those that are new, and those that are back."""
        if upto <= after:
            return
        path = f"/{paths.name(self.index)}"
        if not self.client.request("POST", f"{path}/_refresh", accept=_MISSING).found:
            return
        while True:
            changed = {"range": {"_seq_no": {"gt": after, "lte": upto}}}
            query = {"bool": {"filter": [changed], "must_not": [{"exists": {"field": "visits"}}]}}
            body = {"query": query, "size": _PAGE, "sort": ["_seq_no"], "_source": False, "track_total_hits": False}
            params = {"filter_path": "hits.hits._id,hits.hits.sort", **WHOLE}
            answer = self.client.request("POST", f"{path}/_search", body, params=params, accept=_MISSING)
            hits = answer.body.get("hits", {}).get("hits", []) if answer.found else []
            if hits:
                yield [hit["_id"] for hit in hits]
            if len(hits) < _PAGE:
                return
            after = max(after + 1, hits[-1]["sort"][0] - 1)  # each shard counts by itself, so several may have the last

    def write(self, totals: Sequence[Total]) -> Written:
        """Bring `visits` and `hot` into the documents that are there.

        Raises:
            SinkUnavailable, RateLimited: the cluster did not take them within the retry budget.
        """
        actions = [
            bulk.merge(self.index, total.id, b'{"visits":%d,"hot":%.6f}' % (total.visits, total.hot))
            for total in totals
        ]
        results: dict[int, str] = {}
        refused = bulk.deliver(self.client, actions, settled=_MISSING, before=self.may_write, results=results)
        outcome = Written(left=[totals[at].id for at in refused])
        for at, result in results.items():
            if result == "noop":
                outcome.unchanged += 1
            elif result == "404":
                outcome.missing.append(totals[at].id)
            else:
                outcome.updated += 1
        outcome.refusal = next((each for each in refused.values() if each.status != _CONFLICT), None)
        return outcome

    def refused(self, refusal: ItemRefusal) -> ConfigError:
        """The error of an index that does not take the fields."""
        return ConfigError(
            f"{self.client.name} does not take visits and hot in {self.index}: {refusal.reason}. Other listings are "
            "written. See that the index fits index_templates/listings.json."
        )
