"""``harvest.py messages compute``: which analytics it computes, its last line, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from harvesters.simulators.wenet.server import WenetSimulator
from harvesters.simulators.wenet.world import App, World, task
from tests.commandline import run_here
from tests.messages.desk import MOVING, TASKS, TOTAL, Desk, as_json, desk_for_a_test, talk_at
from tests.messages.talk import conversation

YESTERDAY = datetime.now(UTC) - timedelta(days=1)
OVER = {"type": "fixed", "start": "2021-03-01", "end": "2021-03-08"}


@pytest.fixture
def desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with desk_for_a_test(request) as desk:
        monkeypatch.setenv("ES_HOST", desk.url)
        monkeypatch.setenv("HARVEST_RETRY_BUDGET", "1")
        desk.load_ours()
        yield desk


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[WenetSimulator]:
    made = World()
    made.add(App("app", "Bot"))
    made.tasks = [task("t", "app", "1", "?", int(YESTERDAY.timestamp()))]
    with WenetSimulator(made) as simulator:
        monkeypatch.setenv("INSTANCE", simulator.url)
        monkeypatch.setenv("APIKEY", simulator.key)
        yield simulator


def test_all_are_computed(desk: Desk, platform: WenetSimulator, capsys: pytest.CaptureFixture[str]) -> None:
    talk_at(desk).post(conversation(1, 50))
    moving, fixed, tasks = desk.keep(), desk.keep(timespan=OVER), desk.keep(TASKS)
    assert run_here("messages", "compute") == 0
    assert capsys.readouterr().out == '{"computed": 3, "failed": 0}\n'
    assert desk.result(fixed)["count"] > 0
    assert desk.result(moving)["count"] == 0
    assert desk.result(tasks)["count"] == 1


def test_one_of_them(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    wanted, other = desk.keep(), desk.keep()
    assert run_here("messages", "compute", "--id", wanted) == 0
    assert as_json(capsys.readouterr().out) == {"computed": 1, "failed": 0}
    assert desk.result(wanted) is not None
    assert desk.result(other) is None
    assert run_here("messages", "compute", "--id", "nobody") == 2
    assert "there is no analytic 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "those"), [(["--type", "moving"], {0}), (["--type", "Fixed"], {1, 2})])
def test_those_with_a_kind_of_window(desk: Desk, options: list[str], those: set[int]) -> None:
    ids = [desk.keep(), desk.keep(timespan=OVER), desk.keep(timespan={**OVER, "end": "2021-04-01"})]
    assert run_here("messages", "compute", *options) == 0
    assert {place for place, id in enumerate(ids) if desk.result(id) is not None} == those


def test_what_is_due(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.keep(), desk.keep(timespan=OVER), desk.keep(timespan={**OVER, "end": "2199-01-01"})
    for computed in (3, 2):
        assert run_here("messages", "compute", "--due") == 0
        assert as_json(capsys.readouterr().out) == {"computed": computed, "failed": 0}


def test_there_are_none(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("messages", "compute") == 0
    assert as_json(capsys.readouterr().out) == {"computed": 0, "failed": 0}


def test_some_fail(desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, total = desk.keep(TASKS), desk.keep()
    assert run_here("messages", "compute") == 69
    said = capsys.readouterr()
    assert as_json(said.out) == {"computed": 1, "failed": 1}
    assert "INSTANCE" in said.err
    assert desk.result(tasks) is None
    assert desk.result(total) is not None
    monkeypatch.setenv("INSTANCE", "http://127.0.0.1:1")
    monkeypatch.setenv("APIKEY", "k-e-y")
    assert run_here("messages", "compute") == 69
    assert as_json(capsys.readouterr().out) == {"computed": 1, "failed": 1}


def test_the_platform_refuses_the_key(
    desk: Desk, platform: WenetSimulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APIKEY", "wrong-key")
    desk.keep(TASKS), desk.keep()
    assert run_here("messages", "compute") == 77
    said = capsys.readouterr()
    assert as_json(said.out) == {"computed": 1, "failed": 1}
    assert "wrong-key" not in said.err


def test_the_cluster_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ES_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "0")
    assert run_here("messages", "compute") == 69


@pytest.mark.parametrize("value", ["40001", "many"])
def test_a_threshold_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDINALITY_PRECISION_THRESHOLD", value)
    assert run_here("messages", "compute") == 78


@pytest.mark.parametrize("options", [["--due", "--type", "moving"], ["--id", "x", "--due"], ["--type", "custom"]])
def test_options_that_make_no_sense(options: list[str]) -> None:
    assert run_here("messages", "compute", *options) == 2


def test_an_unmigrated_one_counts_as_failed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.keep_old("old", {**TOTAL, "metric": "u:total", "timespan": MOVING})
    assert run_here("messages", "compute") == 69
    assert as_json(capsys.readouterr().out) == {"computed": 0, "failed": 1}
