"""The simulated workflow endpoints: which version has which, and their shapes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from harvesters.simulators.opencast.server import Episode, Operation, Workflow
from tests.simulators.asking import BASIC, Start, ask, contains

T0 = datetime(2015, 10, 30, 0, 30, tzinfo=UTC)
S4_OLD = """{"workflows":{"startPage":"0","count":"20","searchTime":"6","totalCount":"1","workflow":{"id":"4211",
"state":"SUCCEEDED","template":"DCE-archive-publish-external","title":"DCE","creator-id":"admin",
"organization-id":"mh_default_org","mediapackage":{"id":"74b6","start":"2015-10-30T04:00:00Z","duration":"3600000",
"title":"Lecture 10","series":20160213001,"seriestitle":"CSCI E-1"},"operations":{"operation":[{"id":"capture",
"job":"4212","state":"SUCCEEDED","fail-on-error":"true","configurations":{"configuration":{"key":"a","$":"true"}},
"started":1446177600000,"completed":1446181200000,"time-in-queue":0},{"id":"retract-element","job":"4213",
"state":"SUCCEEDED","started":1446190000000,"completed":1446190100000}]},"configurations":""}}}"""
S4_NEW = """{"workflows":{"workflow":{"id":4211,"state":"SUCCEEDED","template":"DCE-archive-publish-external",
"operations":{"operation":[{"id":77,"template":"capture","job":4212,"state":"SUCCEEDED","started":1446177600000,
"completed":1446181200000},{"id":78,"template":"retract-element"}]},"mediaPackageId":"74b6"}}}"""


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


S4_EPISODE = Episode("74b6", "Lecture 10", 3_600_000, datetime(2015, 10, 30, 4, tzinfo=UTC), "20160213001", "CSCI E-1")
CAPTURE = Operation(
    *(77, "capture", "SUCCEEDED", at(1446177600000), at(1446181200000)),
    job=4212,
    fail_on_error=True,
    time_in_queue=0,
    configuration=(("a", "true"),),
)
RETRACT = Operation(78, "retract-element", started=at(1446190000000), completed=at(1446190100000), job=4213)
S4_WORKFLOW = Workflow(4211, "74b6", "DCE-archive-publish-external", "DCE", operations=(CAPTURE, RETRACT), created=T0)


def test_sample_s4_workflows_up_to_7(opencast: Start) -> None:
    simulator = opencast(version=7)
    simulator.add(S4_EPISODE, S4_WORKFLOW)
    assert contains(ask(simulator, "/workflow/instances.json", mp="74b6"), json.loads(S4_OLD))


def test_workflows_are_filtered_and_paged(opencast: Start) -> None:
    simulator = opencast(version=11)
    simulator.add(*(Workflow(number, f"m{number}", "fast") for number in range(1, 24)), Workflow(24, "m1", "slow"))

    def numbers(**params: Any) -> list[int]:
        found = ask(simulator, "/workflow/instances.json", **params)["workflows"].get("workflow", [])
        return [one["id"] for one in (found if isinstance(found, list) else [found])]

    assert numbers(mp="m1") == [1, 24]
    assert numbers(mp="m1", workflowdefinition="-slow") == [1]
    assert len(numbers()) == 20
    assert numbers(startPage=1) == [21, 22, 23, 24]
    assert numbers(state="RUNNING") == []
    assert numbers(state=["-RUNNING", "SUCCEEDED"], mp="m2", count=5) == [2]


def test_sample_s4_workflows_from_12(opencast: Start) -> None:
    simulator = opencast(version=12)
    simulator.add(S4_EPISODE, S4_WORKFLOW)
    found = ask(simulator, "/workflow/mediaPackage/74b6/instances.json")
    assert contains(found, json.loads(S4_NEW))
    assert found["workflows"].keys() == {"workflow"}
    assert ask(simulator, "/workflow/mediaPackage/none/instances.json") == {"workflows": ""}


@pytest.mark.parametrize(
    ("version", "path", "status"),
    [
        (11, "/workflow/instances.json", 200),
        (12, "/workflow/instances.json", 404),
        (11, "/workflow/mediaPackage/74b6/instances.json", 404),
        (16, "/workflow/mediaPackage/74b6/instances.json", 200),
        (5, "/api/workflows", 404),
        (6, "/api/workflows", 200),
        (11, "/api/workflows", 200),
        (12, "/api/workflows", 404),
        (16, "/api/workflows/4211", 200),
        (16, "/api/workflows/1", 404),
        (1, "/api/version", 404),
    ],
)
def test_which_version_has_which_workflow_endpoint(opencast: Start, version: int, path: str, status: int) -> None:
    simulator = opencast(version=version)
    simulator.add(S4_WORKFLOW)
    assert requests.get(simulator.url + path, auth=BASIC, timeout=10).status_code == status


def test_external_api_names_its_version_and_writes_iso_times(opencast: Start) -> None:
    simulator = opencast(version=16)
    simulator.add(S4_WORKFLOW)
    url = simulator.url + "/api/workflows/4211?withoperations=true"
    answer = requests.get(url, auth=BASIC, timeout=10)
    assert answer.headers["Content-Type"] == "application/v1.11.0+json"
    capture = {"identifier": 77, "operation": "capture", "state": "succeeded", "start": "2015-10-30T04:00:00Z"}
    assert contains(answer.json()["operations"][0], capture)
    older = requests.get(url, auth=BASIC, headers={"Accept": "application/v1.8.0+json"}, timeout=10)
    assert older.headers["Content-Type"] == "application/v1.8.0+json"
    assert requests.get(url, auth=BASIC, headers={"Accept": "application/v9.9.0+json"}, timeout=10).status_code == 406
    assert ask(simulator, "/api/version")["default"] == "v1.11.0"
