"""Who joins."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import CHOSEN, period, periods
from harvesters.insights.question import Question


def _query(question: Question) -> str:
    return f"""
    WITH {CHOSEN}, signup AS (
        SELECT school, signed_up_at AS ms, signed_up_day AS day FROM chosen WHERE signed_up_at IS NOT NULL
    ), {periods(question.by, "SELECT min(day) FROM signup WHERE ms >= $start")}, tally AS (
        SELECT school, {period(question.by)} AS period, count(*) FILTER (ms >= $start) AS signups, count(*) AS known
        FROM signup GROUP BY ALL
    ), before AS (
        SELECT school, coalesce(sum(known) FILTER (period < (SELECT min(period) FROM periods)), 0) AS known
        FROM tally GROUP BY school
    )
    SELECT period, school, coalesce(signups, 0),
        before.known + coalesce(sum(tally.known) OVER (PARTITION BY school ORDER BY period), 0)
    FROM periods CROSS JOIN before LEFT JOIN tally USING (period, school)
    ORDER BY period, school
    """


INSIGHT = Insight(
    "signups",
    "How many users sign up at each school, and how many have until then.",
    "A sign-up is a user's first signed_up, at the school of the user. Every period has a row for each school that "
    "has a sign-up; cumulative counts those before --start, too.",
    lambda question: ("period", "school", "signups", "cumulative"),
    _query,
    {"by": "week"},
)
