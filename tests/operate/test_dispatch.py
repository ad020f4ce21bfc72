"""Windows done by workers that know only what they were told: in this process, over a line in memory."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.assembly import Assembly
from harvesters.errors import ConfigError, Exit, HarvestError, Interrupted, RateLimited, Unavailable
from harvesters.operate.backfill import Backfill, Wanted
from harvesters.operate.backfillstate import BackfillState, Claim, Result
from harvesters.operate.crew import Alive
from harvesters.operate.dispatch import Dispatch
from harvesters.operate.errand import Errand, Verdict, Worker, window_of
from harvesters.operate.foreman import Tally
from harvesters.operate.jobs import BY_NAME
from harvesters.process import Process
from harvesters.settings import Settings
from harvesters.simulators.base import Response
from harvesters.timespan import Window
from tests.cli.past import END, PASSWORD, START, USER, WINDOWS, Past, broken, fill

NOBODY = Process("another-host", "other", 1, "1")


@dataclass
class Line:
    """An `ErrandQueue` in memory."""

    errands: deque[Errand] = field(default_factory=deque)
    refused: list[tuple[Window, int, str]] = field(default_factory=list)
    asked: int = 0

    def send(self, errands: list[Errand]) -> None:
        for errand in errands:
            self.errands.append(Errand.read(json.loads(json.dumps(errand.told()))))

    def refusals(self, id: str) -> Iterator[tuple[Window, int, str]]:
        while self.refused:
            yield self.refused.pop()

    def waiting(self) -> int:
        return len(self.errands)

    def anybody(self) -> bool:
        self.asked += 1
        return False

    def refuse(self, errand: Errand, code: int, why: str) -> None:
        self.refused.append((window_of(errand.window), code, why))


@dataclass
class Site:
    """A command and its workers; each look of the command lets a worker do one errand."""

    past: Past
    settings: Settings
    output: Path
    line: Line = field(default_factory=Line)
    stopping: threading.Event = field(default_factory=threading.Event)
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.worker = Worker(self.settings, self.stopping.is_set, self.line.refuse)
        self.opened: list[Backfill] = []

    def close(self) -> None:
        self.worker.close()
        for backfill in self.opened:
            backfill.close()
            backfill.assembly.close()

    def work(self, tally: Tally | None = None) -> None:
        if self.line.errands:
            self.verdicts.append(self.worker.do(self.line.errands.popleft()))

    def backfill(self) -> Backfill:
        self.opened.append(Backfill(Assembly(self.settings), BY_NAME["useractions"], str(self.output)))
        return self.opened[-1]

    def dispatch(self, most: int = 10, look: Callable[[Tally], None] | None = None, again: bool = False) -> Dispatch:
        wanted = Wanted(Window(START, END), timedelta(hours=4), again, most)
        return Dispatch(self.backfill(), wanted, self.line, look or self.work)

    @property
    def delivered(self) -> list[int]:
        return sorted(json.loads(line)["action_id"] for line in self.output.read_text().splitlines())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("harvesters.operate.dispatch._LOOK", 0.0)
    with Past(user=USER, password=PASSWORD, anonymous=False) as past:
        fill(past)
        values = {
            "MATTERHORN_ENGAGE_HOST": past.url,
            "MATTERHORN_REST_USER": USER,
            "MATTERHORN_REST_PASS": PASSWORD,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "HARVEST_STATE_DIR": str(tmp_path / "state"),
            "HARVEST_RETRY_BUDGET": "0.1",
        }
        site = Site(past, Settings(values), tmp_path / "out.jsonl")
        yield site
        site.close()


def test_everything_once(site: Site) -> None:
    dispatch = site.dispatch()
    dispatch.work()
    assert site.delivered == [100 + number for number in range(144)]
    assert (dispatch.tally.done, dispatch.tally.documents) == (6, 144)
    assert site.verdicts == [Verdict.OVER] * 6


def test_what_is_queued_says_no_secret_and_no_setting(site: Site) -> None:
    site.dispatch(look=lambda tally: site.work()).work()
    sent = Line()
    backfill = site.backfill()
    backfill.begin(Wanted(Window(START, END), timedelta(hours=4)))
    sent.send([Errand.of(backfill, "run", Window(START, END), Window(START, END))])
    told = json.dumps(sent.errands[0].told())
    assert not [value for value in site.settings.values.values() if len(value) > 3 and value in told]


def test_a_window_that_is_queued_twice_is_done_once(site: Site) -> None:
    def twice(tally: Tally) -> None:
        if len(site.verdicts) == 0:
            site.line.errands.extend([*site.line.errands])
        site.work()

    site.dispatch(look=twice).work()
    while site.line.errands:
        site.work()
    assert len(site.verdicts) == 12
    assert site.delivered == [100 + number for number in range(144)]


def test_a_window_that_somebody_is_at_is_left_to_him_until_his_claim_expires(site: Site) -> None:
    backfill = site.backfill()
    backfill.begin(Wanted(Window(START, END), timedelta(hours=4)))
    window = window_of(WINDOWS[0])
    now = backfill.store.now()

    def claimed(until: timedelta) -> None:
        claim = Claim(window, NOBODY, "his", now + until)
        backfill.store.change(lambda state: backfill.same(state).ended("his", window, Result(None), now))
        backfill.store.change(lambda state: backfill.same(state).claimed(claim, now))

    errand = Errand.of(backfill, "run", Window(START, END), window)
    claimed(timedelta(hours=1))
    site.past.requests.clear()
    assert site.worker.do(errand) is Verdict.LATER
    assert not site.past.requests
    claimed(timedelta(seconds=-1))
    assert site.worker.do(errand) is Verdict.OVER
    assert len(site.delivered) == 24


def test_what_a_killed_worker_was_at_is_queued_again(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    backfill = site.backfill()
    dead: list[str] = []

    def killed(tally: Tally) -> None:
        """The first errand's worker claims its window and is never heard of again."""
        if not dead:
            errand = site.line.errands.popleft()
            dead.append(errand.window)
            backfill.generation = errand.generation
            now = backfill.store.now()
            claim = Claim(window_of(errand.window), NOBODY, "dead", now + timedelta(seconds=2))
            backfill.store.change(lambda state: backfill.same(state).claimed(claim, now))
        else:
            site.work()

    site.dispatch(look=killed).work()
    assert site.delivered == [100 + number for number in range(144)]
    assert "1 windows are queued again" in caplog.text


def test_what_the_broker_has_forgotten_is_queued_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[int] = []

    def look(tally: Tally) -> None:
        if not forgotten:
            forgotten.append(len(site.line.errands))
            site.line.errands.clear()
        site.work()

    site.settings = Settings({**site.settings.values, "HARVEST_LEASE_TTL": "1"})
    site.dispatch(look=look).work()
    assert forgotten == [6]
    assert site.delivered == [100 + number for number in range(144)]


def test_who_has_lost_his_claim_delivers_nothing_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker was frozen, say, and another one is at its window."""
    site.settings = Settings({**site.settings.values, "HARVEST_LEASE_TTL": "1"})
    site.worker = Worker(site.settings, site.stopping.is_set, site.line.refuse)
    backfill = site.backfill()
    backfill.begin(Wanted(Window(START, END), timedelta(hours=4)))
    window = window_of(WINDOWS[0])
    noticed = threading.Event()
    monkeypatch.setattr(Alive, "lose", _both(Alive.lose, noticed.set))

    def stolen(start: str) -> Response | None:
        if start == "20260201000000" and not noticed.is_set():
            now = backfill.store.now()
            claim = Claim(window, NOBODY, "his", now + timedelta(hours=1))

            def steal(state: BackfillState | None) -> BackfillState:
                return replace(backfill.same(state), running=(claim,))

            backfill.store.change(steal)
            noticed.wait(20)
        return None

    site.past.trouble = stolen
    assert site.worker.do(Errand.of(backfill, "run", Window(START, END), window)) is Verdict.BACK
    assert noticed.is_set()
    assert not site.output.exists()
    assert backfill.load().holds("his")


def _both(first: Callable[[Alive], None], second: Callable[[], None]) -> Callable[[Alive], None]:
    def call(alive: Alive) -> None:
        first(alive)
        second()

    return call


def test_who_is_told_to_stop_gives_his_window_back(site: Site) -> None:
    backfill = site.backfill()
    backfill.begin(Wanted(Window(START, END), timedelta(hours=4)))
    errand = Errand.of(backfill, "run", Window(START, END), window_of(WINDOWS[0]))
    site.stopping.set()
    assert site.worker.do(errand) is Verdict.BACK
    state = backfill.load()
    assert not state.running
    assert not state.failed


def test_failures_are_named_and_stop_no_other(site: Site) -> None:
    site.past.trouble = broken(8)
    dispatch = site.dispatch()
    with pytest.raises(Unavailable, match="1 of 6 windows failed"):
        dispatch.work()
    assert [str(window) for window, _ in dispatch.tally.failed] == [WINDOWS[2]]
    site.past.trouble = broken()
    site.dispatch().work()
    assert site.delivered == [100 + number for number in range(144)]


@pytest.mark.parametrize(
    ("status", "kind", "failed"), [(401, HarvestError, 1), (429, RateLimited, 0)], ids=["password", "rate limit"]
)
def test_what_ends_a_back_fill_ends_it_for_all_workers(
    site: Site, status: int, kind: type[HarvestError], failed: int
) -> None:
    site.past.trouble = broken(*range(24), status=status)
    with pytest.raises(kind) as raised:
        site.dispatch().work()
    assert raised.value.code == (Exit.CREDENTIALS if failed else Exit.TRY_LATER)
    assert len(site.backfill().load().failed) == failed
    asked = len(site.past.requests)
    while site.line.errands:
        site.work()
    assert len(site.past.requests) == asked, "what is still queued is not begun"


def test_many_failures_in_a_row_end_it(site: Site) -> None:
    site.past.trouble = broken(*range(24))
    with pytest.raises(Unavailable, match="in a row"):
        site.dispatch(most=2).work()
    assert len(site.backfill().load().failed) == 2


@pytest.mark.parametrize("elsewhere", ["MATTERHORN_ENGAGE_HOST", "HARVEST_STATE_DIR", "OPENCAST_SOURCE"])
def test_a_worker_whose_settings_lead_elsewhere_refuses(site: Site, tmp_path: Path, elsewhere: str) -> None:
    other = {"MATTERHORN_ENGAGE_HOST": "127.0.0.1:1", "HARVEST_STATE_DIR": str(tmp_path / "else")}
    values = {**site.settings.values, elsewhere: other.get(elsewhere, "other")}
    site.worker = Worker(Settings(values), site.stopping.is_set, site.line.refuse)
    with pytest.raises(ConfigError, match="lead to another"):
        site.dispatch().work()
    assert {one.code for one in site.backfill().load().failed} == {78}
    assert not site.output.exists()


def test_a_worker_without_the_settings_refuses_too(site: Site) -> None:
    values = {**site.settings.values, "MATTERHORN_REST_PASS": ""}
    site.worker = Worker(Settings(values), site.stopping.is_set, site.line.refuse)
    with pytest.raises(ConfigError, match="MATTERHORN_REST_PASS"):
        site.dispatch().work()


def test_what_is_left_of_a_former_back_fill_is_not_done(site: Site) -> None:
    site.dispatch().work()
    backfill = site.backfill()
    backfill.begin(Wanted(Window(START, END), timedelta(hours=4)))
    errand = Errand.of(backfill, "run", Window(START, END), window_of(WINDOWS[0]))
    site.output.unlink()
    again = site.backfill()
    again.begin(Wanted(Window(START, END), timedelta(hours=4)))
    assert again.generation != errand.generation
    assert site.worker.do(errand) is Verdict.OVER
    assert not site.output.exists()


def test_without_a_worker_there_is_one_warning(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("harvesters.operate.dispatch._NOBODY", -1.0)
    looks: list[Any] = []

    def look(tally: Tally) -> None:
        looks.append(tally)
        if len(looks) > 3:
            site.work()

    site.dispatch(look=look).work()
    assert [one.message for one in caplog.records if "no worker" in one.message] != []
    assert site.line.asked == 1


def test_told_to_stop_the_command_leaves_and_the_workers_go_on(site: Site) -> None:
    dispatch = site.dispatch()
    dispatch.show = lambda tally: dispatch.backfill.assembly.stop.set()
    with pytest.raises(Interrupted, match="workers go on"):
        dispatch.work()
    while site.line.errands:
        site.work()
    assert site.delivered == [100 + number for number in range(144)]


def test_two_commands_join(site: Site) -> None:
    first = site.dispatch()
    first.show = lambda tally: first.backfill.assembly.stop.set()
    with pytest.raises(Interrupted):
        first.work()
    second = site.dispatch(again=False)
    second.work()
    assert site.delivered == [100 + number for number in range(144)]
    assert second.tally.done == 6
