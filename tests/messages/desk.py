"""A cluster whose messages and analytics are a test's alone, under their own names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from harvesters.messages import descriptors
from harvesters.messages.analytics import AnalyticStore, Computer
from harvesters.messages.analytics.computer import LEASES
from harvesters.messages.platform import Platform
from harvesters.settings import Settings
from tests.clocks import FakeClock
from tests.messages.talk import Talk
from tests.nodes import Node

NOW = datetime(2021, 3, 5, 12, tzinfo=UTC)
TOTAL = {"type": "count", "project": "p", "dimension": "user", "metric": "total"}
TASKS = {"type": "count", "project": "app", "dimension": "task", "metric": "total"}
MOVING = {"type": "moving", "value": "3D"}
Said = dict[str, Any]


@dataclass
class Desk(Node):
    """A `Node` whose indices have no prefix."""

    prefix: str = ""

    def computer(self, platform: Any = None, now: datetime = NOW, **settings: str) -> Computer:
        """One at that time; without a platform it is never asked for one."""

        def none() -> Platform:
            raise AssertionError("nobody needs the platform for this")

        return Computer(self.client(), platform or none, Settings(settings), FakeClock(now))

    @property
    def store(self) -> AnalyticStore:
        return AnalyticStore(self.client())

    def keep(self, descriptor: Mapping[str, Any] = TOTAL, timespan: Mapping[str, Any] = MOVING) -> str:
        """A new analytic; its id."""
        return self.store.create(descriptors.parse({**descriptor, "timespan": timespan}), NOW)

    def keep_old(self, id: str, descriptor: Any, result: Any = None, index: str = "analytic-p-user") -> None:
        """One as the former service kept it."""
        self.ask(
            "POST", f"/{index}/_doc", {"id": id, "descriptor": descriptor, "result": result}, params={"refresh": True}
        )

    def analytics(self) -> dict[str, Said]:
        """All documents of analytics, by their id."""
        if not self.ask("GET", "/_resolve/index/analytic-*")["indices"]:
            return {}
        return {hit["_source"]["id"]: hit["_source"] for hit in self.hits("analytic-*")}

    def result(self, id: str) -> Any:
        """What is kept as the result."""
        return self.analytics()[id]["result"]

    def empty(self) -> None:
        """Remove what tests before this one left."""
        self.remove(f"/_resolve/index/message-*,analytic-*,{LEASES}*")

    def load_ours(self) -> None:
        """Put the templates of messages and analytics."""
        for name in ("messages", "analytics"):
            self.ask("PUT", f"/_index_template/{name}", self.template(name).body)


@contextmanager
def desk_for_a_test(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """The shared node, without any messages and analytics."""
    desk = Desk(request.getfixturevalue("elasticsearch_url"))
    desk.empty()
    try:
        yield desk
    finally:
        desk.empty()
        for name in ("messages", "analytics"):
            desk.ask("DELETE", f"/_index_template/{name}", accept=(404,))


def talk_at(desk: Desk) -> Talk:
    """Messages in indices that have their own names."""
    return Talk(desk)


def as_json(text: str) -> Any:
    """The last line of what a command printed."""
    return orjson.loads(text.strip().splitlines()[-1])
