"""Two runs over one checkpoint, in every order in which their reads and writes of it can fall: one wins."""

from __future__ import annotations

import itertools
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harvesters.cursor import Times
from harvesters.document import Document, Outcome
from harvesters.errors import Exit, HarvestError, LeaseHeld, RaceLost
from harvesters.harvest import Page
from harvesters.runs import HarvestRun, Parts, Place
from harvesters.simulators.base import Request, Response
from harvesters.sinks.deadletters import DirectoryDeadLetters, ErrorBudget
from harvesters.spans import Span
from harvesters.stores.blob import Blob, Version
from harvesters.stores.cache import MemoryCache
from harvesters.stores.checkpoint import Beginning, Checkpoint, Owner
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Lease
from harvesters.stores.s3 import S3Bucket
from harvesters.timespan import Window, format_checkpoint
from tests.clocks import NOW, FakeClock, patient
from tests.crash.crashing import Opencast, arguments, environment, harvest_process, read_lines

START = NOW - timedelta(minutes=10)
TTL = 60.0


class Baton:
    """Lets one of several threads take one step at a time, in an order that is chosen from outside."""

    def __init__(self, order: Sequence[int]) -> None:
        self.order = order
        self.choices: list[list[int]] = []  # who could have gone, at each step
        self.taken: list[int] = []
        self._turn = threading.Condition()
        self._waiting: set[int] = set()
        self._running = 0

    def wait(self, actor: int) -> None:
        """Hold the calling thread until it is `actor`'s turn."""
        with self._turn:
            self._waiting.add(actor)
            self._running -= 1
            self._turn.notify_all()
            self._turn.wait_for(lambda: actor not in self._waiting)

    def play(self, actors: Sequence[Callable[[], None]]) -> None:
        """Run the actors to their ends: as `order` says, and from there on the first one that waits.

        Whoever's turn comes after his end is passed over.
        """
        order = iter(self.order)
        threads = [threading.Thread(target=self._act, args=(number, act)) for number, act in enumerate(actors)]
        self._running = len(threads)
        for thread in threads:
            thread.start()
        with self._turn:
            while self._turn.wait_for(lambda: self._running == 0) and self._waiting:
                able = sorted(self._waiting)
                chosen = next((actor for actor in order if actor in self._waiting), able[0])
                self.choices.append(able)
                self.taken.append(chosen)
                self._waiting.remove(chosen)
                self._running += 1
                self._turn.notify_all()
        for thread in threads:
            thread.join()

    def _act(self, number: int, act: Callable[[], None]) -> None:
        try:
            self.wait(number)
            act()
        finally:
            with self._turn:
                self._running -= 1
                self._turn.notify_all()


def every_order(play: Callable[[Baton], None]) -> int:
    """Call `play` once with each order in which its actors can take their steps; how many there are."""
    pending: list[list[int]] = [[]]
    count = 0
    while pending:
        prefix = pending.pop()
        baton = Baton(prefix)
        play(baton)
        count += 1
        for place in range(len(prefix), len(baton.choices)):
            for other in baton.choices[place]:
                if other != baton.taken[place]:
                    pending.append([*baton.taken[:place], other])
    return count


@dataclass
class SteppedBlob(Blob):
    """A blob whose every read and write waits for its turn; `holders` sees what is written."""

    blob: Blob
    turn: Callable[[], None]
    wrote: Callable[[bytes], None] = lambda content: None

    @property
    def name(self) -> str:
        return self.blob.name

    def read(self) -> Version | None:
        self.turn()
        return self.blob.read()

    def write(self, content: bytes, etag: str | None) -> str:
        self.turn()
        tag = self.blob.write(content, etag)
        self.wrote(content)
        return tag


class Rows:
    """A source of one row."""

    kind = "useractions"
    source = "http://127.0.0.1:1"

    def time(self) -> datetime | None:
        return None

    def acknowledged(self, page: Page) -> None:
        return

    def pages(self, scope: Window) -> Iterator[Page]:
        yield Page([{"id": 1}])

    def row_id(self, row: Any) -> str:
        return str(row["id"])

    def documents(self, rows: Sequence[Any]) -> list[Document | str]:
        return [Document(str(row["id"]), self.kind, START, dict(row)) for row in rows]

    def report(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        return


class Out:
    """A sink that keeps what it gets."""

    name = "a list"
    address = "list a"
    durable = True

    def __init__(self, got: list[str]) -> None:
        self._got = got

    def identity(self) -> tuple[str, bool]:
        return "list", False

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        self._got.extend(document.id for document in documents)
        return [Outcome(document) for document in documents]

    def finish(self) -> None:
        return

    def close(self) -> None:
        return


Make = Callable[[str], Blob]


@pytest.fixture(params=["file", "s3"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes blobs of a name, in files or in S3 (moto, which the baton serialises as it needs)."""
    if request.param == "file":
        return lambda name: FileBlob(tmp_path / name)
    request.getfixturevalue("aws")
    bucket = S3Bucket("harvest-timestamps", patient())
    return bucket.blob


@dataclass
class Scene:
    """Two runs, and what came of them in one order of their steps."""

    make: Make
    name: str
    directory: Path
    clock: FakeClock = field(default_factory=FakeClock)
    cache: MemoryCache = field(default_factory=MemoryCache)
    got: list[str] = field(default_factory=list)
    ends: dict[int, HarvestError | None] = field(default_factory=dict)
    moves: list[tuple[int, str]] = field(default_factory=list)
    holding: set[int] = field(default_factory=set)
    most_holding: int = 0

    def start(self) -> None:
        self.make(self.name).write(format_checkpoint(START).encode(), None)

    def run(self, actor: int, baton: Baton) -> None:
        """One live harvest."""

        def stepped(name: str, wrote: Callable[[bytes], None]) -> SteppedBlob:
            # The lease's own thread takes no step: it has nothing to do before twenty seconds have passed.
            return SteppedBlob(self.make(name), lambda: baton.wait(actor), wrote)

        store = stepped(self.name, lambda value: self.moves.append((actor, value.decode())))
        lease = stepped(f"{self.name}.lease", lambda content: self._lease(actor, content))
        dead = DirectoryDeadLetters(self.directory, self.clock)
        parts = Parts(self.clock, self.cache, dead, ErrorBudget(0.0, 0), threading.Event())
        owner = Owner(self.make(f"{self.name}.owner"))
        beginning = Beginning(self.make(f"{self.name}.begun"), Times(UTC))
        place = Place(Checkpoint(store, Times(UTC)), owner, beginning, Lease(lease, self.clock, TTL))
        try:
            HarvestRun("useractions", parts, Span(), Rows(), Out(self.got), place).run()
            self.ends[actor] = None
        except HarvestError as error:
            self.ends[actor] = error
        finally:
            self.holding.discard(actor)

    def sleep(self, baton: Baton) -> None:
        """Let the lease run out."""
        baton.wait(2)
        self.clock.advance(TTL + 1)

    def _lease(self, actor: int, content: bytes) -> None:
        (self.holding.discard if b'"released":true' in content else self.holding.add)(actor)
        self.most_holding = max(self.most_holding, len(self.holding))

    @property
    def losses(self) -> list[HarvestError]:
        return [error for error in self.ends.values() if error is not None]

    def checkpoint(self) -> str:
        version = self.make(self.name).read()
        assert version is not None
        return version.content.decode()


def test_of_two_runs_one_holds_the_lease_and_the_other_says_who(make: Make, tmp_path: Path) -> None:
    outcomes = set()

    def play(baton: Baton) -> None:
        scene = Scene(make, "-".join(map(str, ["ts", *baton.order])), tmp_path)
        scene.start()
        baton.play([lambda: scene.run(0, baton), lambda: scene.run(1, baton)])
        assert scene.most_holding == 1, baton.taken
        assert scene.checkpoint() == format_checkpoint(NOW)
        assert set(scene.got) == {"1"}
        assert len(scene.losses) < 2, baton.taken
        # The checkpoint was moved once: the second of two runs, one after the other, finds it at its end.
        assert [value for _, value in scene.moves] == [format_checkpoint(NOW)], baton.taken
        for error in scene.losses:
            assert isinstance(error, LeaseHeld)
            assert error.code == Exit.TRY_LATER
            assert "is held by process" in str(error)
        outcomes.add(len(scene.losses))

    assert every_order(play) > 20
    assert outcomes == {0, 1}  # one after the other, and at once


def test_a_run_that_slept_through_its_lease_cannot_move_the_checkpoint(make: Make, tmp_path: Path) -> None:
    lost, named = set(), set()
    late, other, time_passes = 0, 1, 2
    # Every place where one run can fall asleep, and every place where it can wake up while the other works.
    for asleep, awake in itertools.product(range(7), range(7)):
        baton = Baton([late] * asleep + [time_passes] * 2 + [other] * awake)
        scene = Scene(make, f"ts-{asleep}-{awake}", tmp_path)
        scene.start()
        baton.play([partial(scene.run, late, baton), partial(scene.run, other, baton), partial(scene.sleep, baton)])
        values = [value for _, value in scene.moves]
        assert len(values) == len(set(values)), f"moved twice in {baton.taken}"
        assert values == sorted(values), f"moved back in {baton.taken}"
        assert scene.checkpoint() == (values[-1] if values else format_checkpoint(START))
        # Who wakes up while the other is taking the lease over may keep him out, and be too late himself: then both
        # come again. Otherwise one of the two gets there.
        assert (len(scene.losses) == 2) == (not values), baton.taken
        for error in scene.losses:
            assert error.code == Exit.TRY_LATER
            lost.add(type(error))
            # Who holds the lease and loses all the same is not told that it is held by itself.
            told = r"(held by|lost to) process \d+ on |could not be renewed in time|had lost the lease .* is ours"
            assert re.search(told, str(error)), str(error)
            named.add("process" in str(error))
    assert lost == {LeaseHeld, RaceLost}
    assert named == {True, False}


class Turnstile(Opencast):
    """An Opencast that answers no request for actions before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()

    def handle(self, request: Request) -> Response:
        assert self.open.wait(60), "nobody opened"
        return super().handle(request)


def test_of_two_processes_started_at_once_one_works_and_one_comes_later(redis_url: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Turnstile() as opencast:
        opencast.fill(2)
        env = environment(opencast.url, redis_url, tmp_path / "state")
        command = arguments("-s", "20240305095900", "-o", str(out))
        with harvest_process(command, env) as one, harvest_process(command, env) as other:
            loser = _first_to_end(one, other)
            opencast.open.set()
            winner = other if loser is one else one
            complaint, report = loser.communicate()[1], winner.communicate()[1]
            assert (loser.returncode, winner.returncode) == (75, 0), complaint + report
        assert f"is held by process {winner.pid} on " in complaint
        assert sorted(row["action_id"] for row in read_lines(out)) == sorted(opencast.wanted)


def _first_to_end(*processes: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """Whichever ends first; the other cannot, for it waits for the Opencast that waits for this one."""
    while True:
        for process in processes:
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            return process


def test_every_order_of_two_short_sequences_is_played() -> None:
    orders = set()

    def play(baton: Baton) -> None:
        def steps(actor: int) -> Callable[[], None]:
            def act() -> None:
                baton.wait(actor)
                baton.wait(actor)

            return act

        baton.play([steps(0), steps(1)])
        orders.add(tuple(baton.taken))

    assert every_order(play) == len(orders) == 20  # three steps each, the first being to begin: 6! / (3! 3!)
