"""Documents as an index keeps them, all of them, from a real Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harvesters.elastic import pit
from harvesters.elastic.client import Answer, SearchClient
from harvesters.errors import HarvestError
from harvesters.search import scan
from tests.clocks import patient
from tests.nodes import Node

DOCUMENTS = {
    "spaced": b'{ "b": 1.0,  "a": [ ] }',
    "endless": b'{"n":%b}' % (b"9" * 400),
    "deep": b'{"in":%b1%b}' % (b'{"a":' * 900, b"}" * 900),
}


class Forgetful(SearchClient):
    """Of a cluster that forgets the point in time before some searches, counted from 1."""

    forgets: range = range(0)
    searches = 0

    def attempt(self, method: str, path: str, body: Any = None, **named: Any) -> Answer:
        if path == "/_search":
            self.searches += 1
            if self.searches in self.forgets:
                pit.close(self, body["pit"]["id"])
        return super().attempt(method, path, body, **named)


@pytest.fixture
def client(node: Node, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetful]:
    """A client of a node with 25 documents in two indices, which come in pages of 10."""
    monkeypatch.setattr(scan, "PAGE", 10)
    node.fill("one", [{"id": number} for number in range(20)], key="id")
    node.fill("two", [{"id": number} for number in range(20, 25)], key="id")
    client = Forgetful(node.url, patient())
    yield client
    client.close()


def test_documents_come_byte_for_byte(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """And are not read on the way, which would take a hundred times as long."""

    def read(*arguments: object, **options: object) -> None:
        raise AssertionError("a page was read as a whole")

    node.ask("PUT", f"/{node.prefix}x", {"mappings": {"enabled": False}})
    for name, text in DOCUMENTS.items():
        node.ask("PUT", f"/{node.prefix}x/_doc/{name}", text, params={"refresh": "true"})
    client = node.client()
    with monkeypatch.context() as patched:
        patched.setattr(scan, "read_json", read)
        found = {hit.id: bytes(hit.source) for hits in scan.verbatim(client, f"{node.prefix}x") for hit in hits}
    client.close()
    assert found == DOCUMENTS


@pytest.mark.parametrize("ordered", [True, False])
def test_each_document_comes_once(ordered: bool, node: Node, client: Forgetful) -> None:
    pages = [*scan.verbatim(client, f"{node.prefix}*", ordered=ordered)]
    found = {hit.id: bytes(hit.source) for page in pages for hit in page}
    assert found == {str(number): b'{"id":%d}' % number for number in range(25)}
    assert sum(len(page) for page in pages) == 25
    if client.cluster.distribution == "elasticsearch":
        assert [len(page) for page in pages] == [10, 10, 5]


@pytest.mark.parametrize("verbatim", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_page_may_end_among_documents_of_one_number(
    verbatim: bool, ordered: bool, node: Node, client: Forgetful
) -> None:
    """Shards number by themselves, so that of three each number is there three times."""
    node.ask("PUT", f"/{node.prefix}wide", {"settings": {"number_of_shards": 3}})
    node.fill("wide", [{"id": number} for number in range(300)], key="id")
    index = f"{node.prefix}wide"
    if verbatim:
        found = [hit.id for page in scan.verbatim(client, index, ordered=ordered) for hit in page]
    else:
        found = [hit["_id"] for page in scan.pages(client, index, ordered=ordered) for hit in page]
    assert sorted(map(int, found)) == [*range(300)]


def test_more_documents_of_one_number_than_a_page_holds(
    node: Node, client: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PAGE", 2)
    node.ask("PUT", f"/{node.prefix}wide", {"settings": {"number_of_shards": 5}})
    node.fill("wide", [{"id": number} for number in range(100)], key="id")
    found = [hit["_id"] for page in scan.pages(client, f"{node.prefix}wide") for hit in page]
    assert sorted(map(int, found)) == [*range(100)]


def test_an_alias_over_several_indices_is_read_whole(node: Node, client: Forgetful) -> None:
    for number in range(4):
        node.fill(f"part-{number}", [{"id": f"{number}-{each}"} for each in range(30)], key="id")
    actions = [{"add": {"index": f"{node.prefix}part-*", "alias": f"{node.prefix}all"}}]
    node.ask("POST", "/_aliases", {"actions": actions})
    found = [hit["_id"] for page in scan.pages(client, f"{node.prefix}all") for hit in page]
    assert sorted(found) == sorted(f"{number}-{each}" for number in range(4) for each in range(30))


@pytest.mark.parametrize("broken", [False, True])
def test_no_point_in_time_is_left_behind(broken: bool, node: Node, client: Forgetful) -> None:
    for page in scan.pages(client, f"{node.prefix}*"):
        assert page
        if broken:
            break
    left = node.ask("GET", "/_nodes/stats/indices/search")["nodes"]
    assert [each["indices"]["search"]["open_contexts"] for each in left.values()] == [0]


def test_an_answer_about_no_shards_is_none(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of an id that another cluster gave: 200, and no hits."""

    class Elsewhere(Forgetful):
        def attempt(self, method: str, path: str, body: Any = None, **named: Any) -> Answer:
            answer = super().attempt(method, path, body, **named)
            if path == "/_search" and self.searches == 2:
                answer.body["hits"]["hits"], answer.body["_shards"]["total"] = [], 0
            return answer

    monkeypatch.setattr(scan, "PAGE", 10)
    node.fill("one", [{"id": number} for number in range(25)], key="id")
    client = Elsewhere(node.url, patient())
    found = {hit["_id"] for page in scan.pages(client, f"{node.prefix}one") for hit in page}
    assert found == {str(number) for number in range(25)}
    client.close()


def test_odd_documents_and_what_no_source_is_kept_of(node: Node, client: Forgetful) -> None:
    half = b'{"index":{"_id":"half"}}\n{"text":"\\ud800","number":1e400}\n'
    node.ask("PUT", f"/{node.prefix}odd", {"mappings": {"dynamic": False}})
    node.ask("PUT", f"/{node.prefix}none", {"mappings": {"_source": {"enabled": False}}})
    node.fill("none", [{"id": "none"}], key="id")
    client.attempt("POST", f"/{node.prefix}odd/_bulk", half, params={"refresh": "true"}, lines=True)
    found = {
        hit.id: bytes(hit.source)
        for page in scan.verbatim(client, f"{node.prefix}odd,{node.prefix}none", ordered=False)
        for hit in page
    }
    assert found == {"half": rb'{"text":"\ud800","number":1e400}', "none": b""}


@pytest.mark.parametrize("ordered", [True, False])
def test_a_point_in_time_that_is_forgotten_costs_no_document(ordered: bool, node: Node, client: Forgetful) -> None:
    client.forgets = range(3, 4)
    hits = [hit["_id"] for page in scan.pages(client, f"{node.prefix}*", ordered=ordered) for hit in page]
    assert {*hits} == {str(number) for number in range(25)}
    in_order = ordered or "shard_doc" not in client.cluster.features  # which reads as they lie only where it can
    assert len(hits) == (26 if in_order else 45)


def test_a_cluster_that_forgets_again_and_again_is_not_asked_for_ever(node: Node, client: Forgetful) -> None:
    client.forgets = range(2, 1000, 2) if "shard_doc" in client.cluster.features else range(2, 1000)
    with pytest.raises(HarvestError, match="No search context"):
        [*scan.pages(client, f"{node.prefix}*", ordered=False)]
    assert client.searches in (7, 12)
