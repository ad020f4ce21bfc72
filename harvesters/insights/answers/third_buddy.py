"""Success: three buddies at once."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import CHOSEN, period, periods
from harvesters.insights.question import Question

_NOW = f"""
WITH {CHOSEN}, buddies AS (
    SELECT id, buddy FROM tie GROUP BY id, buddy HAVING sum(change) > 0
), counted AS (
    SELECT chosen.id, count(buddy) FILTER (other.deleted_day IS NULL) AS buddies
    FROM chosen LEFT JOIN buddies USING (id) LEFT JOIN person AS other ON other.id = buddy
    WHERE chosen.deleted_day IS NULL
    GROUP BY chosen.id
), level AS (
    FROM (VALUES ('0', 0, 0), ('1', 1, 1), ('2', 2, 2), ('3-5', 3, 5), ('6+', 6, 1000000000)) AS _(name, low, high)
)
SELECT name, count(id), count(id) / nullif((SELECT count(*) FROM counted), 0)
FROM level LEFT JOIN counted ON buddies BETWEEN low AND high
GROUP BY name, low
ORDER BY low
"""


def _query(question: Question) -> str:
    if question.now:
        return _NOW
    return f"""
    WITH {CHOSEN}, made AS (
        SELECT third.ms, third.day, greatest(0, third.ms - coalesce(signed_up_at, first_at)) AS took
        FROM third JOIN chosen USING (id)
    ), {periods(question.by, "SELECT min(day) FROM made WHERE ms >= $start")}, tally AS (
        SELECT {period(question.by)} AS period, count(*) FILTER (ms >= $start) AS users, count(*) AS known,
            median(took) FILTER (ms >= $start) / 86400000 AS median_days,
            avg(took) FILTER (ms >= $start) / 86400000 AS mean_days
        FROM made GROUP BY ALL
    )
    SELECT period, coalesce(users, 0),
        (SELECT count(*) FROM made WHERE {period(question.by)} < (SELECT min(period) FROM periods))
            + coalesce(sum(known) OVER (ORDER BY period), 0),
        median_days, mean_days
    FROM periods LEFT JOIN tally USING (period)
    ORDER BY period
    """


def _columns(question: Question) -> tuple[str, ...]:
    if question.now:
        return ("buddies", "users", "share")
    return ("period", "users", "cumulative", "median_days", "mean_days")


INSIGHT = Insight(
    "third-buddy",
    "How many users get their third buddy, and how long that takes; with --now, how many buddies users have.",
    "The first instant at which a user has three buddies at once, and the days until then from the sign-up, else from "
    "the first event. cumulative counts those before --start, too. --now: users who are not deleted, by how many "
    "buddies they have who are not deleted either.",
    _columns,
    _query,
    {"by": "month", "now": False},
)
