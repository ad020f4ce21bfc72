"""A Zoom account, and runs of the command's inner part against it on one clock that does not wait."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from harvesters.assembly import Assembly
from harvesters.document import Document, Outcome
from harvesters.rate import MemorySlots, Slots
from harvesters.retry import RetryPolicy
from harvesters.runs import Parts
from harvesters.settings import Settings
from harvesters.simulators.zoom.data import Account, Meeting, Participant, User
from harvesters.simulators.zoom.server import ZoomSimulator
from harvesters.telemetry import Report
from harvesters.timespan import Window, day_window
from harvesters.zoom.auth import OAuth
from harvesters.zoom.client import ZoomClient
from harvesters.zoom.limits import Budgets
from harvesters.zoom.run import ZoomRun
from tests.clocks import FakeClock

DAY = date(2026, 11, 2)
TODAY = day_window(DAY, UTC)
MORNING = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HOST = User("hostA", "host@example.edu", "Ann Host")


def meeting(uuid: str, end: datetime | None = NOON, minutes: float = 60, people: int = 2, **fields: Any) -> Meeting:
    """A meeting; its host is the first participant, guests are the others."""
    start = (end or NOON) - timedelta(minutes=minutes)
    number = fields.pop("number", 88_000_000_001)
    made = Meeting(uuid, number, fields.pop("host", HOST), f"Topic {uuid}", start, end, **fields)
    made.participants = [
        Participant(
            user_id=str(16_778_240 + index),
            participant_uuid=f"{index:032X}",
            name=f"Person {index}",
            join=start + timedelta(seconds=index),
            leave=end or NOON + timedelta(days=9),
            zoom_id=made.host.id if index == 0 else "",
            email=made.host.email if index == 0 else "",
        )
        for index in range(people)
    ]
    return made


class ListSink:
    """Keeps documents in memory; `fail` is called before each batch is taken."""

    name = "a list"
    address = "list a"
    durable = True

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.batches = 0

    def identity(self) -> tuple[str, bool]:
        return "list", False

    def fail(self, batch: int) -> None:
        """Override to break off."""

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        self.batches += 1
        self.fail(self.batches)
        self.documents += documents
        return [Outcome(document) for document in documents]

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Stays open for the next run."""


class Reporting(Assembly):
    """Keeps the reports of its runs."""

    reports: list[Report]

    @property
    def parts(self) -> Parts:
        return replace(super().parts, listeners=[self.reports.append])


class Bench:
    """One account behind a simulator, one sink, one state directory; each run is a process of its own."""

    def __init__(self, simulator: ZoomSimulator, clock: FakeClock, sink: Any = None, workers: int = 4) -> None:
        self.simulator = simulator
        self.clock = clock
        self.sink = sink if sink is not None else ListSink()
        self.workers = workers
        self.slots: Slots | None = None
        self.budgets: Budgets
        self.reports: list[Report] = []

    def client(self, max_wait: float = 1e9) -> ZoomClient:
        retry = RetryPolicy(self.clock, 30, jitter=lambda: 0.0)
        auth = OAuth("account", "client", "secret", self.simulator.oauth_url, retry)
        self.budgets = Budgets(self.slots or MemorySlots(self.clock), self.clock, "account", max_wait)
        return ZoomClient(self.simulator.api_url, auth, self.budgets, retry, workers=self.workers)

    def run(self, max_wait: float = 1e9, command: Sequence[str] = ("yesterday",)) -> ZoomRun:
        assembly = Reporting(Settings.read())
        assembly.reports = self.reports
        assembly.__dict__["clock"] = self.clock
        client = self.client(max_wait)
        return ZoomRun(assembly, client, "account", lambda: self.sink, lambda plan: lambda counts: None, [*command])

    @property
    def reported(self) -> dict[str, Any]:
        """What the last run reported."""
        return self.reports[-1].fields

    def harvest(self, window: Window = TODAY, **options: Any) -> None:
        """Harvest a window into the sink."""
        self.run(**options).by_hand(window)

    def live(self, **options: Any) -> None:
        self.run(**options).live()

    @property
    def meetings(self) -> Counter[str]:
        """How often each meeting was delivered, by UUID."""
        return Counter(document.id for document in self.sink.documents if document.kind == "meetings")

    @property
    def sessions(self) -> Counter[str]:
        """How often each session was delivered, by its document's id."""
        return Counter(document.id for document in self.sink.documents if document.kind == "sessions")

    def body(self, uuid: str) -> dict[str, Any]:
        """The last delivered document of a meeting, as JSON."""
        found = [one for one in self.sink.documents if one.kind == "meetings" and one.id == uuid]
        body: dict[str, Any] = json.loads(found[-1].encoded)
        return body

    def bodies(self, uuid: str) -> list[dict[str, Any]]:
        """The delivered sessions of a meeting, by the time of joining."""
        found = [json.loads(one.encoded) for one in self.sink.documents if one.kind == "sessions"]
        return sorted((one for one in found if one["meeting"] == uuid), key=lambda one: one["join_time"])

    def expect(self, window: Window = TODAY, account: Account | None = None) -> None:
        """Everything of the window was delivered, and nothing else."""
        account = account or self.simulator.account
        expected = account.expected(window.start, window.end, now=self.clock.now())
        assert set(self.meetings) == {one.uuid for one in expected}
        rows = account.expected_sessions(window.start, window.end, now=self.clock.now())
        assert len(self.sessions) == len(rows)
        delivered = {(one.body["meeting"], one.body["user_id"], one.body["join_time"]) for one in self.sink.documents
                     if one.kind == "sessions"}  # fmt: skip
        assert delivered == {(one.uuid, row.user_id, f"{row.join:%Y-%m-%dT%H:%M:%SZ}") for one, row in rows}

    def calls(self, path: str) -> list[dict[str, str]]:
        """The parameters of the requests below ``/v2`` whose path begins so."""
        return [dict(one.query) for one in self.simulator.requests if one.path.startswith(f"/v2{path}")]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
