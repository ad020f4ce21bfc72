"""A run where an index is still in the form of an older version: it ends with 78, and nothing is committed."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harvesters.document import Document
from harvesters.search import templates
from harvesters.simulators.opencast.server import OpencastSimulator
from harvesters.sinks.base import IndexMisfit
from harvesters.sinks.elastic import ElasticSink
from tests.cli.conftest import Command
from tests.nodes import Node

OLD: dict[str, Any] = {"properties": {"is_live": {"type": "long"}}}


@pytest.fixture
def node(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    found = Node(request.getfixturevalue("elasticsearch_url"))
    monkeypatch.setenv("ES_HOST", found.url)
    try:
        yield found
    finally:
        found.clean()


@pytest.fixture
def todays(node: Node) -> Iterator[str]:
    """The index of the day that it is, as the ancestor's template made it."""
    names = {f"useractions-{datetime.now(UTC):%Y.%m.%d}"}
    for name in names:
        node.ask("DELETE", f"/{name}", accept=(404,))
        node.ask("PUT", f"/{name}", {"mappings": OLD})
    yield next(iter(names))
    for name in names:
        node.ask("DELETE", f"/{name}", accept=(404,))


def test_the_first_row_that_todays_index_refuses_ends_the_run(
    harvest: Command, opencast: OpencastSimulator, todays: str, checkpoint: Path, state: Path
) -> None:
    result = harvest("useractions", "-o", "es", "-i", "10")
    assert result.code == 78, result.err
    assert "is_live as long" in result.err
    assert "setup migrate" in result.err
    assert not checkpoint.exists()
    assert not list(state.glob("dead-letters/*"))


def sink(node: Node, **options: Any) -> ElasticSink:
    return node.sink(templated=False, **options)


def action(number: int, **body: Any) -> Document:
    return Document(str(number), "useractions", datetime(2026, 2, 13, tzinfo=UTC), {"action_id": number, **body})


def create(node: Node, mappings: dict[str, Any]) -> None:
    node.ask("PUT", f"/{node.prefix}useractions-2026.02.13", {"mappings": mappings})


class TestSink:
    def test_a_field_that_is_mapped_as_in_our_template_makes_dead_letters(self, node: Node) -> None:
        create(node, templates.find("useractions").mappings)
        it = sink(node)
        outcomes = it.send([action(1, is_live="maybe"), action(2, is_live=True)])
        it.close()
        assert [outcome.delivered for outcome in outcomes] == [False, True]

    @pytest.mark.parametrize("batches", [[3], [1, 1, 1]])
    def test_three_that_are_all_and_refused_for_the_same_field_are_no_accident(
        self, node: Node, batches: list[int]
    ) -> None:
        create(node, templates.find("useractions").mappings)
        it = sink(node)
        for batch in batches[:-1]:
            assert not it.send([action(0, is_live="maybe")] * batch)[0].delivered
        last = [action(number, is_live="maybe") for number in range(batches[-1])]
        with pytest.raises(IndexMisfit, match="every document"):
            it.send(last)
        it.close()

    @pytest.mark.parametrize("bad", [[{"is_live": "maybe"}] * 2, [{"is_live": "maybe"}, {"action": "x"}, {"mpid": {}}]])
    def test_fewer_or_different_ones_are(self, node: Node, bad: list[dict[str, Any]]) -> None:
        create(node, templates.find("useractions").mappings)
        it = sink(node)
        outcomes = it.send([action(number, **body) for number, body in enumerate(bad)])
        it.close()
        assert not any(outcome.delivered for outcome in outcomes)

    def test_a_strict_index_that_lacks_a_field_of_ours(self, node: Node) -> None:
        create(node, {"properties": {"episode": {"dynamic": "strict", "properties": {"cdn": {"type": "keyword"}}}}})
        it = sink(node)
        with pytest.raises(IndexMisfit, match=r"episode\.crn not at all"):
            it.send([action(1, episode={"crn": "1"}), action(2)])
        it.close()


class TestUserAgent:
    def test_it_is_told_by_its_names(self, node: Node) -> None:
        create(node, templates.find("useractions").mappings)
        chrome = (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_6) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/61.0.3163 "
            "Safari/537.36"
        )
        it = sink(node)
        it.send([action(1, useragent=chrome), action(2, useragent="unheard-of"), action(3, useragent=None)])
        it.close()
        found = {hit["_id"]: hit["_source"].get("ua") for hit in node.hits()}
        assert (found["1"]["name"], found["1"]["os_name"], found["1"]["device"]) == ("Chrome", "Mac OS X", "Mac")
        assert found["2"]["name"] == found["2"]["os_name"] == found["2"]["device"] == "Other"
        assert found["3"] is None


def test_values_that_are_hardly_json_are_printed_as_they_are(
    harvest: Command, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
    body = b'{"a":"\\ud83d","b":1e400,"c":"\xed\xa0\xbd"}'
    line = b'{"index":{"_index":"%bodd","_id":"1"}}\n' % node.prefix.encode()
    node.ask("PUT", f"/{node.prefix}odd", {"mappings": {"dynamic": False}})
    client = node.client()
    client.attempt("POST", "/_bulk", line + body + b"\n", params={"refresh": "true"}, lines=True)
    client.close()
    saved = harvest("query", "-", "--index", f"{node.prefix}odd", "--format", "json")
    assert saved.code == 0, saved.err
    assert '"a":"\\ud83d","b":1e400,"c":"\\ud83d"' in saved.out
    (row,) = json.loads(saved.out)
    assert row["_id"] == "1"
