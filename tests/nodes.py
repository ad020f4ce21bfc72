"""A corner of the test run's Elasticsearch for one test: names of its own, and nothing left behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from functools import cached_property
from typing import Any

import orjson
import pytest

from harvesters.document import Document
from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.cluster import Cluster as Product
from harvesters.retry import RetryPolicy
from harvesters.search import templates
from harvesters.search.templates import Template
from harvesters.sinks.elastic import ElasticSink
from tests.clocks import patient


@dataclass
class Node:
    """The node at `url`; names that begin with `prefix` are this test's."""

    url: str
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}-")

    def client(self, retry: RetryPolicy | None = None, **options: Any) -> SearchClient:
        return SearchClient(self.url, retry if retry is not None else patient(), **options)

    @cached_property
    def product(self) -> Product:
        """What the node is, and can."""
        with closing(self.client()) as client:
            return client.cluster

    def mappings(self, name: str) -> dict[str, Any]:
        """The mappings of our template of that name, as the node takes them."""
        return templates.find(name).on(self.product).mappings

    def sink(self, retry: RetryPolicy | None = None, **options: Any) -> ElasticSink:
        """A sink into indices ``{prefix}{kind}-YYYY.MM.DD``."""
        options.setdefault("fresh_pattern", f"{self.prefix}*")
        return ElasticSink(self.client(retry), self.index_name, **options)

    def index_name(self, document: Document) -> str:
        return f"{self.prefix}{document.kind}-{document.timestamp.astimezone(UTC):%Y.%m.%d}"

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """What the node answers, as JSON."""
        client = self.client()
        try:
            return client.request(method, path, body, **options).body
        finally:
            client.close()

    def hits(self, pattern: str = "*") -> list[dict[str, Any]]:
        """Every document (ten thousand at most) in the test's indices that match, as search hits."""
        path = f"/{self.prefix}{pattern}"
        self.ask("POST", f"{path}/_refresh", params={"ignore_unavailable": "true"})
        found: list[dict[str, Any]] = self.ask("POST", f"{path}/_search", {"size": 10_000, "sort": ["_doc"]})["hits"][
            "hits"
        ]
        return found

    def count(self, pattern: str = "*") -> int:
        path = f"/{self.prefix}{pattern}"
        self.ask("POST", f"{path}/_refresh")
        return int(self.ask("GET", f"{path}/_count")["count"])

    def bodies(self) -> list[bytes]:
        """The documents as JSON."""
        return [orjson.dumps(hit["_source"]) for hit in self.hits()]

    def template(self, name: str) -> Template:
        """Our template of that name, for indices of this test, as the node takes it."""
        ours = templates.find(name).on(self.product)
        template = {**ours.body["template"], "aliases": {f"{self.prefix}{alias}": {} for alias in ours.aliases}}
        patterns = [f"{self.prefix}{pattern}" for pattern in ours.patterns]
        return Template(name, {**ours.body, "index_patterns": patterns, "template": template})

    def load(self, name: str) -> None:
        """Put that template, under a name of this test."""
        self.ask("PUT", f"/_index_template/{self.prefix}{name}", self.template(name).body)

    def fill(self, index: str, bodies: Iterable[dict[str, Any]], key: str = "action_id") -> None:
        """Index documents under ``{prefix}{index}``, with the field `key` as their ids, whatever the mapping says."""
        lines = [
            orjson.dumps(part)
            for body in bodies
            for part in ({"index": {"_index": f"{self.prefix}{index}", "_id": str(body[key])}}, body)
        ]
        client = self.client()
        body = b"\n".join([*lines, b""])
        answer = client.attempt("POST", "/_bulk", body, params={"refresh": "true"}, lines=True).body
        client.close()
        assert not answer["errors"], answer

    def remove(self, resolving: str) -> None:
        """Delete the indices that the path `resolving` finds: many at once, for each change costs the node time."""
        found = self.ask("GET", resolving, params={"expand_wildcards": "all"})["indices"]
        names = [paths.name(index["name"]) for index in found]
        for some in (names[place : place + 10] for place in range(0, len(names), 10)):
            answer = self.ask("DELETE", f"/{','.join(some)}", accept=(403, 404))
            for name in some if "error" in answer else ():
                # Of an index that is read only, OpenSearch takes that setting alone.
                for block in ("read_only", "write", "read"):
                    self.ask("PUT", f"/{name}/_settings", {f"index.blocks.{block}": None}, accept=(400, 403, 404))
                self.ask("DELETE", f"/{name}", accept=(404,))

    def clean(self) -> None:
        """Remove this test's indices and templates."""
        path = f"/_resolve/index/{self.prefix}*,migrated-*-{self.prefix}*,reverted-*-{self.prefix}*"
        self.remove(path)
        self.ask("DELETE", f"/_index_template/{self.prefix}*", accept=(404,))


@contextmanager
def node_for_a_test(request: pytest.FixtureRequest) -> Iterator[Node]:
    """The shared node, or a skip with the reason."""
    node = Node(request.getfixturevalue("elasticsearch_url"))
    try:
        yield node
    finally:
        node.clean()
