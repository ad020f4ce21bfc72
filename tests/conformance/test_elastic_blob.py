"""The contract of `Blob`, over Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harvesters.elastic.client import SearchClient
from harvesters.errors import Unavailable
from harvesters.retry import Transient
from harvesters.stores.blob import Conflict
from harvesters.stores.elastic import ElasticBlob
from tests.clocks import FakeClock, patient
from tests.conformance.stores import OpenBlob
from tests.conformance.test_blob import TestContract as Contract
from tests.conformance.test_blob import TestTwoWriters as TwoWriters
from tests.nodes import Node, node_for_a_test


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    with node_for_a_test(request) as node:
        yield node


@pytest.fixture
def open_blob(node: Node) -> Iterator[OpenBlob]:
    clients = [node.client(), node.client()]

    def opened(name: str) -> ElasticBlob:
        clients.reverse()
        return ElasticBlob(clients[0], f"{node.prefix}blobs", name)

    yield opened
    for name in ("value", "value.lease", "count"):
        node.ask("DELETE", f"/{node.prefix}blobs/_doc/{name}", accept=(404,))
    for client in clients:
        client.close()


class TestElasticContract(Contract):
    pass


class TestElasticTwoWriters(TwoWriters):
    pass


class Forgetful(SearchClient):
    """Loses the answers to the first writes, which were carried out."""

    lose = 1

    def attempt(self, method, path, *args, **named):  # type: ignore[no-untyped-def]
        answer = super().attempt(method, path, *args, **named)
        if method == "PUT" and self.lose:
            self.lose -= 1
            raise Transient("no answer")
        return answer


@pytest.mark.parametrize("there", [True, False])
def test_a_write_whose_answer_is_lost_is_settled_as_ours(node: Node, open_blob: OpenBlob, there: bool) -> None:
    client = Forgetful(node.url, patient())
    blob = ElasticBlob(client, f"{node.prefix}blobs", "value")
    client.lose = 0
    tag = blob.write(b"before", None) if there else None
    client.lose = 1
    mine = blob.write(b"ours", tag)
    found = blob.read()
    client.close()
    assert found is not None
    assert (found.content, found.etag) == (b"ours", mine)


def test_the_same_content_from_another_is_still_a_conflict(open_blob: OpenBlob) -> None:
    open_blob("value").write(b"same", None)
    with pytest.raises(Conflict):
        open_blob("value").write(b"same", None)


def test_a_cluster_that_does_not_answer_is_unavailable() -> None:
    clock = FakeClock()
    blob = ElasticBlob(SearchClient("http://127.0.0.1:1", patient()), "blobs", "value", patient(clock, budget=5))
    with pytest.raises(Unavailable, match=r"blobs/value in (elastic|open)search at 127"):
        blob.read()
    blob.client.close()
    assert clock.slept
