"""The pages in a real Chromium: by keyboard, without scripts, light and dark, and as axe-core sees them."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from harvesters.elastic import pit
from harvesters.elastic.client import SearchClient
from tests.clocks import patient
from tests.web.conftest import Running, serving

pytestmark = [pytest.mark.listens, pytest.mark.slow]

LISTED = ["/search?q=desk", "/search?q=xylophone", "/search?q=lamp&sort=hot", "/listings/1", "/listings/none"]
PAGES = ["/insights", "/profiles?q=ana", *LISTED, "/docs", "/nothing"]
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")


@pytest.fixture(scope="module")
def server(events: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("server") / "log", HARVEST_API_RATE="0", **events) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        missing = "there is no chromium here: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


Opened = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser, server: Running) -> Iterator[Opened]:
    """Opens pages of the server; whatever they ask of another host, or is refused by their policy, fails the test."""
    asked: list[str] = []
    complaints: list[str] = []

    @contextmanager
    def context(**options: Any) -> Iterator[Page]:
        with chromium.new_context(base_url=server.url, **options) as made:
            page = made.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            yield page

    entered: list[Any] = []

    def enter(path: str, **options: Any) -> Page:
        entered.append(context(**options))
        page: Page = entered[-1].__enter__()
        page.goto(path)
        return page

    yield enter
    for one in reversed(entered):
        one.__exit__(None, None, None)
    assert [url for url in asked if not url.startswith(f"{server.url}/")] == []
    expected = ("404 (Not Found)", "410 (Gone)")
    assert [text for text in complaints if not any(one in text for one in expected)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing(path: str, scheme: Any, open_page: Opened) -> None:
    page = open_page(path, color_scheme=scheme)
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")
    assert [(one["id"], one["help"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    assert found["passes"]
    assert page.locator("h1").count() == 1


def test_both_colour_schemes_are_there(open_page: Opened) -> None:
    grounds = {
        open_page("/docs", color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert len(grounds) == 2


def test_a_search_without_scripts_and_without_a_mouse(open_page: Opened) -> None:
    page = open_page("/profiles", java_script_enabled=False)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the skip link
    assert page.url.endswith("#main")
    page.keyboard.press("Tab")
    page.keyboard.type("ana coffee")
    page.keyboard.press("Enter")
    page.wait_for_url("**/profiles?q=ana+coffee*")
    assert page.get_by_role("status").inner_text() == "45 people"
    for _ in range(2):
        page.get_by_role("link", name="Next page").focus()
        with page.expect_navigation():
            page.keyboard.press("Enter")
    assert page.locator(".hits li").count() == 5


def test_a_search_for_listings_from_any_page_without_scripts_and_without_a_mouse(open_page: Opened) -> None:
    page = open_page("/docs", java_script_enabled=False)
    page.get_by_label("Find listings").focus()
    page.keyboard.type("desk oak")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=desk+oak")
    assert page.get_by_role("status").inner_text() == "45 listings for “desk oak”"
    for name in ("New", "Next page", "Next page"):
        page.get_by_role("link", name=name, exact=True).focus()
        with page.expect_navigation():
            page.keyboard.press("Enter")
    assert page.locator(".hits li").count() == 5
    assert page.locator(".hits mark").all_inner_texts() == ["Desk", "oak"] * 5
    last = page.locator(".hits a").last
    title = last.inner_text()
    last.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.get_by_role("heading", level=1).inner_text() == title
    page.go_back()
    assert page.locator(".hits li").count() == 5


def test_a_script_in_a_title_is_shown_and_does_not_run(open_page: Opened) -> None:
    page = open_page("/search?q=lamp")
    page.on("dialog", lambda dialog: pytest.fail("the script ran"))
    shown = page.get_by_role("link", name="<script>alert('lamp')</script>", exact=True)
    assert shown.locator("mark").inner_text() == "lamp"
    shown.click()
    assert page.get_by_role("heading", level=1).inner_text() == "<script>alert('lamp')</script>"
    assert page.locator(".description").inner_text() == "a <b>lamp</b> & more\nof it"


def test_a_listing_that_is_called_two_dots_is_found_by_a_browser_too(open_page: Opened) -> None:
    page = open_page("/search?q=dots")
    page.get_by_role("link", name="Two dots lamp").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Two dots lamp"


def test_a_search_that_is_over_begins_again(open_page: Opened, events: dict[str, str]) -> None:
    page = open_page("/search?q=desk&sort=new")
    following = page.get_by_role("link", name="Next page").get_attribute("href")
    assert following is not None
    moments = SearchClient(events["ES_HOST"], patient())
    pit.close(moments, moment_of(following))
    moments.close()
    page.get_by_role("link", name="Next page").click()
    assert "five minutes" in page.get_by_role("alert").inner_text()
    page.get_by_role("link", name="Begin again").click()
    assert page.url.endswith("/search?q=desk&sort=new")
    assert page.locator(".hits li").count() == 20


def moment_of(link: str) -> str:
    """What a cursor has behind its signature."""
    cursor = parse_qs(urlsplit(link).query)["after"][0]
    place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[32:])
    return str(place[0])


def test_filters_without_scripts(open_page: Opened) -> None:
    page = open_page("/", java_script_enabled=False)
    assert page.url.endswith("/insights")
    page.get_by_label("School").fill("osu_edu")
    page.keyboard.press("Enter")
    page.wait_for_url("**school=osu_edu*")
    funnel = page.locator("#funnel td.number")
    assert funnel.nth(1).inner_text() == "1"  # users of the first step
    assert page.locator("#funnel svg[role=img]").count() == 1


def test_where_the_focus_is_can_be_seen(open_page: Opened) -> None:
    page = open_page("/profiles")
    seen = {}
    for _ in range(10):
        page.keyboard.press("Tab")
        focus = page.evaluate_handle("document.activeElement")
        seen[focus.evaluate("it => it.outerHTML")] = focus.evaluate("it => getComputedStyle(it).outlineStyle")
    assert len(seen) == 10
    assert {*seen.values()} == {"solid"}


def test_suggestions_come_while_one_types(open_page: Opened) -> None:
    page = open_page("/profiles")
    with page.expect_response(lambda response: "suggest?q=zoe" in response.url):
        page.get_by_label("Name or interests").press_sequentially("zoe")
    page.wait_for_function("document.querySelector('#suggestions option')?.value === 'Zoë Łukasz'")


def test_titles_come_while_one_types_on_any_page(open_page: Opened) -> None:
    page = open_page("/docs")
    with page.expect_response(lambda response: "/api/v1/search/suggest?q=two" in response.url):
        page.get_by_label("Find listings").press_sequentially("two")
    page.wait_for_function("document.querySelector('#found option')?.value === 'Two dots lamp'")


@pytest.mark.parametrize("path", ["/insights", "/search?q=desk+lamp", "/listings?id=.."])
def test_the_page_is_in_english_and_fits_a_telephone(path: str, open_page: Opened) -> None:
    page = open_page(path, viewport={"width": 360, "height": 640})
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
