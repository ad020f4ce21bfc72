"""Which window a run covers, and whether it may move the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.cursor import TimeCursor
from harvesters.spans import Plan, Span, WindowError
from harvesters.timespan import Window

NOW = datetime(2026, 2, 13, 9, 30, 15, 999_999, tzinfo=UTC)
SECOND = datetime(2026, 2, 13, 9, 30, 15, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass
class Planned:
    """A plan of a window."""

    plan: Plan
    window: Window

    @property
    def scope(self) -> Window:
        scope = self.plan.scope
        assert isinstance(scope, Window)
        return scope

    @property
    def moves(self) -> bool:
        return self.plan.moves

    @property
    def note(self) -> str:
        return self.plan.note


def planned(span: Span, checkpoint: datetime | None = None, now: datetime = NOW) -> Planned:
    made = span.plan(cursor(checkpoint), now)
    assert made is not None
    assert made.window is not None
    return Planned(made, made.window)


def cursor(moment: datetime | None) -> TimeCursor | None:
    return TimeCursor(moment) if moment is not None else None


FIRST = datetime(1970, 1, 1, tzinfo=UTC)
FAR = datetime(1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "checkpoint"),
    [
        (Span(interval=timedelta(days=10**9 - 1)), None),
        (Span(FAR), None),
        (Span(FAR, FAR + HOUR), None),
        (Span(end=FAR + HOUR), None),
        (Span(lookback=timedelta(seconds=3e9)), FAR),
    ],
)
def test_no_window_begins_before_there_were_computers(span: Span, checkpoint: datetime | None) -> None:
    made = planned(span, checkpoint)
    assert made.window.start == FIRST
    assert made.window.end in (FIRST, SECOND)
    assert made.plan.end is not None
    assert len(made.plan.end.encode()) == len("YYYYMMDDHHmmssZ")


class TestLiveRun:
    def test_it_goes_from_the_checkpoint_to_now_floored_to_the_second(self) -> None:
        made = planned(Span(), SECOND - 2 * MINUTE)
        assert made.window == Window(SECOND - 2 * MINUTE, SECOND)
        assert made.moves
        assert made.note == ""

    def test_it_reads_again_what_may_have_come_late(self) -> None:
        made = planned(Span(lookback=timedelta(seconds=60)), SECOND - 2 * MINUTE)
        assert made.scope == Window(SECOND - 3 * MINUTE, SECOND)
        assert made.window == Window(SECOND - 2 * MINUTE, SECOND)

    def test_no_lookback_is_allowed(self) -> None:
        made = planned(Span(lookback=timedelta()), SECOND - 2 * MINUTE)
        assert made.scope == made.window

    def test_without_a_checkpoint_it_covers_the_interval(self) -> None:
        made = planned(Span(interval=7 * MINUTE))
        assert made.window == made.scope == Window(SECOND - 7 * MINUTE, SECOND)
        assert made.moves

    def test_a_checkpoint_of_this_second_leaves_an_empty_window(self) -> None:
        made = planned(Span(), SECOND)
        assert made.window.empty
        assert made.moves

    def test_a_checkpoint_in_the_future_is_left_alone(self) -> None:
        assert Span().plan(cursor(SECOND + timedelta(seconds=1)), NOW) is None
        assert Span(end=SECOND - HOUR).plan(cursor(SECOND + HOUR), NOW) is None

    def test_told_not_to_it_does_not_move_the_checkpoint(self) -> None:
        made = planned(Span(update=False), SECOND - 2 * MINUTE)
        assert made.window == Window(SECOND - 2 * MINUTE, SECOND)
        assert not made.moves

    def test_an_end_alone_goes_from_the_checkpoint_to_there(self) -> None:
        made = planned(Span(end=SECOND - MINUTE), SECOND - HOUR)
        assert made.window == Window(SECOND - HOUR, SECOND - MINUTE)
        assert made.moves

    def test_an_end_in_the_future_is_cut_back_to_now_and_said_so(self) -> None:
        made = planned(Span(end=SECOND + HOUR), SECOND - HOUR)
        assert made.window.end == SECOND
        assert "2026-02-13T09:30:15Z" in made.note


class TestRangeByHand:
    CHECKPOINT = SECOND - HOUR

    @pytest.mark.parametrize(
        ("start", "end", "moves"),
        [
            (-2, -0.5, True),  # across it
            (-1, -0.5, True),  # from it on
            (-2, -1, False),  # up to it: the end is not in the range
            (-3, -2, False),  # before it
            (-0.5, -0.25, False),  # after it, with a gap between
            (-1, -1, False),  # nothing at all
        ],
    )
    def test_it_moves_the_checkpoint_only_where_it_touches_it(self, start: float, end: float, moves: bool) -> None:
        made = planned(Span(SECOND + start * HOUR, SECOND + end * HOUR), self.CHECKPOINT)
        assert made.moves is moves
        assert made.window == Window(SECOND + start * HOUR, SECOND + end * HOUR)
        assert made.scope == (made.window.widened(MINUTE) if (start, moves) == (-1, True) else made.window)
        assert ("the checkpoint stays at 2026-02-13T08:30:15Z" in made.note) is not moves

    def test_where_there_is_no_checkpoint_yet_it_sets_it(self) -> None:
        assert planned(Span(SECOND - 3 * HOUR, SECOND - 2 * HOUR)).moves

    def test_told_not_to_it_leaves_it_and_says_nothing(self) -> None:
        made = planned(Span(SECOND - 3 * HOUR, SECOND - 2 * HOUR, update=False), self.CHECKPOINT)
        assert not made.moves
        assert made.note == ""
        assert not planned(Span(SECOND - 3 * HOUR, update=False)).moves

    def test_a_first_run_that_failed_counts_as_a_checkpoint_does(self) -> None:
        for start, end, moves in ((3, 1, True), (1.5, 1, False), (3, 2, False), (2, 0, True)):
            span = Span(SECOND - start * HOUR, SECOND - end * HOUR)
            made = span.plan(None, NOW, TimeCursor(SECOND - 2 * HOUR))
            assert made is not None
            assert made.moves is moves
            assert ("where the first run began" in made.note) is not moves

    def test_a_start_alone_goes_to_now(self) -> None:
        made = planned(Span(SECOND - 2 * HOUR), self.CHECKPOINT)
        assert made.window == Window(SECOND - 2 * HOUR, SECOND)
        assert made.moves

    def test_it_runs_whatever_the_checkpoint_says_of_the_future(self) -> None:
        made = planned(Span(SECOND - 2 * HOUR, SECOND - HOUR), SECOND + HOUR)
        assert not made.moves
        assert "the checkpoint stays" in made.note

    def test_a_start_after_the_end_is_a_mistake(self) -> None:
        with pytest.raises(WindowError, match=r"the start \(2026-02-13T08:30:15Z\) lies after the end"):
            planned(Span(SECOND - HOUR, SECOND - 2 * HOUR))
        with pytest.raises(WindowError):
            planned(Span(SECOND + HOUR))
        with pytest.raises(WindowError):
            planned(Span(end=SECOND - 2 * HOUR), self.CHECKPOINT)

    def test_only_a_range_without_update_does_without_the_checkpoint(self) -> None:
        assert not Span(SECOND - HOUR, update=False).needs_checkpoint
        assert Span(SECOND - HOUR).needs_checkpoint
        assert Span(update=False).needs_checkpoint
        assert Span().needs_checkpoint


offsets = st.one_of(st.none(), st.integers(-5000, 5000))


@given(offsets, offsets, offsets, st.integers(0, 600), st.booleans())
def test_no_plan_leaves_a_gap_behind_the_checkpoint(
    start: int | None, end: int | None, checkpoint: int | None, lookback: int, update: bool
) -> None:
    def moment(offset: int | None) -> datetime | None:
        return SECOND + timedelta(seconds=offset) if offset is not None else None

    span = Span(moment(start), moment(end), lookback=timedelta(seconds=lookback), update=update)
    before = moment(checkpoint)
    try:
        plan = span.plan(cursor(before), NOW)
    except WindowError:
        return
    if plan is None:
        assert start is None
        assert before is not None
        assert before > SECOND
        return
    assert plan.window is not None
    made = Planned(plan, plan.window)
    assert made.window.end <= SECOND
    assert made.scope.end == made.window.end
    assert made.scope.start <= made.window.start
    assert update or not made.moves
    if made.moves and before is not None:
        assert made.window.start <= before <= made.window.end, "moved over what nobody has harvested"
