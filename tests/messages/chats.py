"""Messages, analytics and logs in the test run's cluster, as older versions left them and as ours are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from tests.nodes import Node

_KINDS = "message-*,analytic-*,logging-*"
OURS = f"{_KINDS},migrated-*,reverted-*,harvest-migrations*,migrations*"

Document = tuple[str, dict[str, Any]]


def message(id: str, user: Any = "anna", **more: Any) -> dict[str, Any]:
    """A request as `GET /message` gives it."""
    return {
        "messageId": id,
        "conversationId": None,
        "channel": "telegram",
        "userId": user,
        "timestamp": "2021-01-22T17:55:33.429203",
        "content": {"type": "text", "value": "hello"},
        "domain": None,
        "intent": None,
        "entities": [],
        "language": None,
        "metadata": {},
        "project": "wenet",
        "type": "request",
        **more,
    }


def log(id: str, user: Any = "anna", **more: Any) -> dict[str, Any]:
    return {
        "logId": id,
        "project": "wenet",
        "component": "bot",
        "severity": "info",
        "logContent": "clicked",
        "timestamp": "2021-01-22T17:55:33",
        "metadata": {"userId": user},
        **more,
    }


class Chats(Node):
    """The node; names of indices are what they are, for the service has no others."""

    def put(self, index: str, documents: Mapping[str, Any] | Iterable[Document], refresh: bool = True) -> None:
        """Index documents by their ids, into an index that dynamic mapping makes where there is none."""
        pairs = documents.items() if isinstance(documents, Mapping) else documents
        lines = [
            b'{"index":{"_index":%b,"_id":%b}}\n%b\n' % (orjson.dumps(index), orjson.dumps(id), orjson.dumps(body))
            for id, body in pairs
        ]
        client = self.client()
        params = {"refresh": "true"} if refresh else {}
        answer = client.attempt("POST", "/_bulk", b"".join(lines), params=params, lines=True).body
        client.close()
        assert not answer["errors"], str(answer)[:2000]

    def all(self, pattern: str) -> dict[str, Any]:
        """Every document by its id, each of which is there once."""
        self.ask("POST", f"/{pattern}/_refresh", params={"expand_wildcards": "open"})
        hits = self.ask("POST", f"/{pattern}/_search", {"size": 10_000})["hits"]["hits"]
        found = {hit["_id"]: hit["_source"] for hit in hits}
        assert len(found) == len(hits)
        return found

    def number(self, pattern: str) -> int:
        self.ask("POST", f"/{pattern}/_refresh", params={"expand_wildcards": "open"})
        return int(self.ask("GET", f"/{pattern}/_count")["count"])

    @contextmanager
    def slow_refreshes(self) -> Iterator[None]:
        """No search finds what is written into indices of messages that are made now."""
        settings = {"refresh_interval": "-1", "number_of_replicas": 0}
        template = {"index_patterns": ["message-*"], "priority": 900, "template": {"settings": settings}}
        self.ask("PUT", "/_index_template/slow", template)
        try:
            yield
        finally:
            self.ask("DELETE", "/_index_template/slow")

    def indices(self, pattern: str = _KINDS) -> set[str]:
        """The indices themselves, without aliases."""
        path = f"/_resolve/index/{pattern},migrated-*,reverted-*"
        return {index["name"] for index in self.ask("GET", path, params={"expand_wildcards": "all"})["indices"]}

    def clean(self) -> None:
        self.remove(f"/_resolve/index/{OURS}")
        there = self.ask("GET", "/_index_template", params={"filter_path": "index_templates.name"})
        for template in there.get("index_templates", ()):
            if template["name"] in ("messages", "analytics", "logging"):
                self.ask("DELETE", f"/_index_template/{template['name']}", accept=(404,))


@contextmanager
def chats_of_a_test(request: pytest.FixtureRequest) -> Iterator[Chats]:
    found = Chats(request.getfixturevalue("elasticsearch_url"))
    found.clean()
    try:
        yield found
    finally:
        found.clean()
