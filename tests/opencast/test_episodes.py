"""Episodes: both shapes of search, every quirk of theirs, and how they are looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from harvesters.opencast.client import OpencastClient
from harvesters.opencast.episodes import EpisodeLookup, search_results, series_parts, to_episode
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.stores.cache import MemoryCache
from tests.clocks import FakeClock, patient

# Up to Opencast 15, numbers as from version 8 on.
UP_TO_15 = orjson.loads(
    '{"search-results":{"offset":0,"limit":9,"total":9,"searchTime":5,"query":"*:*","result":[{"id":"existing-event",'
    '"org":"mh_default_org","mediapackage":{"duration":75334,"id":"existing-event","start":"2019-09-19T07:51:00Z",'
    '"title":"first video","series":"f5a224ff-a029-47cd-8c99-def281d8e786","seriestitle":"Blender '
    'Foundation Productions","creators":{"creator":"Durian Open Movie Team"},"publications":""},"dcExtent":74900,'
    '"dcTitle":"first video",'
    '"dcDescription":"Trailer","dcCreated":"2019-09-19T09:51:00+02:00","dcIsPartOf":"f5a224ff-a029-47cd-'
    '8c99-def281d8e786","dcType":"L10","dcLicense":"CC0","mediaType":"AudioVisual","keywords":"",'
    '"modified":"2019-09-19T10:02:03+02:00"}]}}'
)
FROM_16 = orjson.loads(
    '{"result":[{"mediapackage":{"duration":4160.0,"id":"0001","start":"2024-05-07T16:24:00Z","title":"mangled",'
    '"series":"e12d5290","seriestitle":"Opencast"},"org":"mh_default_org","modified":"2024-05-07T17:34:11.200Z",'
    '"acl":[{"action":"read","allow":true,"role":"ROLE_USER"}],"type":"Episode","dc":{"extent":["PT4.160S"],'
    '"identifier":["0001"],"creator":["Atticizing"],"created":["2024-05-07T16:24Z"],"isPartOf":["e12d5290"],'
    '"title":["A title"],"type":["L05"],"description":["About it"]}}],"total":1,"offset":0,"limit":20}'
)


def only(answer: Any) -> dict[str, Any]:
    (result,) = search_results(answer)
    return result


class TestSamples:
    def test_up_to_15(self) -> None:
        assert to_episode(only(UP_TO_15)) == {
            "title": "first video",
            "duration": 75334,
            "start": "2019-09-19T07:51:00Z",
            "course": "Blender Foundation Productions",
            "series": "f5a224ff-a029-47cd-8c99-def281d8e786",
            "type": "L10",
            "description": "Trailer",
        }

    def test_from_16_on(self) -> None:
        assert to_episode(only(FROM_16)) == {
            "title": "A title",
            "duration": 4160,
            "start": "2024-05-07T16:24:00Z",
            "course": "Opencast",
            "series": "e12d5290",
            "type": "L05",
            "description": "About it",
        }

    def test_up_to_7_attributes_are_strings(self) -> None:
        result = only(UP_TO_15)
        old = {**result, "mediapackage": {**result["mediapackage"], "duration": "75334"}}
        assert to_episode(old) == to_episode(result)


class TestQuirks:
    @pytest.mark.parametrize(
        "answer",
        [
            {"search-results": {"total": "0"}},
            {"search-results": {"total": 0, "result": ""}},
            {"search-results": ""},
            {"total": 0, "result": []},
            {},
            "",
            None,
            [],
        ],
    )
    def test_no_result(self, answer: Any) -> None:
        assert search_results(answer) == []

    def test_one_result_is_an_object(self) -> None:
        assert search_results({"search-results": {"result": {"id": "a"}}}) == [{"id": "a"}]

    def test_numeric_titles_and_series_are_strings(self) -> None:
        package = {"title": 1984, "series": 20160213001, "seriestitle": 101.5}
        assert to_episode({"mediapackage": package, "dcDescription": True}) == {
            "title": "1984",
            "series": "20160213001",
            "course": "101.5",
            "year": "2016",
            "term": "02",
            "crn": "13001",
            "description": "true",
        }

    def test_from_16_on_numbers_have_become_floats(self) -> None:
        package = {"title": 1984.0, "series": 2.0160213001e10, "seriestitle": 101.0, "duration": 4160.0}
        episode = to_episode({"mediapackage": package, "dc": {"title": ["1984"]}})
        assert episode["title"] == "1984"
        assert (episode["series"], episode["crn"]) == ("20160213001", "13001")
        assert episode["course"] == "101"
        assert episode["duration"] == 4160

    @pytest.mark.parametrize(
        ("series", "parts"),
        [
            ("20160213001", {"year": "2016", "term": "02", "crn": "13001"}),
            ("2016021300", {}),
            ("201602130011", {}),
            ("f5a224ff-a029", {}),
            ("2016021300a", {}),
            ("", {}),
            (None, {}),
        ],
    )
    def test_year_term_and_crn_only_of_an_id_that_has_that_form(
        self, series: str | None, parts: dict[str, str]
    ) -> None:
        assert series_parts(series) == parts

    @pytest.mark.parametrize(
        ("package", "extra", "duration"),
        [
            ({"duration": 75334}, {}, 75334),
            ({"duration": "75334"}, {}, 75334),
            ({"duration": 75334.0}, {}, 75334),
            ({}, {"dcExtent": 74900}, 74900),
            ({"duration": ""}, {"dcExtent": "74900"}, 74900),
            ({"duration": "long"}, {"dcExtent": 74900}, 74900),
            ({}, {"dc": {"extent": ["PT4.160S"]}}, 4160),
            ({}, {"dc": {"extent": ["PT1H2M3S"]}}, 3_723_000),
            ({}, {"dc": {"extent": "PT1H"}}, 3_600_000),
            ({}, {"dc": {"extent": ["PT"]}}, None),
            ({}, {}, None),
            ({}, {"dcExtent": -1}, None),
            ({"duration": "-1"}, {"dcExtent": 74900}, 74900),
            ({"duration": 75334}, {"dcExtent": -1}, 75334),
            ({}, {"dcExtent": "-1", "dc": {"extent": ["PT4.160S"]}}, 4160),
        ],
    )
    def test_the_duration_is_in_milliseconds(self, package: Any, extra: Any, duration: int | None) -> None:
        assert to_episode({"mediapackage": package, **extra}).get("duration") == duration

    def test_a_start_that_is_not_set_is_when_it_was_created(self) -> None:
        assert to_episode({"dcCreated": "2019-09-19T09:51:00+02:00"}) == {"start": "2019-09-19T07:51:00Z"}
        assert to_episode({"dc": {"created": ["2024-05-07T16:24Z"]}}) == {"start": "2024-05-07T16:24:00Z"}
        assert to_episode({"mediapackage": {"start": "soon"}}) == {}

    @pytest.mark.parametrize(
        "result", [{}, {"mediapackage": ""}, {"mediapackage": None, "dc": ""}, {"dc": {"title": []}}]
    )
    def test_what_is_not_there_is_left_out(self, result: dict[str, Any]) -> None:
        assert to_episode(result) == {}


class Search(Simulator):
    """An Opencast with a search and nothing else; `episodes` maps ids to results."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        super().__init__()
        self.answer = answer

    def handle(self, request: Request) -> Response:
        return Response.json(self.answer(request.param("id")))

    @property
    def asked(self) -> list[str]:
        return sorted(request.param("id") for request in self.requests)


@pytest.fixture
def search() -> Iterator[Search]:
    def answer(mpid: str) -> Any:
        if mpid.startswith("unknown"):
            return {"search-results": {"total": 0}}
        return {
            "search-results": {"total": 1, "result": {"id": mpid, "mediapackage": {"id": mpid, "title": f"T {mpid}"}}}
        }

    with Search(answer) as simulator:
        yield simulator


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def lookup(search: Search, clock: FakeClock, cache: MemoryCache, expire: float = 1800.0) -> EpisodeLookup:
    client = OpencastClient(search.url, "user", "pass", "basic", patient(clock))
    return EpisodeLookup(client, cache, expire)


class TestLookup:
    def test_each_id_is_looked_up_once_and_then_cached(self, search: Search, clock: FakeClock) -> None:
        cache = MemoryCache(timer=clock.monotonic)
        first = lookup(search, clock, cache)
        assert first.find(["a", "b", "a"]) == {"a": {"title": "T a"}, "b": {"title": "T b"}}
        assert search.asked == ["a", "b"]
        second = lookup(search, clock, cache)
        assert second.find(["a", "c"]) == {"a": {"title": "T a"}, "c": {"title": "T c"}}
        assert search.asked == ["a", "b", "c"]
        assert (first.hits, second.hits) == (0, 1)

    def test_a_found_one_is_cached_as_long_as_set_and_an_unknown_one_for_a_minute(
        self, search: Search, clock: FakeClock
    ) -> None:
        cache = MemoryCache(timer=clock.monotonic)
        found = lookup(search, clock, cache)
        assert found.find(["a", "unknown"]) == {"a": {"title": "T a"}, "unknown": {}}
        assert found.missing == 1
        clock.advance(59)
        found.find(["a", "unknown"])
        assert search.asked == ["a", "unknown"]
        clock.advance(2)
        found.find(["a", "unknown"])
        assert search.asked == ["a", "unknown", "unknown"]
        clock.advance(1800)
        found.find(["a"])
        assert search.asked == ["a", "a", "unknown", "unknown"]

    def test_no_ids_ask_nothing(self, search: Search, clock: FakeClock) -> None:
        assert lookup(search, clock, MemoryCache()).find([]) == {}
        assert search.asked == []

    def test_an_answer_about_another_episode_is_none(self, clock: FakeClock) -> None:
        result = {"mediapackage": {"id": "other", "title": "T"}}
        with Search(lambda mpid: {"search-results": {"result": [result]}}) as search:
            assert lookup(search, clock, MemoryCache()).find(["a"]) == {"a": {}}

    @pytest.mark.parametrize("mpid", ["20160213001", "0001", "12345678901234567890"])
    def test_an_id_that_looks_like_a_number_is_found_in_both_shapes(self, clock: FakeClock, mpid: str) -> None:
        typed = int(mpid) if str(int(mpid)) == mpid and int(mpid) < 2**63 else mpid
        rounded = float(typed) if isinstance(typed, int) else mpid
        old = {"search-results": {"result": {"mediapackage": {"id": typed, "title": "T"}}}}
        new = {"result": [{"mediapackage": {"id": rounded}, "dc": {"title": ["T"], "identifier": [mpid]}}]}
        for answer in (old, new):
            with Search(lambda _, answer=answer: answer) as search:  # type: ignore[misc]
                assert lookup(search, clock, MemoryCache()).find([mpid]) == {mpid: {"title": "T"}}

    def test_one_that_fails_for_a_while_is_asked_for_again(self, search: Search, clock: FakeClock) -> None:
        search.fail("reset", times=1)
        search.fail("cut", times=1)
        assert lookup(search, clock, MemoryCache()).find(["a"]) == {"a": {"title": "T a"}}
        assert len(clock.slept) == 2
