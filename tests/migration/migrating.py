"""What tests of migrations share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harvesters.clock import SystemClock
from harvesters.elastic.client import SearchClient
from harvesters.migration.ledger import Ledger
from harvesters.migration.migrations import MIGRATIONS
from harvesters.migration.run import Migrator
from tests.nodes import Node

DAY = "useractions-2017.10.01"
NEWEST = f"{max(migration.number for migration in MIGRATIONS if migration.kind == 'useractions'):04d}"


@contextmanager
def migrator(
    node: Node, client: SearchClient | None = None, ttl: float = 60, **options: Any
) -> Iterator[tuple[Migrator, list[str]]]:
    """A migrator of the test's user actions that holds the lease, and what it says."""
    client = client if client is not None else node.client()
    ledger = Ledger(client, SystemClock(), f"{node.prefix}migrations")
    said: list[str] = []
    try:
        ledger.prepare()
        with ledger.lease(ttl) as lease:
            yield Migrator(client, ledger, said.append, lease, known=[node.template("useractions")], **options), said
    finally:
        client.close()


def sources(node: Node, index: str = DAY) -> dict[str, dict[str, Any]]:
    return {hit["_id"]: hit["_source"] for hit in node.hits(index)}


def writable(node: Node, index: str = DAY) -> bool:
    """Whether the index takes writes."""
    name = f"{node.prefix}{index}"
    settings = next(iter(node.ask("GET", f"/{name}/_settings").values()))["settings"]["index"]
    return bool(settings.get("blocks", {}).get("write") != "true")
