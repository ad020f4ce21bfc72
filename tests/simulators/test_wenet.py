"""The simulated platform does what the real one is known for."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from harvesters.messages.model import Message
from harvesters.simulators.wenet import generate
from harvesters.simulators.wenet.server import KEY_HEADER, WenetSimulator
from harvesters.simulators.wenet.world import App, World, task

ROOT = Path(__file__).parent.parent.parent
START, END = datetime(2021, 7, 1, tzinfo=UTC), datetime(2021, 7, 11, tzinfo=UTC)


@pytest.fixture
def simulator() -> Iterator[WenetSimulator]:
    world = World()
    world.add(App("app", "Chatbot", {"1": 100, "2": 200}), App("other", "Other"))
    world.tasks = [task(f"t{number}", "app", "1", "?", 1000 + number, close=2000) for number in range(15)]
    world.tasks.append(task("open", "other", "1", "?", 1000))
    with WenetSimulator(world) as started:
        yield started


def get(simulator: WenetSimulator, path: str, key: str = "platform-key", **params: Any) -> requests.Response:
    return requests.get(simulator.url + path, headers={KEY_HEADER: key}, params=params, timeout=10)


def tasks(simulator: WenetSimulator, **params: Any) -> Any:
    return get(simulator, "/task_manager/tasks", **params).json()


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, ["1", "2"]),
        ({"fromTs": 100, "toTs": 100}, ["1"]),
        ({"fromTs": 150}, ["1", "2"]),
        ({"toTs": 150}, ["1", "2"]),
        ({"fromTs": 0, "toTs": 150}, ["1", "2"]),
        ({"fromTs": 101, "toTs": 200}, ["2"]),
    ],
)
def test_the_hub_wants_both_bounds_and_takes_0_for_none(
    simulator: WenetSimulator, bounds: dict[str, Any], expected: list[str]
) -> None:
    assert get(simulator, "/hub/frontend/data/app/app/user", **bounds).json() == expected


def test_an_unknown_application_is_an_empty_object(simulator: WenetSimulator) -> None:
    for path in ("/hub/frontend/data/app/no", "/hub/frontend/data/app/no/user"):
        answer = get(simulator, path)
        assert (answer.status_code, answer.json()) == (404, {})


def test_lists_come_in_pages_and_are_absent_when_empty(simulator: WenetSimulator) -> None:
    first = tasks(simulator, appId="app")
    assert (first["offset"], first["total"], len(first["tasks"])) == (0, 15, 10)
    assert len(tasks(simulator, appId="app", offset=10, limit=100)["tasks"]) == 5
    assert tasks(simulator, appId="app", offset=15) == {"offset": 15, "total": 15}
    simulator.page_cap = 3
    assert len(tasks(simulator, appId="app", limit=100)["tasks"]) == 3


def test_bounds_of_lists_are_inclusive(simulator: WenetSimulator) -> None:
    assert tasks(simulator, appId="app", creationFrom=1003, creationTo=1005)["total"] == 3
    assert tasks(simulator, closeFrom=2000, closeTo=2000)["total"] == 15
    assert tasks(simulator, hasCloseTs="false")["total"] == 1
    found = get(simulator, "/task_manager/taskTransactions", appId="app", creationTo=1000).json()
    assert [row["taskId"] for row in found["transactions"]] == ["t0"]
    assert get(simulator, "/task_manager/tasks", creationFrom="soon").status_code == 400


def test_a_key_is_wanted(simulator: WenetSimulator) -> None:
    assert get(simulator, "/incentive_server/api/UsersCohorts/", key="wrong").status_code == 401
    assert get(simulator, "/incentive_server/api/UsersCohorts/").json() == []
    assert requests.get(simulator.url, timeout=10).status_code == 401


def test_profiles_may_be_gone_or_accepted(simulator: WenetSimulator) -> None:
    simulator.world.profiles["1"] = {"id": "1"}
    assert get(simulator, "/profile_manager/profiles/1").status_code == 200
    simulator.accepted = True
    assert get(simulator, "/profile_manager/profiles/1").status_code == 202
    assert get(simulator, "/profile_manager/profiles/2").json()["code"] == "not_found_profile"


def test_tasks_arrive_while_pages_are_read(simulator: WenetSimulator) -> None:
    simulator.arriving, simulator.newest_first = 2, True
    totals = [tasks(simulator, appId="app")["total"] for _ in range(4)]
    assert totals == [15, 16, 17, 17]


def test_a_pilot_is_made_up_the_same_each_time() -> None:
    world, again = (generate.generate(10, 30, START, END, seed=3, gone=2) for _ in range(2))
    assert world.tasks == again.tasks
    assert len(world.tasks) == 30
    assert len(world.profiles) == 8
    assert all(START.timestamp() <= one["_creationTs"] < END.timestamp() for one in world.tasks)
    made = [*generate.messages(world, 90, START, END)]
    assert made == [*generate.messages(world, 90, START, END)]
    assert {Message.parse(one).out()["type"] for one in made} == {"request", "response", "notification"}


def test_the_simulator_answers_until_it_is_told_to_stop() -> None:
    arguments = ("--port", "0", "--users", "5", "--tasks", "3", "--key", "abc", "--page-cap", "2", "--gone", "1")
    command = [sys.executable, str(ROOT / "harvest.py"), "dev", "simulate", "wenet", *arguments, "--fault", "503"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            settings = dict(word.split("=", 1) for word in process.stdout.readline().split())
            assert {"INSTANCE", "APIKEY", "APP_ID", "ILOG_ID", "SURVEY_ID"} == {*settings}
            url, headers = settings["INSTANCE"], {KEY_HEADER: "abc"}
            users = f"{url}/hub/frontend/data/app/{settings['APP_ID']}/user"
            assert requests.get(users, headers=headers, timeout=10).status_code == 503
            assert len(requests.get(users, headers=headers, timeout=10).json()) == 5
        finally:
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "stopped" in log
