"""What is removed where a meeting moves to another day, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pytest

from harvesters.document import Document, Outcome
from harvesters.elastic.client import Answer
from harvesters.errors import SinkUnavailable
from harvesters.retry import RetryPolicy
from harvesters.sinks.elastic import ElasticSink
from harvesters.zoom.moving import MovingSink
from tests.clocks import FakeClock

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Cluster:
    """Indices of ids; answers `status` where that is not 200, and deletes with `deletes`."""

    name = "a cluster"
    address = "es a cluster"

    def __init__(self, indices: dict[str, list[str]], status: int = 200, deletes: int = 200) -> None:
        self.indices = indices
        self.status = status
        self.deletes = deletes
        self.deleted: list[tuple[str, str]] = []
        self.retry = RetryPolicy(FakeClock(), 10)

    @property
    def client(self) -> Cluster:
        return self

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        return [Outcome(document) for document in documents]

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        if self.status != 200:
            assert self.status in options["accept"]
            return Answer(self.status, {})
        pattern, _, what = path.strip("/").partition("/")
        if what == "_refresh":
            return Answer(200, {})
        wanted = body["query"].get("ids", {}).get("values")
        begins = pattern.removesuffix("*")
        hits = [
            {"_index": index, "_id": id}
            for index, ids in self.indices.items()
            for id in ids
            if begins in index and (wanted is None or id in wanted)
        ]
        return Answer(200, {"hits": {"hits": hits}})

    def attempt(self, method: str, path: str, body: bytes, **options: Any) -> Answer:
        items = []
        for line in body.splitlines():
            where = orjson.loads(line)["delete"]
            if self.deletes == 200:
                self.indices[where["_index"]].remove(where["_id"])
                self.deleted.append((where["_index"], where["_id"]))
            items.append({"delete": {"_index": where["_index"], "status": self.deletes}})
        return Answer(200, {"items": items})


def deliver(cluster: Cluster, *uuids: str) -> None:
    sink = MovingSink(cast(ElasticSink, cluster))
    documents = [Document(uuid, "meetings", NOON, {}) for uuid in uuids]
    documents.append(Document("s", "sessions", NOON, {}))
    assert [outcome.delivered for outcome in sink.send(documents)] == [True] * len(documents)


def test_the_old_document_goes_after_its_sessions() -> None:
    indices = {
        "meetings-2026.11.01": ["m==", "other=="],
        "meetings-2026.11.02": ["m=="],
        "sessions-2026.11.01": ["a", "b"],
        "sessions-2026.11.02": ["a", "b"],
    }
    cluster = Cluster(indices)
    deliver(cluster, "m==")
    old = "sessions-2026.11.01"
    assert cluster.deleted == [(old, "a"), (old, "b"), ("meetings-2026.11.01", "m==")]


@pytest.mark.parametrize("index", ["meetings-2026.11.02", "migrated-0001-meetings-2026.11.02", "meetings-old"])
def test_what_stands_on_its_day_or_in_an_index_of_others_stays(index: str) -> None:
    cluster = Cluster({index: ["m=="]})
    deliver(cluster, "m==")
    assert cluster.deleted == []


def test_a_migrated_index_is_one_of_its_day_too() -> None:
    cluster = Cluster({"migrated-0001-meetings-2026.11.01": ["m=="]})
    deliver(cluster, "m==")
    assert cluster.deleted == [("migrated-0001-meetings-2026.11.01", "m==")]


@pytest.mark.parametrize("status", [400, 403, 404])
def test_who_may_only_write_removes_nothing(status: int) -> None:
    deliver(Cluster({"meetings-2026.11.01": ["m=="]}, status), "m==")


def test_a_cluster_that_does_not_delete_is_unavailable() -> None:
    with pytest.raises(SinkUnavailable, match="were not taken"):
        deliver(Cluster({"meetings-2026.11.01": ["m=="]}, deletes=503), "m==")


def test_who_may_not_delete_is_told_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    deliver(Cluster({"meetings-2026.11.01": ["m==", "n=="]}, deletes=403), "m==", "n==")
    assert [one.levelname for one in caplog.records] == ["WARNING"]
