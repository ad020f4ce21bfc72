"""The part ``profiles``, over people in a real Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.indices import Cluster
from tests.web.conftest import PEOPLE, Open, face

PATH = "/api/v1/profiles"


@pytest.fixture(scope="module")
def people(events: dict[str, str]) -> Iterator[TestClient]:
    with face(["insights", "profiles"], **events) as opened:
        yield opened


def walk(opened: TestClient, **asked: Any) -> Iterator[dict[str, Any]]:
    """Page after page."""
    page = opened.get(PATH, params=asked).json()
    yield page
    while page["next"] is not None:
        page = opened.get(PATH, params={**asked, "after": page["next"]}).json()
        yield page


def test_a_hit_says_what_others_may_see(people: TestClient) -> None:
    assert people.get(PATH, params={"q": "lukasz", "school": "osu_edu"}).json() == {
        "total": 1,
        "hits": [
            {
                "id": "u1",
                "name": "Zoë Łukasz",
                "bio": "coffee & <b>tea</b>",
                "school_ids": ["osu_edu"],
                "class_ids": [],
                "score": pytest.approx(8, abs=8),
            }
        ],
        "next": None,
    }


@pytest.mark.parametrize("asked", [{"q": "nguyen coffee", "limit": 7}, {"limit": 9}, {"q": "", "limit": 1}, {}])
def test_a_walk_gives_every_hit_once_ties_too(asked: dict[str, Any], people: TestClient) -> None:
    pages = [*islice(walk(people, **asked), 60)]
    ids = [hit["id"] for page in pages for hit in page["hits"]]
    wanted = {*PEOPLE} - ({"u1"} if asked.get("q") else set())
    assert len(ids) == len({*ids})
    assert {*ids} == wanted
    assert {page["total"] for page in pages} == {len(wanted)}


def test_a_next_of_another_search_or_a_forged_one_is_422(people: TestClient) -> None:
    following = people.get(PATH, params={"q": "ana", "limit": 2}).json()["next"]
    assert people.get(PATH, params={"q": "ana", "limit": 50, "after": following}).status_code == 200
    wrong: list[dict[str, Any]] = [
        {"q": "nguyen", "after": following},
        {"q": "ana", "school": "osu_edu", "after": following},
        {"after": following},
        {"q": "ana", "after": following[:-1]},
        {"q": "ana", "after": following[1:]},
        {"q": "ana", "after": "WzEsMl0"},
    ]
    for asked in wrong:
        answer = people.get(PATH, params=asked)
        assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json"), asked


def test_a_next_outlives_the_server_where_its_key_is_set(events: dict[str, str], open_face: Open) -> None:
    asked: dict[str, Any] = {"q": "ana", "limit": 40}
    one, other, stranger = (
        open_face(["profiles"], HARVEST_CURSOR_KEY=key, **events) for key in ("sesame", "sesame", "")
    )
    following = one.get(PATH, params=asked).json()["next"]
    assert len(other.get(PATH, params={**asked, "after": following}).json()["hits"]) == 5
    assert stranger.get(PATH, params={**asked, "after": following}).status_code == 422


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (PATH, {"limit": 0}),
        (PATH, {"limit": 101}),
        (PATH, {"q": "x" * 257}),
        (PATH, {"name": "ana"}),
        (f"{PATH}/suggest", {"q": "a", "limit": 21}),
        (f"{PATH}/suggest", {"q": "a", "after": "x"}),
        ("/profiles", {"limit": 5}),
        ("/profiles", {"after": "x"}),
    ],
)
def test_a_parameter_that_is_wrong_is_422(path: str, asked: dict[str, Any], people: TestClient) -> None:
    assert people.get(path, params=asked).status_code == 422


def test_suggestions_say_who_may_be_meant(people: TestClient) -> None:
    said = people.get(f"{PATH}/suggest", params={"q": "zoe luk"}).json()
    assert said == {"suggestions": [{"id": "u1", "name": "Zoë Łukasz", "school_ids": ["osu_edu"]}]}
    assert len(people.get(f"{PATH}/suggest?q=ng").json()["suggestions"]) == 10
    assert people.get(f"{PATH}/suggest").json() == {"suggestions": []}
    assert people.get(f"{PATH}/suggest", params={"q": "***"}).json() == {"suggestions": []}


def test_the_page_shows_hits_and_leads_to_the_next(people: TestClient) -> None:
    page = people.get("/profiles?q=&school=osu_edu&class=").text
    assert "1 person" in page
    assert "coffee &amp; &lt;b&gt;tea&lt;/b&gt;" in page
    assert 'rel="next"' not in page
    page = people.get("/profiles?q=ana+coffee").text
    assert "45 people" in page
    for _ in range(2):
        link = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
        page = people.get(link).text
    assert page.count("<h2>") == 5
    assert 'rel="next"' not in page


def test_without_an_index_it_names_the_command(cluster: Cluster, open_face: Open) -> None:
    opened = open_face(
        ["profiles"], ES_HOST=cluster.url, FIREBASE_INDEX_PREFIX=cluster.prefix, HARVEST_SEARCH_TIMEOUT="20"
    )
    for path in (PATH, f"{PATH}/suggest?q=a", "/profiles"):
        answer = opened.get(path)
        assert answer.status_code == 503
        assert "harvest.py firebase profiles" in answer.json()["detail"]


def test_an_index_in_an_older_form_names_the_remedy(cluster: Cluster, open_face: Open) -> None:
    cluster.create("profiles", {"properties": {"id": {"type": "keyword"}, "name": {"type": "text"}}})
    opened = open_face(
        ["profiles"], ES_HOST=cluster.url, FIREBASE_INDEX_PREFIX=cluster.prefix, HARVEST_SEARCH_TIMEOUT="20"
    )
    answer = opened.get(PATH, params={"q": "ana"})
    assert answer.status_code == 503
    assert "setup migrate" in answer.json()["detail"]
    assert "127.0.0.1" not in answer.text


def test_what_was_searched_stands_in_no_error_and_no_log(
    silent: str, open_face: Open, caplog: pytest.LogCaptureFixture
) -> None:
    answer = open_face(["profiles"], ES_HOST=silent).get(PATH, params={"q": "sesame"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "sesame" not in answer.text
    assert not [record for record in caplog.records if record.name != "httpx2" and "sesame" in record.getMessage()]


def test_the_front_door_leads_to_profiles_where_insights_are_not_served(open_face: Open) -> None:
    opened = open_face(["profiles"])
    assert opened.get("/", follow_redirects=False).headers["Location"] == "/profiles"
    assert opened.get("/insights").status_code == 404
