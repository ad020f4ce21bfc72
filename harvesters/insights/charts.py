"""A chart of each answer, as SVG that serves light and dark pages: ``currentColor`` on nothing.

Vega-Lite draws. Its specifications are plain objects; periods are ordinals, for dates would be drawn in the machine's
time zone. Nothing is fetched, and there is no script in what it makes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from harvesters.errors import ConfigError
from harvesters.insights.answer import Answer

Values = list[dict[str, Any]]
Spec = dict[str, Any]

_COLOURS = ["#3d7fc4", "#d0700f", "#2f9e58", "#c9485f", "#9467bd", "#1f9e9e"]  # seen on white and on black
_LIVELY = ["#9db8d6", "#6f9acb", "#3d7fc4", "#2c5d92"]
_GREY, _PALE = "#8a8a8a", "#8884"
_OTHER = "(other)"
_COHORTS = dict(zip(("daily", "weekly", "monthly", "once", "inactive"), [*reversed(_LIVELY), _GREY], strict=True))
_MOODS = {"negative": "#c9485f", "neutral": _GREY, "positive": "#2f9e58", "unscored": _PALE}
_WEEKDAY = "['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][datum.value - 1]"
_WIDTH, _STEP = 680, 80  # pixels of a chart, and the most that one period has
_PERCENT = ".0%"
_CONFIG = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None},
    "mark": {"color": _COLOURS[0]},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "gridOpacity": 0.25,
        "labelOverlap": "greedy",
        "labelLimit": 240,
    },
    "axisX": {"labelAngle": 0, "labelSeparation": 8},
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor", "labelLimit": 240},
}
_ARIA = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
_SPACE = re.compile(r' xmlns(?::\w+)?="[^"]*"')
_NAMES = re.compile(r'(\bid="|url\(#)')


def chart(name: str, answer: Answer) -> str:
    """The SVG of an answer that has rows.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise ConfigError(
            "insights report needs an extra that is not installed: pip install 'harvest[insights]'"
        ) from error
    values = [dict(zip(answer.columns, map(_shown, row), strict=True)) for row in answer.rows]
    spec = {"width": _WIDTH, "height": 220, **_CHARTS[name](values), "config": _CONFIG, "background": "transparent"}
    drawn = str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
    plain = _NAMES.sub(rf"\g<1>{name}-", _SPACE.sub("", _ARIA.sub("", drawn)))
    return plain.replace("<svg", f'<svg role="img" aria-label="{escape(described(name, answer))}"', 1)


def described(name: str, answer: Answer) -> str:
    """What a chart shows, for who does not see it."""
    first, last = answer.rows[0][0], answer.rows[-1][0]
    span = f"{answer.columns[0]} {first}" + (f" to {last}" if first != last else "")
    return f"Chart of {name}, {span}. The table below has all of its {len(answer.rows)} rows."


def _overview(values: Values) -> Spec:
    group = next(column for column in values[0] if column not in ("period", "events", "users"))
    few, colours = _few(values, "period", group, "events")
    return _stacked(few, "period", "events", group, colours)


def _signups(values: Values) -> Spec:
    few, colours = _few(values, "period", "school", "cumulative")
    return {
        **_data(few),
        "mark": {"type": "line", "point": True},
        "encoding": {"x": _x("period"), "y": _y("cumulative"), "color": _colour("school", colours)},
    }


def _funnel(values: Values) -> Spec:
    return _bars(values, "users", "event")


def _cohorts(values: Values) -> Spec:
    return _stacked(values, "month", "users", "cohort", _COHORTS)


def _retention(values: Values) -> Spec:
    return {
        **_data(values),
        "height": {"step": 14},
        "mark": "rect",
        "encoding": {
            "x": _x("week"),
            "y": {"field": "cohort", "type": "ordinal"},
            "color": {
                "field": "share",
                "type": "quantitative",
                "scale": {"domain": [0, 1], "range": _LIVELY},
                "legend": {"format": _PERCENT},
            },
        },
    }


def _third_buddy(values: Values) -> Spec:
    return {
        **_data(values),
        "width": _width(values, "period"),
        "mark": "bar",
        "encoding": {"x": _x("period"), "y": _y("users")},
    }


def _after_buddying(values: Values) -> Spec:
    told = [
        {"period": row["period"], "pairs": count, "kind": kind}
        for row in values
        for kind, count in (
            ("with a private chat", row["private_chat"]),
            ("without", row["pairs"] - row["private_chat"]),
        )
    ]
    return _stacked(told, "period", "pairs", "kind", {"with a private chat": _COLOURS[0], "without": _GREY})


def _lifecycle(values: Values) -> Spec:
    return _bars(values, "share" if "share" in values[0] else "days", "milestone")


def _heatmap(values: Values) -> Spec:
    """Weeks beside each other, as GitHub shows them."""
    told = [{**row, "week": values[max(0, place - row["weekday"] + 1)]["date"]} for place, row in enumerate(values)]
    return {
        **_data(told),
        "height": {"step": 16},
        "width": {"step": 16},
        "mark": "rect",
        "encoding": {
            "x": _x("week"),
            "y": {"field": "weekday", "type": "ordinal", "axis": {"labelExpr": _WEEKDAY}},
            "color": {
                "field": "level",
                "type": "ordinal",
                "scale": {"domain": [0, 1, 2, 3, 4], "range": ["#8882", *_LIVELY]},
            },
        },
    }


def _sentiment(values: Values) -> Spec:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in values:
        for mood in _MOODS:
            sums[row["period"], mood] += row[mood]
    told = [{"period": period, "mood": mood, "messages": count} for (period, mood), count in sums.items()]
    there = {mood: colour for mood, colour in _MOODS.items() if any(row[mood] for row in values)}
    return _stacked(told, "period", "messages", "mood", there)


def _most_active(values: Values) -> Spec:
    return _bars(values, "events", "user")


_CHARTS: dict[str, Callable[[Values], Spec]] = {
    "overview": _overview,
    "signups": _signups,
    "funnel": _funnel,
    "cohorts": _cohorts,
    "retention": _retention,
    "third-buddy": _third_buddy,
    "after-buddying": _after_buddying,
    "lifecycle": _lifecycle,
    "heatmap": _heatmap,
    "sentiment": _sentiment,
    "most-active": _most_active,
}


def _stacked(values: Values, x: str, y: str, group: str, colours: dict[str, str]) -> Spec:
    """Bars of groups on top of each other, the first one at the bottom; the legend has them as they stand."""
    places = {name: place for place, name in enumerate(colours)}
    told = [{**row, "place": places[row[group]]} for row in values if row[group] in places]
    upwards = dict(reversed(colours.items()))
    return {
        **_data(told),
        "width": _width(values, x),
        "mark": "bar",
        "encoding": {
            "x": _x(x),
            "y": _y(y),
            "color": _colour(group, upwards),
            "order": {"field": "place", "type": "quantitative"},
        },
    }


def _bars(values: Values, x: str, y: str) -> Spec:
    share = (
        {"scale": {"domain": [0, 1]}, "axis": {"format": _PERCENT, "tickCount": 5}}
        if x == "share"
        else {"axis": {"tickCount": 8}}
    )
    return {
        **_data(values),
        "height": {"step": 20},
        "mark": "bar",
        "encoding": {"x": {**_y(x), **share}, "y": {"field": y, "type": "nominal", "sort": None}},
    }


def _few(values: Values, by: str, group: str, count: str) -> tuple[Values, dict[str, str]]:
    """The same with the largest groups, and one for all others; and the colour of each."""
    totals: dict[str, int] = defaultdict(int)
    for row in values:
        totals[row[group]] += row[count]
    largest = sorted(totals, key=lambda name: (-totals[name], name))[: len(_COLOURS)]
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in values:
        sums[row[by], row[group] if row[group] in largest else _OTHER] += row[count]
    colours = dict(zip(largest, _COLOURS, strict=False))
    if any(name not in colours for _, name in sums):
        colours[_OTHER] = _GREY
    return [{by: period, group: name, count: total} for (period, name), total in sorted(sums.items())], colours


def _data(values: Iterable[dict[str, Any]]) -> Spec:
    return {"data": {"values": [*values]}}


def _x(field: str) -> Spec:
    return {"field": field, "type": "ordinal"}


def _y(field: str) -> Spec:
    return {"field": field, "type": "quantitative"}


def _colour(field: str, colours: dict[str, str]) -> Spec:
    scale = {"domain": [*colours], "range": [*colours.values()]}
    return {"field": field, "type": "nominal", "scale": scale}


def _width(values: Values, x: str) -> int:
    """Few periods have a narrow chart, and not broad bars."""
    return min(_WIDTH, _STEP * len({row[x] for row in values}))


def _shown(value: Any) -> Any:
    """A value without anything that no XML can hold."""
    if not isinstance(value, str):
        return value
    return "".join(letter if letter.isprintable() else " " for letter in value) or "(none)"
