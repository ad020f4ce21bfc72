"""The part ``search``, over listings in a real Elasticsearch."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from harvesters.settings import Settings
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.web.app import create
from harvesters.web.cursors import Cursors
from tests.listings.shelf import (
    Shelf,
    shelf,  # noqa: F401  (a fixture)
)
from tests.sinks.bulk import HEADERS, WELCOME
from tests.web.conftest import LISTINGS, Open, face, serving

# ruff: noqa: F811  (pytest's fixtures)

PATH = "/api/v1/search"
ODD = LISTINGS[0]
BROWSER = {"Accept": "text/html,*/*"}


@pytest.fixture(scope="module")
def shop(events: dict[str, str]) -> Iterator[TestClient]:
    with face(["search"], **events) as opened:
        yield opened


def walk(opened: TestClient, **asked: Any) -> Iterator[dict[str, Any]]:
    """Page after page."""
    page = opened.get(PATH, params=asked).json()
    yield page
    while page["next"] is not None:
        page = opened.get(PATH, params={**asked, "after": page["next"]}).json()
        yield page


def test_a_hit_says_what_is_for_sale(shop: TestClient) -> None:
    said = shop.get(PATH, params={"q": "lamp more"}).json()
    assert said == {
        "query": "lamp more",
        "sort": "relevance",
        "total": {"value": 1, "relation": "eq"},
        "hits": [
            {
                "id": ODD["id"],
                "title": ODD["title"],
                "description": ODD["description"],
                "created": "2026-01-31T10:00:00Z",
                "visits": 99,
                "score": pytest.approx(5, abs=5),
                "highlight": {
                    "title": "&lt;script&gt;alert(&#x27;<mark>lamp</mark>&#x27;)&lt;/script&gt;",
                    "description": "a &lt;b&gt;<mark>lamp</mark>&lt;/b&gt; &amp; <mark>more</mark>\nof it",
                },
            }
        ],
        "next": None,
    }


def test_never_viewed_is_0_and_no_score_is_null(shop: TestClient) -> None:
    hit = shop.get(PATH, params={"q": "dots", "sort": "new"}).json()["hits"][0]
    assert (hit["visits"], hit["score"], hit["description"], hit["id"]) == (0, None, "", "..")


@pytest.mark.parametrize("sort", ["relevance", "hot", "new"])
@pytest.mark.parametrize("asked", [{"q": "desk oak", "limit": 7}, {"limit": 9}, {"q": "", "limit": 1}, {}])
def test_a_walk_gives_every_hit_once(asked: dict[str, Any], sort: str, shop: TestClient) -> None:
    pages = [*walk(shop, **asked, sort=sort)]
    ids = [hit["id"] for page in pages for hit in page["hits"]]
    wanted = {str(one["id"]) for one in LISTINGS} - ({ODD["id"], ".."} if asked.get("q") else set())
    assert len(ids) == len({*ids})
    assert {*ids} == wanted
    assert {page["total"]["value"] for page in pages} == {len(wanted)}
    assert {page["sort"] for page in pages} == {sort}


def test_a_next_of_another_search_or_a_forged_one_is_422(shop: TestClient) -> None:
    asked: dict[str, Any] = {"q": "desk", "limit": 2}
    following = shop.get(PATH, params=asked).json()["next"]
    assert shop.get(PATH, params={**asked, "after": following}).status_code == 200
    wrong: list[dict[str, Any]] = [
        {**asked, "q": "desks", "after": following},
        {**asked, "sort": "new", "after": following},
        {**asked, "limit": 3, "after": following},
        {"after": following},
        {**asked, "after": following[:-1]},
        {**asked, "after": following[1:]},
        {**asked, "after": "WzEsMl0"},
    ]
    for one in wrong:
        answer = shop.get(PATH, params=one)
        assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json"), one


def test_a_moment_of_another_index_is_nobody_s(events: dict[str, str], shelf: Shelf, open_face: Open) -> None:
    """Who may search one index is given no place in another by a cursor, not even under the same key."""
    shelf.titled("a", "b", "c")
    mine, other = (
        open_face(["search"], **{**events, **named, "HARVEST_CURSOR_KEY": "k"}) for named in ({}, shelf.settings)
    )
    following = other.get(PATH, params={"limit": 2}).json()["next"]
    assert mine.get(PATH, params={"limit": 2, "after": following}).status_code == 422


def test_workers_share_the_key_of_their_start(events: dict[str, str]) -> None:
    values = Settings({**events, "REDIS_URL": "redis://127.0.0.1:1/0"})
    one, other, stranger = (
        TestClient(create(values, ["search"], cursor_key=key), "http://127.0.0.1", client=("127.0.0.1", 1))
        for key in (b"of this start", b"of this start", b"of another one")
    )
    with one, other, stranger:
        following = one.get(PATH, params={"limit": 40}).json()["next"]
        answers = [each.get(PATH, params={"limit": 40, "after": following}) for each in (other, stranger)]
        assert [answer.status_code for answer in answers] == [200, 422]
        assert len(answers[0].json()["hits"]) == 7


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (PATH, {"limit": 0}),
        (PATH, {"limit": 101}),
        (PATH, {"q": "x" * 257}),
        (PATH, {"sort": "price"}),
        (PATH, {"query": "lamp"}),
        (PATH, {"after": "x" * 9000}),
        (f"{PATH}/suggest", {"q": "x" * 257}),
        (f"{PATH}/suggest", {"q": "a", "limit": 0}),
        (f"{PATH}/suggest", {"q": "a", "after": "x"}),
        ("/search", {"sort": "price"}),
        ("/search", {"limit": 101}),
        ("/search", {"after": "x"}),
        ("/listings", {}),
    ],
)
def test_a_parameter_that_is_wrong_is_422(path: str, asked: dict[str, Any], shop: TestClient) -> None:
    assert shop.get(path, params=asked).status_code == 422


def test_suggestions(shop: TestClient) -> None:
    said = shop.get(f"{PATH}/suggest", params={"q": "two la"}).json()
    assert said == {"suggestions": [{"text": "Two dots lamp", "id": ".."}]}
    texts = [one["text"] for one in shop.get(f"{PATH}/suggest", params={"q": "des"}).json()["suggestions"]]
    assert sorted(texts) == ["Desk 0", "Desk 1", "Desk 2"]
    assert len(shop.get(f"{PATH}/suggest", params={"q": "des", "limit": 2}).json()["suggestions"]) == 2
    assert shop.get(f"{PATH}/suggest").json() == {"suggestions": []}
    assert shop.get(f"{PATH}/suggest", params={"q": "***"}).json() == {"suggestions": []}


class TestPage:
    def test_it_shows_hits_and_leads_to_the_next(self, shop: TestClient) -> None:
        page = shop.get("/search?q=desk+oak&sort=&after=").text
        assert "45 listings" in page
        assert '<input id="find" name="q" type="search" value="desk oak"' in page
        assert page.count("<mark>oak</mark>") == 20
        seen = page.count('<h2 dir="auto">')
        while 'rel="next"' in page:
            link = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
            page = shop.get(link).text
            seen += page.count('<h2 dir="auto">')
        assert seen == 45

    def test_it_leads_to_the_three_orders_and_says_which_is_shown(self, shop: TestClient) -> None:
        page = shop.get("/search?q=desk&sort=hot&limit=5").text
        assert '<a href="/search?q=desk&amp;limit=5">Relevance</a>' in page
        assert '<a href="/search?q=desk&amp;sort=hot&amp;limit=5" aria-current="true">Hot</a>' in page
        assert '<a href="/search?q=desk&amp;sort=new&amp;limit=5">New</a>' in page
        link = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
        assert "sort=hot&limit=5&after=" in link

    def test_what_others_wrote_is_shown_and_nothing_more(self, shop: TestClient) -> None:
        page = shop.get('/search?q=lamp+"><script>').text
        assert "&lt;<mark>script</mark>&gt;alert" in page
        assert "<script>" not in page
        assert "<b>" not in page
        assert 'value="lamp &#34;&gt;&lt;script&gt;"' in page

    def test_it_counts(self, shop: TestClient, shelf: Shelf, open_face: Open) -> None:
        assert "1 listing for “<bdi>dots</bdi>”" in shop.get("/search?q=dots").text
        shelf.add(*({"id": number, "title": "lamp"} for number in range(10_001)))
        assert "10,000 listings or more" in open_face(["search"], **shelf.settings).get("/search?q=lamp").text

    def test_nothing_found_says_what_to_try(self, shop: TestClient, shelf: Shelf, open_face: Open) -> None:
        page = shop.get("/search?q=xylophone").text
        assert "Nothing found" in page
        assert "Try fewer words" in page
        assert "there are no listings yet" in open_face(["search"], **shelf.settings).get("/search").text

    def test_a_search_that_is_over_offers_to_begin_again(self, shelf: Shelf, open_face: Open) -> None:
        shelf.titled(*(f"lamp {number}" for number in range(9)))
        opened = open_face(["search"], HARVEST_CURSOR_KEY="k", **shelf.settings)
        asked: dict[str, Any] = {"q": "lamp", "sort": "new", "limit": 5}
        following = opened.get(PATH, params=asked).json()["next"]
        bound = {"list": "listings", "index": shelf.name, **asked}
        shelf.index.close(Cursors(b"k").read(bound, following)[0])
        answer = opened.get(PATH, params={**asked, "after": following})
        assert (answer.status_code, answer.headers["Content-Type"]) == (410, "application/problem+json")
        page = opened.get("/search", params={**asked, "after": following}, headers=BROWSER)
        assert page.status_code == 410
        assert '<a href="/search?q=lamp&amp;sort=new&amp;limit=5">Begin again</a>' in page.text
        assert opened.get("/search?q=lamp&sort=new&limit=5").status_code == 200

    def test_the_box_of_every_page_searches_listings_where_they_are_served(
        self, shop: TestClient, open_face: Open
    ) -> None:
        both = open_face(["insights", "profiles", "search"])
        for page in (shop.get("/search").text, shop.get("/docs").text, both.get("/docs").text):
            assert '<form action="/search" role="search"' in page
        assert '<form action="/profiles" role="search"' in open_face(["insights", "profiles"]).get("/docs").text
        error = both.get("/nothing", headers=BROWSER).text
        assert '<form action="/search" role="search"' in error

    def test_the_front_door(self, open_face: Open) -> None:
        front = {("search",): "/search", ("profiles", "search"): "/profiles", ("insights", "search"): "/insights"}
        for parts, page in front.items():
            assert open_face(parts).get("/", follow_redirects=False).headers["Location"] == page


class TestListing:
    def test_it_is_shown(self, shop: TestClient) -> None:
        page = shop.get("/listings", params={"id": ODD["id"]}).text
        assert "&lt;script&gt;alert(&#39;lamp&#39;)&lt;/script&gt;</h1>" in page
        assert "a &lt;b&gt;lamp&lt;/b&gt; &amp; more\nof it" in page
        assert "99 views" in page
        assert "<script>" not in page

    def test_links_lead_to_listings_of_any_id(self, shelf: Shelf, tmp_path: Path) -> None:
        """To a real server: the test client decodes paths twice."""
        ids = [
            "a/b",
            " x ",
            "é",
            "?a=b&c#d",
            "%2F",
            "..",
            ".",
            "../..",
            "a/./b",
            "\\",
            "//a/",
            "+",
            "a" * 512,
            "\u202eb",
        ]
        shelf.add(*({"id": id, "title": "lamp", "description": id} for id in ids))
        with serving(tmp_path / "log", "--parts", "search", **shelf.settings) as server:
            links = re.findall('<h2 dir="auto"><a href="([^"]*)"', server.get("/search?q=lamp").text)
            assert len(links) == len(ids)
            shown = [server.get(unescape(link)).text for link in links]
        for link in links:
            path = link.partition("?")[0]
            assert not {".", ".."} & {*path.split("/")}
            assert "//" not in path
        assert {unescape(re.findall('<p class="description" dir="auto">(.*)</p>', page)[0]) for page in shown} == {*ids}

    @pytest.mark.parametrize("path", ["/listings/none", "/listings/", "/listings/" + "x" * 600, "/listings?id=none"])
    def test_what_is_not_there_is_404(self, path: str, shop: TestClient) -> None:
        answer = shop.get(path)
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such listing.")

    def test_one_without_a_title_is_called_by_its_id(self, shelf: Shelf, open_face: Open) -> None:
        shelf.add({"id": 42, "description": "something"})
        opened = open_face(["search"], **shelf.settings)
        assert ">42</h1>" in opened.get("/listings/42").text
        assert '<a href="/listings/42">42</a>' in opened.get("/search").text


def test_without_an_index_it_names_the_command(shelf: Shelf, open_face: Open) -> None:
    opened = open_face(["search"], **{**shelf.settings, "LISTINGS_INDEX": f"{shelf.name}-none"})
    for path in (PATH, f"{PATH}/suggest?q=a", "/search", "/listings/42"):
        answer = opened.get(path)
        assert answer.status_code == 503
        assert "harvest.py listings index" in answer.json()["detail"]


def test_an_index_that_is_not_ours_names_the_remedy(shelf: Shelf, open_face: Open) -> None:
    shelf.node.fill("other", [{"id": 42, "title": "lamp"}], key="id")
    opened = open_face(["search"], **{**shelf.settings, "LISTINGS_INDEX": f"{shelf.node.prefix}other"})
    for path in (f"{PATH}?q=lamp", f"{PATH}?sort=hot", f"{PATH}/suggest?q=l", "/search?q=lamp"):
        answer = opened.get(path)
        assert answer.status_code == 503, path
        assert "LISTINGS_INDEX" in answer.json()["detail"]


def test_what_was_searched_stands_in_no_error_and_no_log(
    silent: str, open_face: Open, caplog: pytest.LogCaptureFixture
) -> None:
    opened = open_face(["search"], ES_HOST=silent)
    with caplog.at_level(logging.DEBUG):
        for path in (PATH, "/search", f"{PATH}/suggest"):
            answer = opened.get(path, params={"q": "sesame"})
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert "sesame" not in answer.text
    assert not [record for record in caplog.records if record.name != "httpx2" and "sesame" in record.getMessage()]


class Full(Simulator):
    """A cluster with as many moments open as it allows; Elasticsearch has no such limit, others have."""

    def handle(self, request: Request) -> Response:
        error = {"error": {"type": "rejected_execution_exception", "reason": "too many"}}
        if request.path == "/":
            return Response(200, json.dumps(WELCOME).encode(), HEADERS)
        return Response(429 if "/_pit" in request.path else 200, json.dumps(error).encode(), HEADERS)


def test_a_cluster_that_keeps_no_more_moments_is_503(open_face: Open) -> None:
    with Full() as cluster:
        answer = open_face(["search"], ES_HOST=cluster.url).get(PATH)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
