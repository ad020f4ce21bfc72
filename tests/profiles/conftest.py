"""Profiles in a real Elasticsearch, as `firebase profiles` makes their documents, in an index of the test's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from harvesters.document import Document
from harvesters.firebase.people import EntityMapper, indexed_profile
from harvesters.profiles.index import ProfileIndex
from tests.nodes import Node, node_for_a_test

NAME = "buddyupprofiles"
MAPPER = EntityMapper(NAME, indexed_profile)


@dataclass
class People:
    """An index, and what is put into it by Firebase key."""

    node: Node
    index: ProfileIndex = field(init=False)

    def __post_init__(self) -> None:
        self.index = ProfileIndex(self.node.client(), f"{self.node.prefix}{NAME}")

    def add(self, people: Mapping[str, Mapping[str, Any]]) -> None:
        self.node.fill(NAME, [document(key, value) for key, value in people.items()], key="id")

    def named(self, *names: str, **bios: str) -> None:
        """People whose ids are their names; with a bio those who have one."""
        self.add({name: {"name": name, "bio": bios.get(name, "")} for name in [*names, *bios]})


def document(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    made = MAPPER.document(MAPPER.row(key, value))
    assert isinstance(made, Document)
    body: dict[str, Any] = orjson.loads(made.encoded)
    return body


@pytest.fixture
def people(request: pytest.FixtureRequest) -> Iterator[People]:
    """Nobody yet."""
    with node_for_a_test(request) as node:
        node.load(NAME)
        node.ask("PUT", f"/{node.prefix}{NAME}")
        made = People(node)
        yield made
        made.index.client.close()
