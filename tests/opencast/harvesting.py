"""Live harvests of a simulated Opencast in this process, on one clock that both share and that takes no time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from harvesters.cursor import TimeCursor, Times
from harvesters.document import Document, Outcome
from harvesters.opencast.client import OpencastClient
from harvesters.opencast.episodes import EpisodeLookup
from harvesters.opencast.useractions import UserActions
from harvesters.pipeline import Counts
from harvesters.runs import HarvestRun, Parts, Place
from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.server import ActionRow, OpencastSimulator
from harvesters.sinks.deadletters import DirectoryDeadLetters, ErrorBudget
from harvesters.spans import Span
from harvesters.stores.cache import Cache, MemoryCache
from harvesters.stores.checkpoint import Beginning, Checkpoint, Owner
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Lease
from tests.clocks import FakeClock, patient

USER, PASSWORD = "matterhorn_system_account", "CHANGE_ME"


class Opencast(OpencastSimulator):
    """A simulator on the clock of the test, which goes on by `pace` seconds with every request; `fields` are its own.

    `spoil` maps what a body has to what it is to have instead.
    """

    def __init__(self, clock: FakeClock, pace: float = 0.0, **fields: Any) -> None:
        super().__init__(now=clock.now, **fields)
        self.clock = clock
        self.pace = pace
        self.spoil: dict[bytes, bytes] = {}
        self.before: Callable[[Request], None] = lambda request: None

    def handle(self, request: Request) -> Response:
        self.before(request)
        response = super().handle(request)
        for good, bad in self.spoil.items():
            response.body = response.body.replace(good, bad)
        self.clock.advance(self.pace)
        return response

    def shows(self, row: ActionRow) -> bool:
        """False for a late row, and for one that no request for its day can show: that of the second at midnight.

        The milliseconds of a request stay in the day's start as its seconds do, and none comes at exactly zero.
        """
        return row.visible_at is None and (
            self._writer.dialect == "dce" or row.created.astimezone(self.zone).strftime("%H%M%S") != "000000"
        )

    def within(self, start: datetime, end: datetime) -> Counter[int]:
        """The ids of the rows that a harvest of ``[start, end)`` has to deliver, once each."""
        return Counter(row.id for row in self.table._by_id.values() if start <= row.created < end and self.shows(row))

    def asked(self, name: str) -> list[str]:
        """The values of parameter `name` in all requests for actions that had it."""
        asked = (request.param(name) for request in self.requests if request.path.endswith("actions.json"))
        return [value for value in asked if value]


def row(number: int, created: datetime, **fields: Any) -> ActionRow:
    """A user action of somebody, about no episode in particular."""
    known: dict[str, Any] = {
        "mpid": "mp-1",
        "session": {"sessionId": "s1", "userId": "10564389", "userIp": "140.247.1.2"},
        "inpoint": 5,
        "outpoint": 5,
        "type": "PLAY",
        "is_playing": 1,
    }
    return ActionRow(id=number, created=created, **(known | fields))


@dataclass
class Out:
    """A sink that keeps all that it gets, under the identity of one output."""

    got: list[Document] = field(default_factory=list)
    name: str = "a list"
    address: str = "list a"
    durable: bool = True
    on_send: Callable[[], None] = lambda: None

    def identity(self) -> tuple[str, bool]:
        return "a list", False

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        self.on_send()
        self.got.extend(documents)
        return [Outcome(document) for document in documents]

    def finish(self) -> None:
        return

    def close(self) -> None:
        return


@dataclass
class Harvesting:
    """An installation that harvests `opencast`; each `run` is what one cron job does."""

    opencast: Opencast
    directory: Path
    zone: str = "UTC"
    batch_size: int = 5
    auth: str = "digest"
    password: str = PASSWORD
    lookback: float = 60.0
    budget: ErrorBudget = field(default_factory=lambda: ErrorBudget(0.01, 10))
    cache: Cache = field(default_factory=MemoryCache)
    out: Out = field(default_factory=Out)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def clock(self) -> FakeClock:
        return self.opencast.clock

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(FileBlob(self.directory / "last-action-timestamp"), Times(UTC))

    @property
    def reached(self) -> datetime | None:
        """What the checkpoint says."""
        cursor, _ = self.checkpoint.load()
        return cursor.moment if isinstance(cursor, TimeCursor) else None

    @property
    def dead(self) -> DirectoryDeadLetters:
        return DirectoryDeadLetters(self.directory / "dead-letters", self.clock)

    def client(self) -> OpencastClient:
        return OpencastClient(self.opencast.url, USER, self.password, self.auth, patient(self.clock))

    def run(self, start: datetime | None = None, end: datetime | None = None, update: bool = True) -> Counts:
        """One run; what it delivered is in `out`, which holds everything of earlier runs too."""
        client = self.client()
        parts = Parts(self.clock, self.cache, self.dead, self.budget, self.stop)
        lease = Lease(FileBlob(self.directory / "lease"), self.clock, 1e6)
        place = Place(
            self.checkpoint,
            Owner(FileBlob(self.directory / "owner")),
            Beginning(FileBlob(self.directory / "begun"), Times(UTC)),
            lease,
        )
        harvest = UserActions(
            client, EpisodeLookup(client, self.cache), self.cache, ZoneInfo(self.zone), self.batch_size
        )
        span = Span(start, end, lookback=timedelta(seconds=self.lookback), update=update)
        since = start or self.reached
        run = HarvestRun("useractions", parts, span, harvest, self.out, place)
        run.on_plan = lambda plan: lambda counts: self._nothing_is_left_behind(since)
        run.run()
        self._nothing_is_left_behind(since)
        return run.counts

    def _nothing_is_left_behind(self, since: datetime | None) -> None:
        """The promise of the checkpoint, at any moment of a run: what is before it has been delivered."""
        reached = self.reached
        if since is None or reached is None:
            return
        got = {document.id for document in self.out.got}
        dead = "".join(path.read_text() for path in (self.directory / "dead-letters").glob("*"))
        left = [
            row.id
            for row in self.opencast.table._by_id.values()
            if since <= row.created < reached and self.opencast.shows(row) and str(row.id) not in got
        ]
        assert [number for number in left if f'"id": "{number}"' not in dead] == [], f"left behind by {reached}"

    @property
    def delivered(self) -> Counter[int]:
        """How often each action was delivered, by its id."""
        return Counter(int(document.id) for document in self.out.got)
