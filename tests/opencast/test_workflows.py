"""Workflows in each shape in which Opencast has told of them, and the stream times made from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from harvesters.errors import ProtocolError
from harvesters.opencast.client import OpencastClient
from harvesters.opencast.jettison import as_list
from harvesters.opencast.workflows import WorkflowLookup, stream_times, to_workflow
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.opencast.server import Episode, OpencastSimulator, Operation, Workflow
from tests.clocks import patient

UP_TO_7 = r"""
{"workflows":{"startPage":"0","count":"20","searchTime":"6","totalCount":"1","workflow":{"id":"4211","state":"SUCCEEDED",
 "template":"DCE-archive-publish-external","title":"DCE","creator-id":"admin","organization-id":"mh_default_org",
 "mediapackage":{"id":"74b6","start":"2015-10-30T04:00:00Z","duration":"3600000","title":"Lecture 10",
 "series":20160213001,"seriestitle":"CSCI E-1"},
 "operations":{"operation":[{"id":"capture","job":"4212","state":"SUCCEEDED","fail-on-error":"true",
 "configurations":{"configuration":{"key":"a","$":"true"}},"started":1446177600000,"completed":1446181200000,
 "time-in-queue":0},{"id":"retract-element","job":"4213","state":"SUCCEEDED","started":1446190000000,
 "completed":1446190100000}]},"configurations":""}}}
"""
FROM_12 = """
{"workflows":{"workflow":{"id":4211,"state":"SUCCEEDED","template":"fast","operations":{"operation":
 {"id":77,"template":"capture","job":4212,"state":"SUCCEEDED","started":1446177600000,"completed":1446181200000}},
 "mediaPackageId":"74b6"}}}
"""
EXTERNAL_API = r"""
[{"identifier":4211,"title":"DCE","workflow_definition_identifier":"fast","event_identifier":"74b6","state":"succeeded",
 "operations":[{"identifier":1604,"operation":"capture","state":"succeeded","start":"2015-10-30T04:00:00Z",
 "completion":"2015-10-30T05:00:00.25Z","time_in_queue":0,"host":"http:\/\/localhost:8080"},
 {"identifier":1605,"operation":"publish","state":"instantiated","start":"","completion":""}]}]
"""
STREAM = {
    "live_stream": True,
    "live_start": "2015-10-30T04:00:00Z",
    "live_end": "2015-10-30T05:00:00Z",
    "live_duration": 3_600_000,
}


def listed(text: str) -> list[Any]:
    answer = json.loads(text)
    return answer if isinstance(answer, list) else as_list(answer["workflows"]["workflow"])


def times(*raw: dict[str, Any]) -> dict[str, Any]:
    return stream_times(to_workflow(one) for one in raw)


def made(id: int, state: str = "SUCCEEDED", created: str | None = None, **operations: Any) -> dict[str, Any]:
    """As up to version 11; each operation is (started, completed) in seconds, or a state."""
    steps: list[dict[str, Any]] = []
    for name, value in operations.items():
        step: dict[str, Any] = {"id": name.replace("_", "-"), "state": "SUCCEEDED"}
        if isinstance(value, str):
            step["state"] = value
        else:
            step.update(started=value[0] * 1000, completed=value[1] * 1000)
        steps.append(step)
    raw: dict[str, Any] = {"id": str(id), "state": state, "operations": {"operation": steps}}
    return raw | ({"dateCreated": created} if created else {})


class TestShapes:
    def test_up_to_version_7(self) -> None:
        assert times(*listed(UP_TO_7)) == STREAM | {"available": "2015-10-30T07:28:20Z"}

    def test_from_version_12(self) -> None:
        assert times(*listed(FROM_12)) == STREAM

    def test_external_api(self) -> None:
        expected = STREAM | {"live_end": "2015-10-30T05:00:00.250Z", "live_duration": 3_600_250}
        assert times(*listed(EXTERNAL_API)) == expected

    def test_the_media_package_is_known_in_each(self) -> None:
        assert {to_workflow(listed(text)[0]).mpid for text in (UP_TO_7, FROM_12, EXTERNAL_API)} == {"74b6"}

    @pytest.mark.parametrize("operations", ["", None, {}, {"operation": ""}])
    def test_no_operations(self, operations: Any) -> None:
        assert times({"id": "1", "state": "SUCCEEDED", "operations": operations}) == {"live_stream": False}


class TestStreamTimes:
    def test_no_workflow(self) -> None:
        assert times() == {"live_stream": False}

    def test_the_newest_by_id_up_to_version_11(self) -> None:
        # As numbers: 999 is older than 1000.
        found = times(made(1000, capture=(100, 200)), made(999, capture=(0, 50)))
        assert found["live_duration"] == 100_000

    def test_the_newest_by_date_from_version_12(self) -> None:
        newer = made(5, created="2026-02-13T10:00:00Z", capture=(100, 200))
        older = made(9, created="2026-02-13T09:00:00-00:30", capture=(0, 50))
        assert times(older, newer)["live_duration"] == 100_000

    def test_only_what_succeeded_counts(self) -> None:
        failed = [made(number, state, capture=(0, 1)) for number, state in ((8, "FAILED"), (9, "RUNNING"))]
        assert times(made(1, capture=(0, 50)), *failed)["live_duration"] == 50_000
        assert times(*failed) == {"live_stream": False}

    def test_a_newer_workflow_without_capture_does_not_hide_it(self) -> None:
        assert times(made(1, capture=(0, 50)), made(2, publish=(60, 70)))["live_duration"] == 50_000

    def test_a_capture_that_never_ended_is_none(self) -> None:
        raw = made(1, capture=(0, 50))
        del raw["operations"]["operation"][0]["completed"]
        assert times(made(1, capture="SKIPPED")) == times(raw) == {"live_stream": False}

    def test_available_is_of_the_workflow_that_captured(self) -> None:
        first = made(1, capture=(0, 50), retract_element=(60, 70))
        assert times(first, made(2, retract_element=(80, 90)))["available"] == "1970-01-01T00:01:10Z"

    def test_available_may_be_of_another_workflow(self) -> None:
        found = times(made(1, capture=(0, 50)), made(2, retract_element=(80, 90)), made(3, publish=(100, 110)))
        assert found["available"] == "1970-01-01T00:01:30Z"

    def test_available_without_a_capture(self) -> None:
        assert times(made(2, retract_element=(80, 90))) == {"live_stream": False, "available": "1970-01-01T00:01:30Z"}

    @pytest.mark.parametrize("moment", [-(10**30), 10**30, "soon", True, [1], {"a": 1}])
    def test_a_time_that_is_none_is_no_time(self, moment: Any) -> None:
        capture = {"id": "capture", "started": moment, "completed": 1000}
        raw = {"id": 1, "state": "SUCCEEDED", "operations": {"operation": capture}}
        assert times(raw) == {"live_stream": False}


def step(name: str, state: str, started: int | None = None, completed: int | None = None) -> dict[str, Any]:
    """An operation as up to version 11, its times in minutes since 2026-01-05T14:00Z."""
    begin = 1_767_621_600_000
    moments = {"started": started, "completed": completed}
    known = {name: begin + minutes * 60_000 for name, minutes in moments.items() if minutes is not None}
    return {"id": name, "job": "17", "state": state, "fail-on-error": "true", **known, "time-in-queue": 0}


# What Harvard DCE's workflows say of a lecture that was streamed and captured, and of one that was not captured.
STREAMED = [
    step("publish-live", "SUCCEEDED", -15, -14),
    step("capture", "SKIPPED", 0, 120),
    step("retract-live", "SUCCEEDED", 122, 123),
    step("retract-engage", "SKIPPED", 124),
    step("publish-engage", "SUCCEEDED", 300, 310),
    step("retract-engage", "SUCCEEDED", 600, 601),
    step("publish-engage", "SUCCEEDED", 602, 610),
]
NOT_CAPTURED = [step("capture", "SKIPPED", 0), *STREAMED[4:]]
REPUBLISHED = STREAMED[3:]
LECTURE = {
    "live_stream": True,
    "live_start": "2026-01-05T14:00:00Z",
    "live_end": "2026-01-05T16:00:00Z",
    "live_duration": 7_200_000,
}


def run(id: int, steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": str(id), "state": "SUCCEEDED", "template": "DCE", "operations": {"operation": steps}}


def without(steps: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [one for one in steps if one["id"] not in names]


class TestAsHarvardsSay:
    def test_a_lecture_that_was_streamed_and_captured(self) -> None:
        assert times(run(1, STREAMED)) == LECTURE | {"available": "2026-01-05T16:03:00Z"}

    def test_from_version_12_and_by_the_external_api_too(self) -> None:
        newer = [{**one, "id": place, "template": one["id"]} for place, one in enumerate(STREAMED)]
        api = [
            {
                "identifier": place,
                "operation": one["id"],
                "state": one["state"].lower(),
                "start": datetime.fromtimestamp(one["started"] / 1000, UTC).isoformat() if "started" in one else "",
                "completion": datetime.fromtimestamp(one["completed"] / 1000, UTC).isoformat()
                if "completed" in one
                else "",
            }
            for place, one in enumerate(STREAMED)
        ]
        told = {"identifier": 1, "state": "succeeded", "operations": api}
        assert times(run(1, newer)) == times(told) == times(run(1, STREAMED))

    def test_one_that_was_not_captured(self) -> None:
        assert times(run(1, NOT_CAPTURED)) == {"live_stream": False}

    def test_a_republication_says_nothing(self) -> None:
        assert times(run(1, REPUBLISHED)) == {"live_stream": False}
        assert times(run(2, REPUBLISHED), run(1, STREAMED)) == times(run(1, STREAMED))

    @pytest.mark.parametrize(
        "state", ["SUCCEEDED", "SKIPPED", "RUNNING", "PAUSED", "RETRY", "skipped", "", "UNHEARD_OF"]
    )
    def test_what_began_and_ended_happened_whatever_its_state_says(self, state: str) -> None:
        assert times(run(1, [{**one, "state": state} for one in STREAMED[1:3]])) == times(run(1, STREAMED))

    def test_what_failed_did_not_happen(self) -> None:
        assert times(run(1, [step("capture", "FAILED", 0, 120)])) == {"live_stream": False}
        again = [step("capture", "FAILED", -90, -80), *STREAMED]
        assert times(run(1, again)) == times(run(1, STREAMED))

    def test_of_several_retractions_the_one_that_ended_first(self) -> None:
        steps = [*STREAMED, step("retract-element", "SUCCEEDED", 100, 122)]
        assert times(run(1, steps))["available"] == "2026-01-05T16:02:00Z"

    def test_retract_engage_where_the_stream_was_published_by_it(self) -> None:
        assert times(run(1, without(STREAMED, "retract-live")))["available"] == "2026-01-06T00:01:00Z"

    def test_a_stream_retracted_by_another_workflow(self) -> None:
        mine = without(STREAMED, "retract-live", "retract-engage")
        other = [step("retract-live", "SUCCEEDED", 200, 201), step("retract-engage", "SUCCEEDED", 190, 191)]
        assert times(run(1, mine), run(2, other))["available"] == "2026-01-05T17:21:00Z"

    def test_without_a_retraction_the_first_publication_after_the_capture(self) -> None:
        early = step("publish-engage", "SUCCEEDED", -60, -59)
        steps = [early, *without(STREAMED, "retract-live", "retract-engage")]
        assert times(run(1, steps))["available"] == "2026-01-05T19:10:00Z"
        assert "available" not in times(run(1, [early, STREAMED[1]]))


@pytest.fixture(params=[7, 10, 12, 16])
def opencast(request: pytest.FixtureRequest) -> Iterator[OpencastSimulator]:
    with OpencastSimulator(version=request.param, user="admin", password="opencast") as simulator:
        for number in range(250):
            moment = datetime(2026, 1, 1, tzinfo=UTC).replace(second=number % 60, minute=number // 60)
            step = Operation(number, "capture", started=moment, completed=moment)
            simulator.add(Workflow(4000 + number, "mp/1 a", "publish", operations=(step,), created=moment))
        simulator.add(Episode("mp/1 a", "Lecture"), Episode("other", "Other"), Workflow(9000, "other", "publish"))
        simulator.add(Workflow(9001, "mp/1 a", "publish", state="FAILED"))
        yield simulator


def lookup(simulator: Simulator) -> WorkflowLookup:
    return WorkflowLookup(OpencastClient(simulator.url, "admin", "opencast", "digest", patient(budget=1)))


class TestLookup:
    def test_finds_all_that_succeeded_of_one_media_package(self, opencast: OpencastSimulator) -> None:
        found = lookup(opencast).find("mp/1 a")
        assert sorted(to_workflow(raw).id for raw in found) == list(range(4000, 4250))
        assert stream_times(map(to_workflow, found))["live_start"] == "2026-01-01T00:04:09Z"

    def test_an_unknown_media_package_has_none(self, opencast: OpencastSimulator) -> None:
        assert lookup(opencast).find("unknown") == []

    def test_the_endpoint_is_found_out_once(self, opencast: OpencastSimulator) -> None:
        workflows = lookup(opencast)
        workflows.find("other")
        opencast.requests.clear()
        workflows.find("other")
        assert len({request.path for request in opencast.requests}) == 1


class Partial(Simulator):
    """Answers some paths with JSON, all others with 404."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__()
        self.answers = answers

    def handle(self, request: Request) -> Response:
        found = self.answers.get(request.path)
        return Response.json(found) if found is not None else Response.html(404, "<h2>HTTP ERROR 404</h2>")


class TestNodes:
    def test_the_external_api_where_there_is_nothing_else(self) -> None:
        other = {"identifier": 1, "event_identifier": "other", "state": "succeeded", "operations": []}
        with Partial({"/api/workflows": [*json.loads(EXTERNAL_API), other]}) as simulator:
            assert [raw["identifier"] for raw in lookup(simulator).find("74b6")] == [4211]
            assert "event_identifier:74b6" in simulator.requests[-1].param("filter")

    def test_a_node_without_workflows_is_named(self) -> None:
        with Partial({}) as simulator, pytest.raises(ProtocolError, match="MATTERHORN_ADMIN_HOST"):
            lookup(simulator).find("74b6")

    def test_404_for_one_media_package_is_no_workflow_on_an_admin_node(self) -> None:
        with Partial({"/api/version": {"versions": ["v1.11.0"], "default": "v1.11.0"}}) as simulator:
            assert lookup(simulator).find("74b6") == []

    def test_json_of_something_else_is_no_opencast(self) -> None:
        with Partial({"/workflow/instances.json": {"hello": "world"}}) as simulator, pytest.raises(ProtocolError):
            lookup(simulator).find("74b6")


class Listing(Simulator):
    """An External API whose list has pages of two, and no operations: those are told workflow by workflow."""

    def __init__(self, workflows: list[dict[str, Any]], pages: bool = True) -> None:
        super().__init__()
        self.workflows = {str(raw["identifier"]): raw for raw in workflows}
        self.pages = pages

    def handle(self, request: Request) -> Response:
        if request.path == "/api/workflows":
            first = int(request.param("offset") or 0) if self.pages else 0
            rows = [{k: v for k, v in raw.items() if k != "operations"} for raw in self.workflows.values()]
            return Response.json(rows[first : first + 2] if self.pages else rows)
        found = self.workflows.get(request.path.removeprefix("/api/workflows/"))
        return Response.json(found) if found is not None else Response.html(404, "<h2>HTTP ERROR 404</h2>")


class TestExternalApi:
    @pytest.mark.parametrize("pages", [True, False])
    def test_every_page_is_read_and_operations_are_fetched_where_the_list_has_none(self, pages: bool) -> None:
        operations = json.loads(EXTERNAL_API)[0]["operations"]
        listed = [
            {"identifier": number, "event_identifier": "74b6", "state": "succeeded", "operations": operations}
            for number in range(1, 6)
        ]
        listed[-1]["operations"] = []
        with Listing(listed, pages) as simulator:
            found = [to_workflow(raw) for raw in lookup(simulator).find("74b6")]
        assert [one.id for one in found] == [1, 2, 3, 4, 5]
        assert [bool(one.operation("capture")) for one in found] == [True, True, True, True, False]
