"""What charts show, as their SVG has it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from harvesters.insights.answer import Answer
from harvesters.insights.answers import INSIGHTS
from harvesters.insights.charts import chart
from harvesters.insights.question import Question

pytestmark = pytest.mark.slow

PERIODS = [f"2016-{month:02}-{day:02}" for month in range(1, 13) for day in (1, 8, 15, 22)]


def svg(name: str, rows: Iterable[tuple[Any, ...]]) -> str:
    return chart(name, Answer(INSIGHTS[name].columns(Question()), [*rows]))


def texts(picture: str, role: str) -> list[str]:
    """The texts that are seen of labels of that role, from left to right or from top to bottom."""
    groups = re.findall(rf'<g class="mark-text role-{role}".*?</g>', picture)
    return [text for group in groups for text in re.findall(r'opacity="1">([^<>]+)</text>', group)]


def bars(picture: str) -> list[tuple[str, float]]:
    """Colour and height above the ground of each bar."""
    marks = re.search(r'<g class="mark-rect role-mark marks">(.*?)</g>', picture)
    assert marks is not None
    return [(fill, -float(y)) for y, fill in re.findall(r'<path d="M[-\d.]+,([-\d.]+)h[^"]*" fill="([^"]+)"', marks[1])]


def cohorts(month: str) -> list[tuple[Any, ...]]:
    return [(month, name, 5, 0.2, 0.25) for name in ("daily", "weekly", "monthly", "once", "inactive")]


def test_cohorts_stand_from_daily_up_to_inactive_and_the_legend_as_they_do() -> None:
    picture = svg("cohorts", cohorts("2016-01-01"))
    upwards = [fill for fill, _ in sorted(bars(picture), key=lambda bar: bar[1])]
    assert texts(picture, "legend-label") == ["inactive", "once", "monthly", "weekly", "daily"]
    symbols = re.findall(r'<path [^>]*d="M[^"]*" fill="(#\w+)"', picture.partition("role-legend-symbol")[2])
    assert symbols == upwards[::-1]


def test_groups_beyond_the_largest_are_one_which_comes_last_and_is_grey() -> None:
    types = [f"type-{number}" for number in range(9)]
    rows = [("2016-01-01", name, 10 + number, 1) for number, name in enumerate(types)]
    picture = svg("overview", [("2015-12-01", "type-0", 1, 1), *rows])
    assert texts(picture, "legend-label") == ["(other)", *types[3:]]
    assert max(bars(picture), key=lambda bar: bar[1])[0] == "#8a8a8a"


def test_schools_are_in_the_order_of_their_size() -> None:
    rows = [(period, school, 1, count) for period in PERIODS[:3] for school, count in (("a", 1), ("b", 9), ("c", 5))]
    assert texts(svg("signups", rows), "legend-label") == ["b", "c", "a"]


def test_shares_are_percents() -> None:
    lifecycle = svg("lifecycle", [("signed_up", 5, 0.31, 1.0, 1.0, 1.0), ("added_class", 5, 0.2, 1.0, 1.0, 1.0)])
    assert {"0%", "20%", "100%"} <= {*texts(lifecycle, "axis-label")}
    assert "100%" in texts(svg("retention", [("2016-01-04", 5, 0, 5, 1.0, True)]), "legend-label")


def test_many_periods_have_labels_that_can_be_read() -> None:
    picture = svg("third-buddy", [(period, 1, 1, 1.0, 1.0) for period in PERIODS])
    shown = [text for text in texts(picture, "axis-label") if text.startswith("2016-")]
    assert 5 <= len(shown) <= 12
    assert "rotate(-90)" not in picture.partition("role-axis-title")[0]


def test_few_periods_have_no_broad_bars() -> None:
    widths = [
        int(
            re.findall(r' width="(\d+)"', svg("third-buddy", [(period, 1, 1, 1.0, 1.0) for period in PERIODS[:count]]))[
                0
            ]
        )
        for count in (2, 40)
    ]
    assert widths[0] < 250 < 600 < widths[1]


def test_weekdays_have_names() -> None:
    days = [(f"2016-02-{day:02}", (day - 1) % 7 + 1, 5, 1) for day in range(1, 15)]
    assert texts(svg("heatmap", days), "axis-label")[-7:] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def test_messages_without_scores_are_seen() -> None:
    row = ("2016-01-04", "BIO", 0, None, None, 0, 0, 0, 7)
    picture = svg("sentiment", [row])
    assert texts(picture, "legend-label") == ["unscored"]
    assert len(bars(picture)) == 1
    scored = svg("sentiment", [("2016-01-04", "BIO", 3, 1.0, 1.0, 1, 1, 1, 0)])
    assert texts(scored, "legend-label") == ["positive", "neutral", "negative"]


def test_a_long_name_is_not_cut_off_before_it_has_to_be() -> None:
    name = "sydney_edu_au-PSYCH-499-the-longer-course"
    picture = svg("overview", [("2016-01-04", name, 5, 1)])
    assert texts(picture, "legend-label") == [name]
