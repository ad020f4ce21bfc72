"""Runs that end in the middle, in every way they can, and the ones that go on after them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.errors import ConfigError, HarvestError, RateLimited, SinkUnavailable, Unavailable
from harvesters.http import HttpSource
from harvesters.simulators.base import Response
from harvesters.simulators.zoom.auth import GRANULAR
from harvesters.simulators.zoom.generate import generate
from harvesters.stores.file import FileBlob
from harvesters.timespan import Window
from harvesters.zoom.limits import HEAVY
from harvesters.zoom.state import RunStates
from tests.clocks import FakeClock
from tests.zoom.conftest import Start
from tests.zoom.harness import NOON, TODAY, Bench, meeting

REPORTS = tuple(scope for scope in GRANULAR if not scope.startswith("dashboard"))
ROUTES = pytest.mark.parametrize("options", [{}, {"scopes": REPORTS}], ids=["dashboard", "report"])
NOT_THERE = Response(503, b"")


class Killed(BaseException):
    """As SIGKILL: nothing that catches errors sees it, and nothing is saved on its way."""


def states(tmp_path: Path, clock: FakeClock) -> RunStates:
    return RunStates(FileBlob(tmp_path / "state" / "zoom-last-end-timestamp.runs"), clock)


def limited(bench: Bench, after: int, seconds: int = 4000, times: int = 1) -> None:
    """Have Zoom refuse the participants calls after that many good ones."""
    refusal = Response.json({"code": 429, "message": "Try again later."}, 429, Retry_After=str(seconds))
    bench.simulator.fail("status", path="/v2/metrics/meetings/", after=after, times=times, response=refusal)


def test_a_wait_too_long_delivers_what_is_finished_and_the_same_command_goes_on(
    start: Start, clock: FakeClock, tmp_path: Path
) -> None:
    meetings = [meeting(f"m{number:02}==", NOON + timedelta(minutes=number)) for number in range(40)]
    bench = start(*meetings)
    limited(bench, after=15)
    with pytest.raises(RateLimited) as caught:
        bench.harvest(max_wait=300)
    assert caught.value.code == 75
    assert len(bench.meetings) >= 15
    lists = len(bench.calls("/metrics/meetings"))
    clock.advance(4001)
    bench.harvest(max_wait=300)
    assert bench.meetings == {one.uuid: 1 for one in meetings}
    bench.expect()
    later = [call for call in bench.calls("/metrics/meetings")[lists:] if "from" in call]
    assert later == []  # what was listed is not listed again
    bench.harvest(max_wait=300)
    assert bench.meetings == {one.uuid: 2 for one in meetings}  # after a finished run it starts afresh


@ROUTES
def test_a_wait_too_long_in_the_middle_of_the_lists_goes_on_there(
    start: Start, clock: FakeClock, options: dict[str, Any]
) -> None:
    account = generate(meetings=150, sessions=400, day=TODAY.start.date(), hosts=10)
    bench = start(account=account, page_cap=10, limits={"Resource-intensive": 3, HEAVY: 500}, **options)
    ends = 0
    for _ in range(60):
        try:
            bench.harvest(max_wait=30)
            break
        except RateLimited:
            ends += 1
            clock.advance(62)
    if not options:
        assert ends >= 4
        bench.expect()
    pages = [call for call in bench.calls("/metrics/meetings") if "from" in call]
    assert len({tuple(sorted(call.items())) for call in pages}) == len(pages)  # no page was read twice


@ROUTES
def test_days_that_are_done_are_neither_listed_nor_delivered_again(
    start: Start, clock: FakeClock, options: dict[str, Any], tmp_path: Path
) -> None:
    days = [0, 35]  # a month is listed at a time
    meetings = [meeting(f"d{day}m{number}==", NOON + timedelta(days=day - 40, minutes=number)) for day in days
                for number in range(4)]  # fmt: skip
    bench = start(*meetings, **options)
    window = Window(TODAY.start - timedelta(days=40), TODAY.end - timedelta(days=2))
    reports = "/v2/report/meetings/" if options else "/v2/metrics/meetings/"
    refusal = Response.json({"code": 429, "message": "Try again later."}, 429, Retry_After="4000")
    fault = bench.simulator.fail("status", path=f"{reports}d35", times=10_000, response=refusal)
    with pytest.raises(RateLimited):
        bench.harvest(window, max_wait=300)
    done = states(tmp_path, clock)._read()[0]
    assert all(not run["done"] and run["since"] > "2026-10-19" for run in done.values())
    before = len(bench.simulator.requests)
    fault.times = 0
    clock.advance(4001)
    bench.harvest(window, max_wait=300)
    assert bench.meetings == {one.uuid: 1 for one in meetings}
    after = list(bench.simulator.requests)[before:]
    assert not [one.path for one in after if "/d0m" in one.path]
    lists = "/v2/report/users" if options else "/v2/metrics/meetings"
    assert not [one for one in after if one.path.startswith(lists) and one.param("from")]  # nor what began before it


def test_another_command_does_not_go_on_with_it(start: Start, clock: FakeClock) -> None:
    bench = start(meeting("a=="), meeting("b=="), meeting("c=="))
    bench.workers = 1
    limited(bench, after=2)
    with pytest.raises(RateLimited):
        bench.harvest(max_wait=300)
    clock.advance(4001)
    bench.harvest(command=["2026-11-02"])
    assert set(bench.meetings) == {"a==", "b==", "c=="}
    assert sum(bench.meetings.values()) == 5


def test_yesterdays_rest_is_finished_after_midnight_and_its_own_yesterday_follows(
    start: Start, clock: FakeClock
) -> None:
    bench = start(meeting("a=="), meeting("b=="), meeting("next==", NOON + timedelta(days=1)))
    bench.workers = 1
    limited(bench, after=1, seconds=80_000)
    with pytest.raises(RateLimited):
        bench.harvest(max_wait=300)
    clock.advance(86_400)
    bench.harvest(Window(TODAY.end, TODAY.end + timedelta(days=1)), max_wait=300)
    assert bench.meetings == {"a==": 1, "b==": 1, "next==": 1}


def test_days_that_were_missed_in_between_are_not_lost(start: Start, clock: FakeClock) -> None:
    bench = start(*(meeting(f"d{day}==", NOON + timedelta(days=day)) for day in range(4)), meeting("e=="))
    bench.workers = 1
    limited(bench, after=1, seconds=80_000)
    with pytest.raises(RateLimited):
        bench.harvest(max_wait=300)
    clock.advance(3 * 86_400)
    bench.harvest(Window(TODAY.start + timedelta(days=3), TODAY.end + timedelta(days=3)))
    assert bench.meetings == {**{f"d{day}==": 1 for day in range(4)}, "e==": 1}


@ROUTES
@pytest.mark.parametrize("request_number", range(0, 26, 2))
def test_when_zoom_goes_away_at_any_request_the_next_run_finishes(
    start: Start, clock: FakeClock, options: dict[str, Any], request_number: int
) -> None:
    meetings = [meeting(f"m{number}==", NOON + timedelta(minutes=number)) for number in range(14)]
    bench = start(*meetings, **options)
    fault = bench.simulator.fail("status", path="/v2", after=request_number, times=10_000, response=NOT_THERE)
    try:
        bench.harvest()
    except Unavailable:
        fault.times = 0
        bench.harvest()
    bench.expect()
    assert set(bench.meetings.values()) == {1}


@pytest.mark.parametrize("batch", range(1, 9))
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_delivery_loses_nothing(start: Start, clock: FakeClock, batch: int, after: bool) -> None:
    meetings = [meeting(f"m{number}==", NOON + timedelta(minutes=number), people=200) for number in range(20)]
    bench = start(*meetings)
    send = bench.sink.send

    def killed(documents: Any) -> Any:
        if bench.sink.batches + 1 == batch:
            if after:
                send(documents)
            bench.sink.batches += 1
            raise Killed
        return send(documents)

    bench.sink.send = killed  # type: ignore[method-assign]
    try:
        bench.harvest()
    except Killed:
        bench.harvest()
    bench.expect()


@pytest.mark.parametrize("batch", range(1, 9))
def test_a_sink_that_gives_up_at_any_delivery_gets_the_rest_next_time(start: Start, batch: int) -> None:
    meetings = [meeting(f"m{number}==", NOON + timedelta(minutes=number), people=200) for number in range(20)]
    bench = start(*meetings)

    def fail(number: int) -> None:
        if number == batch:
            raise SinkUnavailable("full")

    bench.sink.fail = fail  # type: ignore[method-assign]
    try:
        bench.harvest()
    except SinkUnavailable:
        bench.harvest()
    bench.expect()
    assert set(bench.meetings.values()) == {1}


def test_a_kill_while_the_state_is_written_loses_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = start(*(meeting(f"m{number}==", NOON + timedelta(minutes=number)) for number in range(9)))
    limited(bench, after=4)

    def killed(path: Path, content: bytes) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("harvesters.files.replace", killed)
        with pytest.raises((Killed, RateLimited)):
            bench.harvest(max_wait=1)
    bench.clock.advance(5000)
    bench.harvest()
    bench.expect()


def test_a_state_that_cannot_be_read_is_an_error_that_says_so(start: Start, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(exist_ok=True)
    path = tmp_path / "state" / "zoom-last-end-timestamp.runs"
    for content in (b"not json", b"[]", b'{"runs": {"x": 1}}'):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="delete it"):
            start(meeting("m==")).harvest()
        assert path.read_bytes() == content


def test_an_empty_output_gets_everything_whatever_was_done_before(start: Start, clock: FakeClock) -> None:
    bench = start(meeting("a=="), meeting("b=="))
    bench.workers = 1
    limited(bench, after=1)
    with pytest.raises(RateLimited):
        bench.harvest(max_wait=300)
    bench.sink.identity = lambda: ("list", True)  # type: ignore[method-assign]
    bench.sink.documents.clear()
    clock.advance(5000)
    bench.harvest()
    bench.expect()


def test_lists_are_kept_even_where_nothing_was_delivered_yet(start: Start, clock: FakeClock) -> None:
    account = generate(meetings=150, sessions=400, day=TODAY.start.date())
    bench = start(account=account, page_cap=10, limits={"Resource-intensive": 3, HEAVY: 500})
    bench.sink.identity = lambda: ("list", not bench.sink.documents)  # type: ignore[method-assign]
    for _ in range(30):
        try:
            bench.harvest(max_wait=30)
            break
        except RateLimited:
            clock.advance(62)
    bench.expect()


def test_two_unfinished_runs_do_not_overwrite_each_other(start: Start, clock: FakeClock, tmp_path: Path) -> None:
    kept = states(tmp_path, clock)
    from harvesters.zoom.state import RunState

    kept.save("one", RunState(TODAY))
    kept.save("two", RunState(TODAY, since=NOON))
    kept.drop("one")
    kept.drop("one")
    assert kept.load("one") == RunState()
    assert kept.load("two") == RunState(TODAY, since=NOON)
    clock.advance(31 * 86_400)
    kept.save("three", RunState(TODAY))
    assert kept.load("two") == RunState()  # nobody came back for it in a month


def test_connections_are_closed_when_a_run_ends(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    close = HttpSource.close

    def noted(source: HttpSource) -> None:
        closed.append(source.name)
        close(source)

    monkeypatch.setattr(HttpSource, "close", noted)
    bench = start(meeting("m=="))
    bench.harvest()
    assert closed == ["Zoom", f"Zoom's OAuth at {bench.simulator.oauth_url}"]


class TestLive:
    def test_the_first_run_takes_the_look_back_and_the_next_what_is_new(self, start: Start, clock: FakeClock) -> None:
        soon = meeting("soon==", clock.now() + timedelta(minutes=5))
        bench = start(meeting("m=="), meeting("old==", NOON - timedelta(days=3)), soon)
        bench.live()
        assert bench.meetings == {"m==": 1}
        clock.advance(900)
        bench.live()
        assert bench.meetings == {"m==": 1, "soon==": 1}
        assert len(bench.calls("/metrics/meetings/m%3D%3D")) == 1  # nor asked for again

    def test_a_meeting_that_appears_late_is_found_in_the_look_back(self, start: Start, clock: FakeClock) -> None:
        late = meeting("late==", visible_at=clock.now() + timedelta(hours=2))
        bench = start(meeting("m=="), late)
        for _ in range(10):
            bench.live()
            clock.advance(900)
        assert bench.meetings == {"m==": 1, "late==": 1}

    def test_the_checkpoint_is_the_end_of_what_was_harvested(
        self, start: Start, clock: FakeClock, tmp_path: Path
    ) -> None:
        bench = start(meeting("m=="))
        bench.live()
        assert (tmp_path / "state" / "zoom-last-end-timestamp").read_text() == f"{clock.now():%Y%m%d%H%M%SZ}"

    @pytest.mark.parametrize("ahead", [-600, 600])
    def test_the_window_ends_at_the_earlier_of_our_now_and_zooms(
        self, start: Start, clock: FakeClock, tmp_path: Path, ahead: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = start(meeting("m=="), date_ahead=ahead)
        bench.live()
        earlier = clock.now() + timedelta(seconds=min(ahead, 0))
        assert (tmp_path / "state" / "zoom-last-end-timestamp").read_text() == f"{earlier:%Y%m%d%H%M%SZ}"
        assert sum("clock" in one.getMessage() for one in caplog.records if one.levelname == "WARNING") == 1

    def test_a_checkpoint_that_was_set_back_has_it_harvested_again(
        self, start: Start, clock: FakeClock, tmp_path: Path
    ) -> None:
        bench = start(meeting("m=="))
        bench.live()
        (tmp_path / "state" / "zoom-last-end-timestamp").write_text("20261102000000Z")
        bench.live()
        assert bench.meetings == {"m==": 2}

    def test_a_meeting_that_is_listed_otherwise_than_before_is_harvested_again(
        self, start: Start, clock: FakeClock
    ) -> None:
        changed = meeting("changed==")
        bench = start(meeting("m=="), changed)
        bench.live()
        changed.topic = "Another topic"
        clock.advance(900)
        bench.live()
        assert bench.meetings == {"m==": 1, "changed==": 2}
        assert bench.body("changed==")["topic"] == "Another topic"

    def test_a_run_that_had_to_stop_goes_on_with_the_meetings_it_has_not(self, start: Start, clock: FakeClock) -> None:
        meetings = [meeting(f"m{number:02}==", NOON + timedelta(minutes=number)) for number in range(30)]
        bench = start(*meetings)
        limited(bench, after=15)
        with pytest.raises(RateLimited):
            bench.live(max_wait=300)
        clock.advance(4001)
        bench.live(max_wait=300)
        bench.expect()
        assert set(bench.meetings.values()) == {1}

    @pytest.mark.parametrize("request_number", range(1, 18, 2))
    def test_when_zoom_goes_away_at_any_request_nothing_is_lost(self, start: Start, request_number: int) -> None:
        bench = start(*(meeting(f"m{number}==", NOON + timedelta(minutes=number)) for number in range(8)))
        fault = bench.simulator.fail("status", path="/v2", after=request_number, times=10_000, response=NOT_THERE)
        try:
            bench.live()
        except HarvestError:
            fault.times = 0
            bench.live()
        bench.expect()

    @pytest.mark.parametrize("options", [{}, {"scopes": REPORTS}], ids=["dashboard", "report"])
    def test_the_checkpoint_does_not_pass_a_meeting_that_failed_while_later_ones_were_under_way(
        self, start: Start, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], tmp_path: Path
    ) -> None:
        monkeypatch.setenv("ZOOM_LOOKBACK", "60")
        path = tmp_path / "state" / "zoom-last-end-timestamp"
        path.parent.mkdir()
        path.write_text("20261102000000Z")
        meetings = [meeting(f"m{number}==", NOON + timedelta(hours=number)) for number in range(8)]
        bench = start(*meetings, **options)
        reports = "/v2/report/meetings/" if options else "/v2/metrics/meetings/"
        fault = bench.simulator.fail("status", path=f"{reports}m2", times=10_000, response=NOT_THERE)
        with pytest.raises(Unavailable):
            bench.live()
        assert path.read_text() <= f"{NOON + timedelta(hours=2):%Y%m%d%H%M%SZ}"
        fault.times = 0
        bench.live()
        bench.expect()

    def test_a_blank_meeting_comes_once(self, start: Start, clock: FakeClock) -> None:
        blank = meeting("blank==", clock.now() - timedelta(hours=1), people=0, blank_times=True)
        bench = start(meeting("m=="), blank)
        for _ in range(3):
            bench.live()
            clock.advance(900)
        assert bench.meetings == {"m==": 1, "blank==": 1}
