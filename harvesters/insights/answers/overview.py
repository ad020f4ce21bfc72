"""Events over time."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import COUNTED, period
from harvesters.insights.question import Question


def _columns(question: Question) -> tuple[str, ...]:
    return ("period", question.group, "events", "users")


def _query(question: Question) -> str:
    return f"""
    WITH {COUNTED}
    SELECT {period(question.by)} AS period, "{question.group}", count(*), count(DISTINCT creator)
    FROM counted
    GROUP BY ALL
    ORDER BY 1, 2
    """


INSIGHT = Insight(
    "overview",
    "How many events there are of each type, school or class, and of how many users.",
    "Events of each period and type (or school, or class), and how many different users created them. Periods without "
    "events have no row.",
    _columns,
    _query,
    {"group": "type", "by": "week"},
)
