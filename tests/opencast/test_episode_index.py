"""The mapping of what search and workflows say to episode documents, with samples as Opencast sends them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harvesters.opencast.client import OpencastClient
from harvesters.opencast.episode_index import EpisodeIndex, to_body
from harvesters.opencast.episodes import find_result, search_results
from harvesters.opencast.workflows import WorkflowLookup
from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.server import (
    Episode,
    MediaElement,
    OpencastSimulator,
    Operation,
    Segment,
    Workflow,
)
from tests.clocks import NOW, FakeClock, patient
from tests.opencast.test_workflows import FROM_12, STREAM, UP_TO_7, listed

UP_TO_15 = r"""
{"search-results":{"offset":0,"limit":9,"total":9,"searchTime":5,"query":"*:*","result":[{"id":"existing-event",
 "org":"mh_default_org","mediapackage":{"duration":75334,"id":"existing-event","start":"2019-09-19T07:51:00Z",
 "title":"first video","series":"f5a224ff-a029","seriestitle":"Blender Foundation Productions",
 "creators":{"creator":"Durian Open Movie Team"},"media":{"track":[{"id":"8a45","type":"mixed/preview"}]},
 "metadata":{"catalog":[{"id":"e549","type":"dublincore/episode"}]},"attachments":{"attachment":[
 {"id":"904b","type":"presentation/player+preview","ref":"track:a250","url":"https://cdn/player.jpg","size":0},
 {"id":"9639","type":"presentation/segment+preview","ref":"track:a250;time=T00:10:00:0F1000","url":"https://cdn/2.jpg"},
 {"id":"9640","type":"presentation/segment+preview","ref":"track:a250;time=T00:00:24:960F1000","url":"https://cdn/1.jpg"},
 {"id":"9641","type":"presenter/player+preview","url":"https://cdn/presenter.jpg"},
 {"id":"9642","type":"security/xacml+episode","url":"https://cdn/acl.xml"}]},"publications":""},
 "dcExtent":74900,"dcTitle":"first video","dcDescription":"Trailer","dcCreated":"2019-09-19T09:51:00+02:00",
 "dcIsPartOf":"f5a224ff-a029","dcType":"L10","dcLicense":"CC0","mediaType":"AudioVisual","keywords":""}]}}
"""
FROM_16 = """
{"result":[{"mediapackage":{"duration":4160.0,"id":"0001","start":"2024-05-07T16:24:00Z","title":2.0160213E7,
 "series":2.0160213001E10,"seriestitle":"CSCI E-1","media":{"track":{"id":"cd56","live":false}},
 "attachments":{"attachment":{"id":"80b3","type":"presenter/player+preview","url":"http://cdn/player.jpg","size":49701.0}},
 "publications":""},"org":"mh_default_org","modified":"2024-05-07T17:34:11.200Z","acl":[],"type":"Episode",
 "dc":{"extent":["PT4.160S"],"identifier":["0001"],"created":["2024-05-07T16:24Z"],"isPartOf":["20160213001"],
 "title":["20160213"],"type":["L01"]}}],"total":1,"offset":0,"limit":20}
"""
STATIC = {"slides": [], "live_stream": False}


def result(text: str) -> dict[str, Any]:
    return search_results(json.loads(text))[0]


class TestBody:
    def test_up_to_version_15(self) -> None:
        assert to_body("existing-event", result(UP_TO_15), listed(UP_TO_7)) == {
            "mpid": "existing-event",
            "title": "first video",
            "duration": 75334,
            "start": "2019-09-19T07:51:00Z",
            "course": "Blender Foundation Productions",
            "series": "f5a224ff-a029",
            "type": "L10",
            "description": "Trailer",
            "creator": ["Durian Open Movie Team"],
            "license": "CC0",
            "presentation_still": "https://cdn/player.jpg",
            "presenter_still": "https://cdn/presenter.jpg",
            "slides": [
                {"img": "https://cdn/1.jpg", "time": "T00:00:24:960F1000"},
                {"img": "https://cdn/2.jpg", "time": "T00:10:00:0F1000"},
            ],
            **STREAM,
            "available": "2015-10-30T07:28:20Z",
        }

    def test_from_version_16(self) -> None:
        assert to_body("0001", result(FROM_16), listed(FROM_12)) == {
            "mpid": "0001",
            "title": "20160213",
            "duration": 4160,
            "start": "2024-05-07T16:24:00Z",
            "course": "CSCI E-1",
            "series": "20160213001",
            "year": "2016",
            "term": "02",
            "crn": "13001",
            "type": "L01",
            "presenter_still": "http://cdn/player.jpg",
            "slides": [],
            **STREAM,
        }

    @pytest.mark.parametrize("attachments", ["", None, {}, {"attachment": ""}, {"attachment": []}, {"attachment": "x"}])
    def test_without_attachments_or_workflow(self, attachments: Any) -> None:
        assert to_body("a", {"mediapackage": {"id": "a", "attachments": attachments}}, []) == {"mpid": "a", **STATIC}

    def test_with_next_to_nothing(self) -> None:
        assert to_body("a", {}, []) == {"mpid": "a", **STATIC}

    def test_slides_are_in_the_order_of_their_time(self) -> None:
        clocks = ["T10:00:00:0F1000", "T01:00:00:0F1000", "T00:00:09:5F10", "T00:00:09:499F1000", "T00:59:59"]
        slides = [
            {"type": "presentation/segment+preview", "ref": f"track:1;time={clock}", "url": f"u{place}"}
            for place, clock in enumerate(clocks)
        ]
        body = to_body("a", {"mediapackage": {"attachments": {"attachment": slides}}}, [])
        assert [slide["img"] for slide in body["slides"]] == ["u3", "u2", "u4", "u1", "u0"]

    def test_a_slide_without_time_or_url_is_none(self) -> None:
        slides = [
            {"type": "presentation/segment+preview", "ref": "track:1", "url": "u"},
            {"type": "presentation/segment+preview", "url": "u"},
            {"type": "presentation/segment+preview", "ref": "track:1;time=T00:00:01:0F1000"},
        ]
        assert to_body("a", {"mediapackage": {"attachments": {"attachment": slides}}}, [])["slides"] == []


def pictures(*attachments: tuple[str, str]) -> dict[str, Any]:
    given = [{"type": flavor, "url": url} for flavor, url in attachments]
    body = to_body("a", {"mediapackage": {"attachments": {"attachment": given}}}, [])
    return {name: body[name] for name in ("presenter_still", "presentation_still") if name in body}


class TestStills:
    def test_each_side_has_its_own(self) -> None:
        assert pictures(
            ("mixed/player+preview", "m"), ("presentation/player+preview", "slides"), ("presenter/player+preview", "p")
        ) == {"presenter_still": "p", "presentation_still": "slides"}

    def test_a_missing_one_is_that_of_both_else_of_the_audience(self) -> None:
        audience = ("audience/player+preview", "audience")
        assert pictures(audience, ("mixed/player+preview", "m"), ("presenter/player+preview", "p")) == {
            "presenter_still": "p",
            "presentation_still": "m",
        }
        assert pictures(audience, ("mixed/player+preview", "")) == dict.fromkeys(
            ("presenter_still", "presentation_still"), "audience"
        )

    def test_other_pictures_are_none(self) -> None:
        assert (
            pictures(("mixed/search+preview", "a"), ("mixed/timeline+preview", "b"), ("presenter/preview", "c")) == {}
        )


class TestLiveTracks:
    LIVE = {"id": "1", "type": "presenter/delivery", "live": True}  # noqa: RUF012 - never changed

    @pytest.mark.parametrize("tracks", [LIVE, [{"id": "0", "live": False}, LIVE], {"live": "true"}])
    def test_one_makes_it_a_live_stream(self, tracks: Any) -> None:
        result = {"mediapackage": {"id": "a", "media": {"track": tracks}, "attachments": ""}, "dcExtent": -1}
        assert to_body("a", result, []) == {"mpid": "a", "slides": [], "live_stream": True}

    @pytest.mark.parametrize("media", ["", None, {}, {"track": ""}, {"track": {"live": False}}, {"track": ["x"]}])
    def test_without_one_it_is_none(self, media: Any) -> None:
        assert to_body("a", {"mediapackage": {"media": media}}, []) == {"mpid": "a", **STATIC}


def episode(number: int, **fields: Any) -> Episode:
    slides = tuple(
        MediaElement(
            f"s{place}",
            "presentation/segment+preview",
            f"https://cdn/{place}.jpg",
            ref=f"t;time=T00:0{place}:00:0F1000",
        )
        for place in (3, 1, 2)
    )
    start = datetime(2026, 2, 13, 9, tzinfo=UTC)
    return Episode(
        **{
            "mpid": f"mp-{number}",
            "title": "0123",
            "duration": 3_600_000,
            "start": start,
            "series": "20260213001",
            "series_title": "101",
            "attachments": slides,
            **fields,
        }
    )


@pytest.fixture(params=[7, 10, 12, 16])
def opencast(request: pytest.FixtureRequest) -> Iterator[OpencastSimulator]:
    with OpencastSimulator(version=request.param, user="admin", password="opencast") as simulator:
        yield simulator


def index(simulator: OpencastSimulator, mpids: list[str], wait: float = 0.0) -> EpisodeIndex:
    client = OpencastClient(simulator.url, "admin", "opencast", "digest", patient(FakeClock(), budget=1))
    return EpisodeIndex(client, WorkflowLookup(client), mpids, NOW, wait)


def bodies(harvest: EpisodeIndex) -> dict[str, dict[str, Any]]:
    made = [harvest.documents(page.rows) for page in harvest.pages(None)]
    harvest.close()
    return {document.id: document.body for some in made for document in some if not isinstance(document, str)}


class TestEveryVersion:
    def test_the_same_document(self, opencast: OpencastSimulator) -> None:
        start = datetime(2026, 2, 13, 9, tzinfo=UTC)
        steps = (
            Operation(1, "capture", started=start, completed=start + timedelta(hours=1)),
            Operation(2, "retract-element", started=start, completed=start + timedelta(hours=2)),
        )
        opencast.add(episode(1), Workflow(1, "mp-1", "publish", operations=steps, created=start))
        assert bodies(index(opencast, ["mp-1"])) == {
            "mp-1": {
                "mpid": "mp-1",
                "title": "0123",
                "duration": 3_600_000,
                "start": "2026-02-13T09:00:00Z",
                "course": "101",
                "series": "20260213001",
                "year": "2026",
                "term": "02",
                "crn": "13001",
                "slides": [{"img": f"https://cdn/{n}.jpg", "time": f"T00:0{n}:00:0F1000"} for n in (1, 2, 3)],
                "live_stream": True,
                "live_start": "2026-02-13T09:00:00Z",
                "live_end": "2026-02-13T10:00:00Z",
                "live_duration": 3_600_000,
                "available": "2026-02-13T11:00:00Z",
            }
        }

    def test_what_only_the_index_keeps(self, opencast: OpencastSimulator) -> None:
        start = datetime(2026, 1, 5, 14, tzinfo=UTC)
        opencast.add(
            episode(
                1,
                creators=("A. Author", "1984"),
                contributors=("42",),
                publishers=("DCE",),
                subjects=("Mathematics", "Logic", "true"),
                license="CC0",
                language="eng",
                spatial="101",
                planned=(start, start + timedelta(minutes=90)),
                segments=(Segment(0, 5000, "Welcome"), Segment(5000, 2000), Segment(7000, 3000, "2016")),
            )
        )
        kept = bodies(index(opencast, ["mp-1"]))["mp-1"]
        segments = [
            {"index": 0, "time": 0, "duration": 5000, "text": "Welcome"},
            {"index": 1, "time": 5000, "duration": 2000, "text": ""},
            {"index": 2, "time": 7000, "duration": 3000, "text": "2016"},
        ]
        wanted = {
            "creator": ["A. Author", "1984"],
            "contributor": ["42"],
            "publisher": ["DCE"],
            "subject": ["Mathematics", "Logic", "true"],
            "license": "CC0",
            "language": "eng",
            "spatial": "101",
            "start_planned": "2026-01-05T14:00:00Z",
            "end_planned": "2026-01-05T15:30:00Z",
        }
        # From 16 on a search answers without segments.
        slides = {"segments": segments, "slide_text": "Welcome\n2016"} if opencast.version < 16 else {}
        assert {name: kept.get(name) for name in wanted} == wanted
        assert {name: kept[name] for name in ("segments", "slide_text") if name in kept} == slides

    def test_a_live_stream_has_no_extent_and_no_pictures_yet(self, opencast: OpencastSimulator) -> None:
        track = MediaElement("1", "presenter/delivery", "https://cdn/live", live=True, duration=-1)
        opencast.add(episode(1, duration=None, extent=-1, attachments=(), tracks=(track,)))
        kept = bodies(index(opencast, ["mp-1"]))["mp-1"]
        assert "duration" not in kept
        assert kept["live_stream"] is True

    def test_ids_that_look_like_something_else(self, opencast: OpencastSimulator) -> None:
        strange = ["20260213", "0007", "true", "1.50", "a/b c?d", "9007199254740993"]
        opencast.add(*(episode(0, mpid=mpid) for mpid in strange))
        harvest = index(opencast, strange)
        assert set(bodies(harvest)) == set(strange)
        assert harvest.unknown == 0

    def test_deleted_and_unknown_ids_are_counted(self, opencast: OpencastSimulator) -> None:
        opencast.dialect = "stock"
        opencast.add(episode(1), episode(2, deleted=True))
        harvest = index(opencast, ["mp-1", "mp-2", "mp-3"])
        assert set(bodies(harvest)) == {"mp-1"}
        assert harvest.report() == {"mpids": 3, "unknown": 2, "without_workflow": 1}

    def test_an_episode_without_a_start_has_the_time_of_the_run(self, opencast: OpencastSimulator) -> None:
        opencast.add(Episode("mp-1", "Lecture"))
        harvest = index(opencast, ["mp-1"])
        (page,) = harvest.pages(None)
        (document,) = harvest.documents(page.rows)
        assert not isinstance(document, str)
        assert document.timestamp == NOW
        harvest.close()


class TestBatches:
    def test_wait_is_the_pause_between_batches(self) -> None:
        with OpencastSimulator(user="admin", password="opencast") as simulator:
            harvest = index(simulator, [str(number) for number in range(250)], wait=7.0)
            assert len(list(harvest.pages(None))) == 3
            clock = harvest.engage.clock
            assert isinstance(clock, FakeClock)
            assert clock.slept == [7.0, 7.0]
            assert harvest.unknown == 250
            harvest.close()

    def test_several_look_ups_are_in_flight(self) -> None:
        class Meeting(OpencastSimulator):
            """Lets the first two searches go on only when both are there."""

            waiting = 2
            barrier = threading.Barrier(2)

            def handle(self, request: Request) -> Response:
                with self._lock:
                    self.waiting -= 1
                    meet = self.waiting >= 0
                if meet:
                    self.barrier.wait(timeout=30)
                return super().handle(request)

        with Meeting(user="admin", password="opencast") as simulator:
            harvest = index(simulator, ["1", "2"])
            list(harvest.pages(None))
            harvest.close()
            assert not simulator.barrier.broken


def test_only_the_episode_that_was_asked_for_is_found() -> None:
    class Deaf(OpencastSimulator):
        """Ignores the id, as something between us and Opencast might."""

        def handle(self, request: Any) -> Any:
            object.__setattr__(request, "query", tuple(pair for pair in request.query if pair[0] != "id"))
            return super().handle(request)

    with Deaf(user="admin", password="opencast") as simulator:
        simulator.add(episode(1), episode(2))
        client = OpencastClient(simulator.url, "admin", "opencast", "digest", patient(budget=1))
        found = find_result(client, "mp-2")
        assert found is not None
        assert to_body("mp-2", found, [])["title"] == "0123"
        assert find_result(client, "mp-3") is None


def test_numbers_that_opencast_16_mangled_are_read_back_where_it_leaves_out_dc() -> None:
    package = {"id": 2.0160213e7, "title": 2016.0, "series": 2.0160213001e10, "duration": 4160.0}
    body = to_body("20160213", {"type": "Episode", "mediapackage": package}, [])
    assert (body["title"], body["series"], body["crn"], body["duration"]) == ("2016", "20160213001", "13001", 4160)
