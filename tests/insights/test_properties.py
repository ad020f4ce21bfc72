"""Every answer against plain Python (`plain.py`) over events by chance."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.insights.answers import INSIGHTS
from harvesters.insights.question import Question
from tests.insights.made import NOW, SCHOOLS, by_chance, defaults, history, ms
from tests.insights.plain import Plain

pytestmark = pytest.mark.slow

HOUR, DAY = 3_600_000, 86_400_000
ZONES = [ZoneInfo(name) for name in ("UTC", "America/Los_Angeles", "Asia/Kathmandu", "America/St_Johns")]
MIDDLE = ms("2016-03-13T10:00:00")

some = st.sampled_from


def _midnight(days: int) -> int:
    """In Los Angeles, so many days after the clocks were set."""
    return ms(str(date(2016, 3, 13) + timedelta(days)), ZONES[1])


options: dict[str, Any] = {
    "by": some(["day", "week", "month"]),
    "group": some(["type", "school", "class"]),
    "within": some([1, 3]),
    "weeks": some([0, 2, 12]),
    "limit": some([1, 20]),
    "moves": st.booleans(),
    "now": st.booleans(),
}
filters = st.fixed_dictionaries(
    {"test_schools": some([("buddyup_org",), ()])},
    optional={
        "start": st.integers(MIDDLE - 20 * DAY, MIDDLE + 20 * DAY),
        "end": st.integers(MIDDLE - 20 * DAY, MIDDLE + 40 * DAY) | st.integers(-20, 40).map(_midnight),
        "school": some([school for school in SCHOOLS if school]),
        "class_": some(["17", "osu-BIO"]),
        "student": some(["ana", "bob", "zoë", "nobody"]),
    },
)


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Question]:
    """The same filters for every answer, each with options of its own."""
    asked = draw(filters)
    found = {}
    for name, insight in INSIGHTS.items():
        own = {option: draw(options[option]) for option in insight.options if option in options and draw(st.booleans())}
        found[name] = Question(**{**asked, **defaults(name), **own})
    return found


@pytest.mark.slow
@settings(max_examples=40)
@given(
    questions=questions(),
    seed=st.integers(0, 10_000),
    number=some([0, 1, 5, 60, 200]),
    span=some([5 * HOUR, 3 * DAY, 30 * DAY]),
    grain=some([1, HOUR, 6 * HOUR]),
    zone=some(ZONES),
)
def test_every_answer_is_what_plain_python_makes_of_it(
    questions: dict[str, Question], seed: int, number: int, span: int, grain: int, zone: ZoneInfo
) -> None:
    events = by_chance(seed, number, span, grain)
    with history(events, questions["overview"], zone) as known:
        for name, question in questions.items():
            plain = Plain(events, zone, NOW, question)
            assert known.as_of == plain.as_of
            expected = getattr(plain, name.replace("-", "_"))()
            found = INSIGHTS[name].answer(known, question).rows
            assert len(found) == len(expected), (name, found, expected)
            for got, wanted in zip(found, expected, strict=True):
                assert close(got, wanted), (name, got, wanted)


def close(got: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    """The same; what is no count has four decimals."""
    return len(got) == len(wanted) and all(
        abs(one - other) < 1e-4 if isinstance(one, float) and isinstance(other, float | int) else one == other
        for one, other in zip(got, wanted, strict=True)
    )
