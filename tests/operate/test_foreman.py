"""Who decides what is begun: a foreman with a crew that does as it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from harvesters.assembly import Assembly
from harvesters.errors import CredentialsRefused, Exit, RaceLost
from harvesters.operate.backfill import Backfill, Wanted
from harvesters.operate.backfillstate import Claim, Result
from harvesters.operate.crew import Alive, Crew, Ended, Event
from harvesters.operate.foreman import Foreman
from harvesters.operate.jobs import BY_NAME
from harvesters.process import Process
from harvesters.settings import Settings
from harvesters.timespan import Window
from tests.cli.past import END, START
from tests.clocks import FakeClock

_LOOKS = 200
ELSEWHERE = Process("another-host", "other", 1, "1")


@dataclass
class Obedient:
    """Two workers of this process; `does` says how a window ends, or None as long as it goes on."""

    does: Callable[[Claim, bool], Result | None]
    at: list[Claim] = field(default_factory=list)
    stopped: bool = False
    looks: int = 0

    @property
    def free(self) -> list[Process]:
        return [Process.current()] * (2 - len(self.at))

    @property
    def busy(self) -> bool:
        return bool(self.at)

    def begin(self, claim: Claim, ahead: object) -> None:
        self.at.append(claim)

    def events(self, seconds: float) -> list[Event]:
        self.looks += 1
        assert self.looks < _LOOKS, "nobody ends this"
        found = [(claim, self.does(claim, self.stopped)) for claim in self.at]
        ended: list[Event] = [Ended(claim, result) for claim, result in found if result is not None]
        self.at = [claim for claim, result in found if result is None]
        return ended

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        """Nobody is there."""


@pytest.fixture
def lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Obedient], Foreman]:
    settings = Settings({"MATTERHORN_ENGAGE_HOST": "127.0.0.1:1", "HARVEST_STATE_DIR": str(tmp_path / "state")})
    monkeypatch.setattr("harvesters.operate.ranges.UserActionRanges.days", lambda self, step: "")

    def made(crew: Obedient) -> Foreman:
        backfill = Backfill(Assembly(settings), BY_NAME["useractions"], str(tmp_path / "out"))

        def mine(self: Foreman, alive: Alive) -> Crew:
            return crew

        monkeypatch.setattr(Foreman, "_crew", mine)
        return Foreman(backfill, Wanted(Window(START, END), timedelta(hours=4)), 2, lambda tally: None)

    return made


def test_a_wrong_password_stops_those_that_are_at_work_too(lead: Callable[[Obedient], Foreman]) -> None:
    def does(claim: Claim, stopped: bool) -> Result | None:
        if claim.window.start == START:
            return Result(Exit.CREDENTIALS, "who are you?")
        return Result(None) if stopped else None

    crew = Obedient(does)
    foreman = lead(crew)
    with pytest.raises(CredentialsRefused, match="who are you"):
        foreman.work()
    assert foreman.tally.done == 0
    assert not foreman.backfill.load().running


def test_a_failure_lets_those_that_are_at_work_finish(lead: Callable[[Obedient], Foreman]) -> None:
    def does(claim: Claim, stopped: bool) -> Result | None:
        assert not stopped
        limited = claim.window.start == START
        return Result(Exit.TRY_LATER, "slowly", limited) if limited else Result()

    foreman = lead(Obedient(does))
    with pytest.raises(Exception, match="slowly"):
        foreman.work()
    assert foreman.tally.done == 1


def test_what_was_given_back_without_need_is_no_good_end(lead: Callable[[Obedient], Foreman]) -> None:
    given: list[Claim] = []

    def does(claim: Claim, stopped: bool) -> Result | None:
        if not given:
            given.append(claim)
            return Result(None)
        return Result()

    with pytest.raises(RaceLost, match="1 of 6 windows were given back"):
        lead(Obedient(does)).work()


def test_what_others_are_at_is_waited_for(lead: Callable[[Obedient], Foreman], monkeypatch: pytest.MonkeyPatch) -> None:
    """A Celery worker, say, that is killed: its claim expires, and the window is done here."""
    monkeypatch.setattr("harvesters.operate.foreman._OTHERS", 0.0)
    began: list[Claim] = []

    def does(claim: Claim, stopped: bool) -> Result | None:
        began.append(claim)
        return Result()

    crew = Obedient(does)
    foreman = lead(crew)
    store = foreman.backfill.store
    foreman.backfill.begin(foreman.wanted)
    now = store.now()
    his = Claim(Window(START, START + timedelta(hours=4)), ELSEWHERE, "his", now + timedelta(hours=1))
    store.change(lambda state: foreman.backfill.same(state).claimed(his, now))
    looked = crew.events

    def events(seconds: float) -> list[Event]:
        if crew.looks == 20:  # nobody renews it any more
            store.change(lambda state: foreman.backfill.same(state).renewed(["his"], store.now()))
        return looked(seconds)

    crew.events = events  # type: ignore[method-assign]
    foreman.work()
    assert foreman.tally.done == 6
    assert crew.looks > 20
    assert began[-1].window == his.window


def test_what_could_not_be_renewed_in_time_is_not_ours() -> None:
    clock = FakeClock()
    alive = Alive(clock, 60.0)
    clock.advance(59)
    alive.check()
    alive.mark(clock.monotonic(), clock.now().timestamp())
    clock.advance(59)
    alive.check()
    clock.advance(1)
    with pytest.raises(RaceLost):
        alive.check()
    alive.mark(clock.monotonic(), clock.now().timestamp())
    alive.lose()
    with pytest.raises(RaceLost):
        alive.check()
