"""What an answer is: columns and rows, and the insight that knows how to ask for them.

`definition` says what its numbers mean. The command line's help, docs/insights.md and the report show that text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from harvesters.insights.calendar import Calendar
from harvesters.insights.history import History
from harvesters.insights.question import Question

DAY = 86_400_000
"""Milliseconds."""


@dataclass(frozen=True)
class Answer:
    """Rows of texts, whole numbers, truth values, and None where there is nothing to divide.

    A float has four decimals. A day is a text ``YYYY-MM-DD``, an instant ISO 8601 with its offset.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Insight:
    """One kind of answer.

    Attributes:
        name: as the command line and URLs have it.
        text: what it says, in one line.
        definition: what its words mean.
        columns: of its rows.
        query: SQL over the tables of `history`; its parameters are those of `parameters`.
        options: those of `Question` that it has beside the filters, with their defaults.
    """

    name: str
    text: str
    definition: str
    columns: Callable[[Question], tuple[str, ...]]
    query: Callable[[Question], str]
    options: Mapping[str, Any] = field(default_factory=dict)

    def answer(self, history: History, question: Question) -> Answer:
        """The answer to `question`, sorted by its first columns.

        Raises:
            Interrupted, ConfigError, Unavailable: as `History.ask` does.
        """
        types, rows = history.table(self.query(question), parameters(history, question))
        shown: dict[str, Callable[[Any], Any]] = {
            "DOUBLE": _rounded,
            "DATE": date.isoformat,
            "TIMESTAMP": partial(_local, history.calendar),
        }
        columns = [
            values
            if (show := shown.get(type)) is None
            else [value if value is None else show(value) for value in values]
            for type, values in zip(types, zip(*rows, strict=True), strict=False)
        ]
        return Answer(self.columns(question), [*zip(*columns, strict=True)])


def parameters(history: History, question: Question) -> dict[str, Any]:
    """What queries may name.

    ``first``, ``last``: the days of ``--start`` and of the last instant before as-of. ``today``: the day of as-of.
    ``within`` is in milliseconds.
    """
    as_of = history.as_of
    return {
        "start": question.start if question.start is not None else 0,
        "first": history.day(question.start),
        "last": history.day(as_of - 1 if as_of is not None else None),
        "today": history.day(as_of),
        "as_of": as_of,
        "school": question.school,
        "class": question.class_,
        "student": history.id(question.student),
        "filtered": question.filtered,
        "within": question.within * DAY if question.within is not None else None,
        "weeks": question.weeks,
        "limit": question.limit,
    }


def unheard_of(history: History, question: Question) -> list[str]:
    """The filters of `question` that no event fits."""
    asked = {"school": question.school, "class": question.class_, "student": question.student}
    found = []
    for name, value in asked.items():
        column, wanted = ("creator", history.id(value)) if name == "student" else (name, value)
        if value is not None and not history.ask(
            f"SELECT 1 FROM event WHERE {column} = $wanted LIMIT 1", {"wanted": wanted}
        ):
            found.append(f"{name} {value!r}")
    return found


def _rounded(value: float) -> float:
    return round(value, 4) + 0.0  # there is no -0.0


def _local(calendar: Calendar, moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).astimezone(calendar.zone).isoformat(timespec="milliseconds")
