"""What those who watch a run are told of it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from harvesters.errors import CredentialsRefused, Exit, LeaseHeld
from harvesters.telemetry import Report
from harvesters.watched import RunRecord, Step, Watched, counted
from tests.clocks import NOW, FakeClock


class Heard:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.records: list[RunRecord] = []
        self.steps: list[Step] = []

    def began(self, run: Watched) -> None:
        self.said.append("began")

    def goes_on(self, run: Watched, record: RunRecord) -> None:
        self.said.append("goes on")
        self.records.append(record)

    def stepped(self, run: Watched, step: Step) -> None:
        self.steps.append(step)

    def ended(self, run: Watched, record: RunRecord, report: Report | None) -> None:
        self.said.append("ended")
        self.records.append(record)

    def held(self, run: Watched) -> None:
        self.said.append("held")


def test_a_run_begins_once_and_ends_with_its_report() -> None:
    heard, clock = Heard(), FakeClock()
    with Watched("zoom", listeners=[heard], clock=clock) as run:
        run.begin()
        run.begin()
        clock.advance(2.5)
        run.hear(Report("zoom", "done", Exit.DONE, {"rows": 3, "delivered": 2, "dead": 1, "route": "report"}))
    assert heard.said == ["began", "ended"]
    (record,) = heard.records
    assert (record.started, record.ended) == (NOW, NOW + timedelta(seconds=2.5))
    assert (record.seconds, record.exit_code, record.outcome) == (2.5, 0, "done")
    assert record.counts == {"rows": 3, "delivered": 2, "dead": 1}


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (CredentialsRefused("no"), 77, "ended with 77"),
        (ValueError("a bug"), 1, "failed"),
        (KeyboardInterrupt(), 75, "ended with 75"),
        (OSError(28, "No space left on device"), 69, "ended with 69"),
    ],
)
def test_whatever_ends_it_is_told(error: BaseException, code: int, outcome: str) -> None:
    heard = Heard()
    with pytest.raises(type(error)), Watched("zoom", listeners=[heard]):
        raise error
    assert heard.said == ["ended"]
    assert (heard.records[0].exit_code, heard.records[0].outcome) == (code, outcome)
    assert heard.records[0].counts == {"rows": 0, "delivered": 0, "dead": 0}


def test_who_finds_the_lease_held_is_told_of_as_such_alone() -> None:
    heard = Heard()
    with pytest.raises(LeaseHeld), Watched("zoom", listeners=[heard]):
        raise LeaseHeld("by another")
    assert heard.said == ["held"]


def test_what_moves_nothing_is_not_told_of() -> None:
    heard = Heard()
    with Watched("zoom", moves=False, listeners=[heard]) as run:
        run.begin()
    with Watched("zoom", listeners=[heard]) as run:
        run.moves = False  # as its plan says
        run.begin()
    with Watched("zoom", listeners=[heard]) as run:
        run.forget()
    assert heard.said == []


def test_a_run_that_stays_is_renewed() -> None:
    told = threading.Event()

    class Waited(Heard):
        def goes_on(self, run: Watched, record: RunRecord) -> None:
            super().goes_on(run, record)
            told.set()

    heard = Waited()
    with Watched("zoom", stays=True, listeners=[heard]) as run:
        run.counts = lambda: {"received": 7}
        run.begin()
        assert told.wait(10)
    going, ended = heard.records
    assert (going.ended, going.exit_code, going.outcome) == (None, None, "running")
    assert going.counts["rows"] == 7
    assert ended.exit_code == 0


def test_a_round_is_a_run_of_its_own() -> None:
    heard = Heard()
    with Watched("listings-count", listeners=[heard]) as run:
        with run.round() as one:
            one.hear(Report("listings count", "done", Exit.DONE, {"views": 4, "updated": 3}))
        with pytest.raises(CredentialsRefused), run.round():
            raise CredentialsRefused("no")
    assert heard.said == ["began", "ended"] * 2
    assert [record.exit_code for record in heard.records] == [0, 77]


def test_a_listener_that_breaks_ends_nothing() -> None:
    class Broken(Heard):
        def ended(self, run: Watched, record: RunRecord, report: Report | None) -> None:
            raise RuntimeError("broken")

    heard = Heard()
    with Watched("zoom", listeners=[Broken(), heard]):
        pass
    assert heard.said == ["ended"]


def test_its_parts_are_told_with_their_time_and_how_they_ended() -> None:
    heard, clock = Heard(), FakeClock()

    def deliver() -> None:
        with run.step("deliver"):
            raise CredentialsRefused("no")

    with Watched("zoom", listeners=[heard], clock=clock) as run:
        with run.step("fetch"):
            pass  # it has not begun
        run.begin()
        with run.step("fetch") as step:
            step.rows = 3
            clock.advance(1.5)
        with run.step("fetch") as step:
            step.told = False
        with pytest.raises(CredentialsRefused):
            deliver()
    assert heard.steps == [Step("fetch", NOW, 1.5, 3), Step("deliver", NOW + timedelta(seconds=1.5), failed=True)]


def test_who_takes_his_time_at_the_end_takes_none_of_the_others() -> None:
    meeting = threading.Barrier(2, timeout=10)
    met: list[int] = []

    class Meets(Heard):
        def ended(self, run: Watched, record: RunRecord, report: Report | None) -> None:
            met.append(meeting.wait())

        def held(self, run: Watched) -> None:
            met.append(meeting.wait())

    with Watched("zoom", listeners=[Meets(), Meets()]):
        pass
    with pytest.raises(LeaseHeld), Watched("zoom", listeners=[Meets(), Meets()]):
        raise LeaseHeld("by another")
    assert sorted(met) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("fields", "rows", "delivered"),
    [
        ({"received": 5, "indexed": 4, "dead": 1}, 5, 4),
        ({"received": 5, "logged": 4}, 5, 4),
        ({"views": 9, "updated": 2}, 9, 2),
        ({"rows": True}, 0, 0),
    ],
)
def test_every_job_counts_rows_and_what_was_delivered(fields: dict[str, int], rows: int, delivered: int) -> None:
    assert (counted(fields)["rows"], counted(fields)["delivered"]) == (rows, delivered)
