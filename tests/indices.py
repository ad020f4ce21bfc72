"""Indices of a test's own, filled and read as the tests of commands need it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from harvesters.search import templates
from tests.nodes import Node

USERACTIONS = templates.find("useractions").mappings
EPISODES = templates.find("episodes").mappings


class Cluster(Node):
    """A `Node`; names of indices are given without its prefix."""

    def name(self, index: str) -> str:
        """What `index` is called on the cluster."""
        return self.prefix + index

    def create(self, index: str, mapping: Mapping[str, Any]) -> None:
        settings = {"number_of_replicas": 0, "number_of_shards": 1}
        self.ask("PUT", f"/{self.name(index)}", {"mappings": mapping, "settings": settings})

    def fill(  # type: ignore[override]  # what a Node fills has keys, this has a mapping
        self, index: str, documents: Iterable[Mapping[str, Any]], mapping: Mapping[str, Any] = USERACTIONS
    ) -> None:
        """Add documents, visible at once."""
        if not self.exists(index):
            self.create(index, mapping)
        lines = [b'{"index":{}}\n%b\n' % orjson.dumps(document) for document in documents]
        client = self.client()
        for place in range(0, len(lines), 10_000):
            data = b"".join(lines[place : place + 10_000])
            answer = client.attempt("POST", f"/{self.name(index)}/_bulk", data, params={"refresh": "true"}, lines=True)
            assert not answer.body["errors"], str(answer.body)[:2000]
        client.close()

    def fill_by_id(self, index: str, documents: Sequence[Mapping[str, Any]], ids: Sequence[str] = ()) -> None:
        """Put documents under their field `id`, or these `ids`, into an index that is there; visible at once."""
        names = ids or [str(document["id"]) for document in documents]
        lines = [
            b'{"index":{"_id":%b}}\n%b\n' % (orjson.dumps(id), orjson.dumps(document))
            for id, document in zip(names, documents, strict=True)
        ]
        path, options = f"/{self.name(index)}/_bulk", {"refresh": "true"}
        client = self.client()
        answer = client.attempt("POST", path, b"".join(lines), params=options, lines=True)
        client.close()
        assert not answer.body["errors"], str(answer.body)[:2000]

    def exists(self, index: str) -> bool:
        return bool(self.ask("GET", f"/_resolve/index/{self.name(index)}*")["indices"])

    def documents(self, index: str) -> dict[str, dict[str, Any]]:
        """Every document by id."""
        return {hit["_id"]: hit["_source"] for hit in self.hits(index)}

    def version(self, index: str, id: str) -> int:
        """How often a document was written."""
        return int(self.ask("GET", f"/{self.name(index)}/_doc/{id}")["_version"])


@contextmanager
def cluster_for_a_test(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The shared node, or a skip with the reason."""
    found = Cluster(request.getfixturevalue("elasticsearch_url"))
    try:
        yield found
    finally:
        found.clean()
