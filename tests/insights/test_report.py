"""All answers in one file."""

from __future__ import annotations

import csv
import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvesters.insights.answer import Answer
from harvesters.insights.answers import INSIGHTS
from harvesters.insights.charts import chart
from tests.cli.conftest import Command, harvest
from tests.insights.made import by_chance, by_key, event

pytestmark = pytest.mark.slow

__all__ = ["harvest"]
ODD = '<script>alert("1")</script> & \u2028 a,b\n\0 \U0001f389'


class Page(HTMLParser):
    """The sections by id: their tables' cells, how many charts, and their text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.charts: dict[str, list[dict[str, Any]]] = {}
        self.texts: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self._section, self._cell = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "section":
            self._section = str(found["id"])
            self.tables[self._section], self.charts[self._section], self.texts[self._section] = [], [], ""
        elif tag == "svg":
            self.charts[self._section].append(found)
        elif tag == "tr":
            self.tables[self._section].append([])
        elif tag in ("td", "th"):
            self.tables[self._section][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._section:
            self.texts[self._section] += data
        if self._cell:
            self.tables[self._section][-1][-1] += data


@pytest.fixture
def page(harvest: Command, tmp_path: Path) -> str:
    events = {**by_chance(5, 300, 10**9, 1), **by_key(event(ODD, ODD, "2016-01-01T10:00:00", school_id=ODD))}
    (tmp_path / "events.json").write_bytes(orjson.dumps(events))
    out = tmp_path / "report.html"
    result = harvest("insights", "report", "--from", str(tmp_path / "events.json"), "--output", str(out))
    assert result.code == 0, result.err
    assert result.out == ""
    return out.read_text()


def test_every_answer_is_a_section_with_a_chart_and_the_rows_of_its_csv(
    harvest: Command, page: str, tmp_path: Path
) -> None:
    found = Page(page)
    assert [*found.tables] == [*INSIGHTS]
    for name, insight in INSIGHTS.items():
        text = harvest("insights", name, "--from", str(tmp_path / "events.json"), "--format", "csv").out
        rows = [[cell.replace("\0", "\ufffd") for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
        assert found.tables[name] == rows
        assert insight.definition in found.texts[name]
        (chart,) = found.charts[name]
        assert chart["role"] == "img"
        assert chart["aria-label"].startswith(f"Chart of {name}")


def test_there_is_no_script_and_nothing_from_elsewhere(page: str) -> None:
    found = Page(page)
    assert "default-src 'none'; style-src 'unsafe-inline'" in [tag.get("content") for _, tag in found.tags]
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in found.tags)
    assert not [name for _, tag in found.tags for name in tag if name in ("src", "style") or name.startswith("on")]
    assert all(str(tag["href"]).startswith("#") for _, tag in found.tags if "href" in tag)
    assert re.search(r"https?:|url\((?!#)|@import", page) is None
    names = [tag["id"] for _, tag in found.tags if "id" in tag]
    assert len(names) == len({*names})


def test_it_serves_light_dark_and_paper(page: str) -> None:
    tags = [tag for tag, _ in Page(page).tags]
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert "currentColor" in page
    assert [tags.count(name) for name in ("h1", "main", "nav", "header")] == [1, 1, 1, 1]
    assert '<html lang="en">' in page


def test_circumstances_and_empty_answers(harvest: Command, tmp_path: Path) -> None:
    path, out = tmp_path / "events.json", tmp_path / "report.html"
    path.write_bytes(orjson.dumps(by_key(event("heart", "ana", "2016-01-01T10:00:00"))))
    filters = ["--school", "<b>", "--start", "2016-01-01T00:00:00Z", "--include-test-schools"]
    env = {"FIREBASE_TIMEZONE": "America/Los_Angeles"}
    assert harvest("insights", "report", "--from", str(path), "-o", str(out), *filters, env=env).code == 0
    text = out.read_text()
    head = text.partition("<main>")[0]
    for said in ("2016-01-01T02:00:00.001-08:00", "2015-12-31T16:00:00.000-08:00", "America/Los_Angeles", "&lt;b&gt;"):
        assert said in head
    found = Page(text)
    assert "nothing to show" in found.texts["retention"]
    assert found.charts["retention"] == []
    assert len(found.tables["funnel"]) == 6


def test_an_output_is_required(harvest: Command, tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_bytes(b"{}")
    assert harvest("insights", "report", "--from", str(path)).code == 2


def test_a_missing_extra_is_78(harvest: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    path, out = tmp_path / "events.json", tmp_path / "report.html"
    path.write_bytes(orjson.dumps(by_key(event("heart", "ana", "2016-01-01T10:00:00"))))
    result = harvest("insights", "report", "--from", str(path), "-o", str(out))
    assert result.code == 78
    assert "pip install 'harvest[insights]'" in result.err
    assert not out.exists()


def test_a_school_called_other_is_not_drawn_with_the_rest() -> None:
    schools = [("other", 9), *((f"s{number}", 8 - number) for number in range(7))]
    rows: list[tuple[Any, ...]] = [("2016-01-04", name, count, count) for name, count in schools]
    drawn = chart("signups", Answer(("period", "school", "signups", "cumulative"), rows))
    names = re.findall(r"<text[^>]*>(\(?other\)?|s\d)</text>", drawn)
    assert sorted(names) == ["(other)", "other", "s0", "s1", "s2", "s3", "s4"]
