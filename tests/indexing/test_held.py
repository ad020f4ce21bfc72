"""Which messages are ours still."""

from __future__ import annotations

from datetime import datetime, timedelta

from harvesters.indexing.held import Held
from harvesters.indexing.source import Message
from tests.clocks import FakeClock

ONE, TWO = (Message(id, f"handle-{id}", "{}") for id in "12")


class Suspended(FakeClock):
    """A machine that was suspended: its elapsed time stood still meanwhile."""

    asleep = timedelta()

    def now(self) -> datetime:
        return super().now() + self.asleep


def held(clock: FakeClock) -> Held:
    it = Held(clock, 60, 10, 1000)
    it.add([ONE, TWO], it.moment())
    return it


def test_for_as_long_as_the_queue_hides_them() -> None:
    it = held(clock := FakeClock())
    clock.advance(59)
    assert it.lost([ONE, TWO]) == []
    clock.advance(1)
    assert it.lost([ONE, TWO]) == [ONE, TWO]
    assert not it.due()


def test_renewed_in_time_they_stay_and_too_late_they_do_not() -> None:
    it = held(clock := FakeClock())
    clock.advance(30)
    assert list(it.due()) == [ONE, TWO]
    it.renewed([ONE], it.moment())
    assert list(it.due()) == [TWO]
    asked = it.moment()
    clock.advance(30)
    it.renewed([TWO], asked)
    assert it.lost([ONE, TWO]) == [TWO]


def test_a_machine_that_was_suspended_lost_them() -> None:
    it = held(clock := Suspended())
    clock.asleep = timedelta(minutes=5)
    assert it.lost([ONE]) == [ONE]


def test_what_is_done_is_not_ours_any_more() -> None:
    it = held(FakeClock())
    it.drop([ONE])
    assert it.lost([ONE, TWO]) == [ONE]
    it.renewed([ONE], it.moment())
    assert it.lost([ONE]) == [ONE]
