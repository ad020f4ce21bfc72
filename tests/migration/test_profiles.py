"""Profiles of the first form get the words by which they are found, and lose them again."""

from __future__ import annotations

from typing import Any

from harvesters.clock import SystemClock
from harvesters.migration.ledger import Ledger
from harvesters.migration.migrations import find
from harvesters.migration.run import Migrator
from harvesters.profiles.index import ProfileIndex
from harvesters.profiles.search import search
from tests.nodes import Node

NAME = "buddyupprofiles"
OLD: list[dict[str, Any]] = [
    {"id": "1", "name": "Zoë Straße", "bio": "Coffee", "email": "zoe@example.edu"},
    {"id": "2", "name": "Łukasz", "folded": {"a": ["map", 1]}},
    {"id": "3", "raw": "refused once"},
]


def old_index(node: Node) -> None:
    mappings = node.mappings(NAME)
    del mappings["properties"]["folded"], mappings["_meta"]
    node.ask("PUT", f"/{node.prefix}{NAME}", {"mappings": mappings})
    node.fill(NAME, OLD, key="id")


def sources(node: Node) -> dict[str, dict[str, Any]]:
    return {hit["_id"]: hit["_source"] for hit in node.hits(NAME)}


def test_profiles_can_be_searched_after_it_and_go_back(node: Node) -> None:
    old_index(node)
    client = node.client()
    ledger = Ledger(client, SystemClock(), f"{node.prefix}migrations")
    said: list[str] = []
    index = ProfileIndex(client, f"{node.prefix}{NAME}")
    ledger.prepare()
    with ledger.lease(60) as lease:
        migrator = Migrator(client, ledger, said.append, lease, known=[node.template(NAME)])
        assert migrator.run() == 1
        assert "copied 3 documents, changed 2" in said[-1]
        assert [hit.id for hit in search(index, "zoe strasse coffee").hits] == ["1"]
        assert [hit.id for hit in search(index, None).hits] == ["2", "1", "3"]
        assert sources(node) == {
            "1": {**OLD[0], "folded": {"name": "zoe strasse", "bio": "coffee", "order": "zoe strasse"}},
            "2": {**OLD[1], "folded": {"name": "lukasz", "order": "lukasz"}, "folded_raw": OLD[1]["folded"]},
            "3": OLD[2],
        }
        assert migrator.run() == 0
        newest = find(7)
        assert newest is not None
        assert migrator.undo(newest) == 1
        assert sources(node)["1"] == OLD[0]
        assert migrator.run() == 1
        assert [hit.id for hit in search(index, "lukasz").hits] == ["2"]
    client.close()
