"""What every answer holds to, errors above all."""

from __future__ import annotations

import logging
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from harvesters.web.cursors import Cursors, Forged
from harvesters.web.limits import Bodies
from harvesters.web.problems import Bugs
from tests.web.conftest import Open


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/docs/", 404),
        ("/api/v1/insights/nonsense", 404),
        ("/static/nothing.css", 404),
        ("/static/../app.py", 404),
        ("/static/%2e%2e/app.py", 404),
        ("/api/v1/insights/funnel?colour=red", 422),
        ("/api/v1/insights/funnel?by=week", 422),
        ("/api/v1/insights/overview?by=year", 422),
        ("/api/v1/insights/overview?by=day&by=week", 422),
        ("/api/v1/insights/most-active?limit=0", 422),
        ("/api/v1/insights/most-active?limit=many", 422),
        ("/api/v1/insights/funnel?start=yesterday", 422),
        ("/api/v1/insights/funnel?start=2016-02-01&end=2016-02-01", 422),
        ("/api/v1/insights/third-buddy?now=true&by=week", 422),
        ("/api/v1/insights/heatmap?start=0001-01-01", 422),
        ("/api/v1/insights/heatmap?end=9999-12-31", 422),
        ("/insights?start=yesterday", 422),
        ("/insights?by=week", 422),
    ],
)
def test_an_error_is_a_problem(path: str, status: int, open_face: Open) -> None:
    answer = open_face().get(path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == status
    assert {*said} == {"type", "title", "status", "detail"}


def test_a_wrong_method_is_a_problem_that_names_the_right_one(open_face: Open) -> None:
    face = open_face()
    for path in ("/health", "/docs", "/", "/insights", "/api/v1/insights", "/api/v1/insights/funnel"):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = face.request(method, path)
            assert (answer.status_code, answer.headers["Content-Type"]) == (405, "application/problem+json"), path
            assert "GET" in answer.headers["Allow"]


def test_a_browser_gets_a_page_for_an_error(open_face: Open) -> None:
    face = open_face()
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = face.get("/insights?start=%3Cb%3E", headers=browser)
    assert page.status_code == 422
    assert page.headers["Content-Type"].startswith("text/html")
    assert '<p role="alert">start: it is no time' in page.text
    assert face.get("/api/v1/nothing", headers=browser).headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_that_is_too_long_is_refused_by_its_length(method: str, open_face: Open) -> None:
    face = open_face()
    answer = face.request(method, "/api/v1/insights", headers={"Content-Length": "10000001"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
    answer = face.request(method, "/api/v1/insights", headers={"Content-Length": "9" * 5000})
    assert answer.status_code == 413


def test_a_body_that_does_not_say_its_length_is_read_no_further_than_allowed() -> None:
    taken = 0

    async def swallow(request: Request) -> Response:
        nonlocal taken
        async for chunk in request.stream():
            taken += len(chunk)
        return Response(str(taken))

    app = Starlette(routes=[Route("/", swallow, methods=["POST"])], middleware=[Middleware(Bodies, longest=25)])
    client = TestClient(app)
    assert client.post("/", content=iter([b"x" * 10, b"x" * 15])).text == "25"
    taken = 0
    assert client.post("/", content=iter([b"x" * 20, b"x" * 5, b"x", b"x" * 99])).status_code == 413
    assert taken <= 25


def test_every_answer_has_the_headers_that_browsers_are_to_obey(open_face: Open) -> None:
    face = open_face()
    for path in ("/docs", "/api/v1/insights", "/insights", "/nothing", "/health", "/"):
        headers = face.get(path, follow_redirects=False).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in face.get("/static/site.css").headers


def test_head_is_get_without_the_body(open_face: Open) -> None:
    face = open_face()
    head, get = face.head("/docs"), face.get("/docs")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(get.content))


def test_pages_hold_no_script_or_style_and_nothing_from_elsewhere(open_face: Open) -> None:
    page = open_face().get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "<style" not in page
    assert "style=" not in page


def test_the_front_door_leads_to_the_first_part(open_face: Open) -> None:
    answer = open_face().get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/insights")


def test_a_bug_is_500_and_its_words_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: Request) -> Response:
        raise RuntimeError(f"about {request.query_params['q']}")

    app = Starlette(routes=[Route("/", fail)], middleware=[Middleware(Bugs)])
    with caplog.at_level(logging.DEBUG):
        answer = TestClient(app).get("/?q=sesame")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert "RuntimeError" in caplog.text
    assert "test_answers.py" in caplog.text
    assert "sesame" not in caplog.text.replace("?q=sesame", "")  # what the test's own client logs
    assert "sesame" not in answer.text


_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
PLACES: Any = st.lists(st.one_of(st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9), st.text(max_size=20)), max_size=3)
QUERIES: Any = st.dictionaries(st.sampled_from(["q", "school"]), st.one_of(st.none(), st.text(max_size=5)))


@given(QUERIES, PLACES)
def test_a_cursor_comes_back_as_it_was(query: dict[str, Any], place: list[Any]) -> None:
    cursors = Cursors(b"key")
    text = cursors.write(query, place)
    assert cursors.read(dict(reversed(query.items())), text) == place
    assert text.replace("-", "").replace("_", "").isalnum()


@given(QUERIES, QUERIES, PLACES, st.data())
def test_a_cursor_that_is_not_ours_is_forged(
    query: dict[str, Any], other: dict[str, Any], place: list[Any], data: st.DataObject
) -> None:
    cursors = Cursors(b"key")
    text = cursors.write(query, place)
    cut = data.draw(st.integers(0, len(text) - 1))
    spelled = _LETTERS[_LETTERS.index(text[-1]) ^ 1]  # whose last bit may mean nothing
    wrong = [
        text[:cut],
        "",
        "ü",
        text + "AAAA",
        text + "=",
        text[:-1] + spelled,
        Cursors(b"another").write(query, place),
    ]
    for forged in wrong:
        with pytest.raises(Forged):
            cursors.read(query, forged)
    if other != query:
        with pytest.raises(Forged):
            cursors.read(other, text)
