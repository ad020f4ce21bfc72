"""Listings in a real Elasticsearch, in an index of a test's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from harvesters.listings.search import Found, Order, search
from harvesters.listings.searchindex import ListingIndex
from tests.nodes import Node, node_for_a_test

NAME = "listing_index"


@dataclass
class Shelf:
    """An index made with our template."""

    node: Node
    index: ListingIndex = field(init=False)

    def __post_init__(self) -> None:
        self.index = ListingIndex(self.node.client(), self.name)

    @property
    def name(self) -> str:
        return f"{self.node.prefix}{NAME}"

    @property
    def settings(self) -> dict[str, str]:
        """Settings by which a face finds it."""
        return {"ES_HOST": self.node.url, "LISTINGS_INDEX": self.name, "HARVEST_SEARCH_TIMEOUT": "20"}

    def add(self, *listings: dict[str, Any]) -> None:
        """Index them, visible at once."""
        self.node.fill(NAME, listings, key="id")

    def titled(self, *titles: str, **fields: Any) -> None:
        """Listings whose ids are their titles."""
        self.add(*({"id": title, "title": title, **fields} for title in titles))

    def find(self, text: str, order: Order = Order.RELEVANCE, **options: Any) -> list[str]:
        """The ids that a search finds, in their order."""
        return [hit.id for hit in search(self.index, text, order, **options).hits]

    def walk(self, text: str, order: Order = Order.RELEVANCE, limit: int = 20) -> Iterator[Found]:
        """Page after page."""
        page = search(self.index, text, order, limit)
        yield page
        while page.next is not None:
            page = search(self.index, text, order, limit, page.next)
            yield page

    def open_moments(self) -> int:
        """How many are open on the whole node."""
        nodes = self.node.ask("GET", "/_nodes/stats/indices/search")["nodes"]
        return sum(int(node["indices"]["search"]["open_contexts"]) for node in nodes.values())


@contextmanager
def opened_shelf(request: pytest.FixtureRequest, listings: Iterable[dict[str, Any]] = ()) -> Iterator[Shelf]:
    """One with these listings."""
    with node_for_a_test(request) as node:
        node.load("listings")
        node.ask("PUT", f"/{node.prefix}{NAME}")
        shelf = Shelf(node)
        if listings := [*listings]:
            shelf.add(*listings)
        yield shelf
        shelf.index.client.close()


@pytest.fixture
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    """Nothing is for sale yet."""
    with opened_shelf(request) as shelf:
        yield shelf
