"""What tests of migrations share."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harvesters.clock import SystemClock
from harvesters.elastic.client import SearchClient
from harvesters.migration.ledger import Ledger
from harvesters.migration.migrations import MIGRATIONS
from harvesters.migration.run import Migrator
from harvesters.search import scan
from tests.nodes import Node

DAY = "useractions-2017.10.01"
NEWEST = f"{max(migration.number for migration in MIGRATIONS if migration.kind == 'useractions'):04d}"

# Not by a fork of this process: that has threads, and a lock that one of them held would never be free in the child.
_CLEAN = multiprocessing.get_context("forkserver")
_CLEAN.set_forkserver_preload(["tests.migration.migrating"])


def exit_code(attempt: Callable[..., object], *arguments: Any, page: int = scan.PAGE) -> int | None:
    """How a process ended that made `attempt`, which reads `page` documents at a time."""
    process = _CLEAN.Process(target=_with_pages, args=(page, attempt, *arguments))
    process.start()
    process.join()
    return process.exitcode


def _with_pages(page: int, attempt: Callable[..., object], *arguments: Any) -> None:
    scan.PAGE = page
    attempt(*arguments)


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
