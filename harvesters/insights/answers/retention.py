"""Who comes back, week after week."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import CHOSEN, period

_QUERY = f"""
WITH {CHOSEN}, signup AS (
    SELECT id, {period("week", "signed_up_day")} AS cohort FROM chosen WHERE signed_up_at >= $start
), week AS (
    SELECT cohort, count(*) AS size, unnest(range(0, $weeks::BIGINT + 1)) AS week FROM signup GROUP BY cohort
), active AS (
    SELECT DISTINCT creator AS id, {period("week")} AS begins FROM event WHERE creator IN (SELECT id FROM signup)
), came AS (
    SELECT cohort, (begins - cohort) // 7 AS week, count(*) AS users
    FROM signup JOIN active USING (id) GROUP BY ALL
)
SELECT cohort, size, week, coalesce(users, 0), coalesce(users, 0) / size, (cohort + 7 * (week + 1)::INTEGER) <= $today
FROM week LEFT JOIN came USING (cohort, week)
WHERE cohort + 7 * week::INTEGER <= $last
ORDER BY cohort, week
"""

INSIGHT = Insight(
    "retention",
    "How many of those who signed up in one week come back in the weeks after it.",
    "The cohort is the Monday of the week of the sign-up. users are those of the cohort who have an own event in the "
    "calendar week so many weeks later. A week that is not over is not complete, one that has not begun has no row.",
    lambda question: ("cohort", "size", "week", "users", "share", "complete"),
    lambda question: _QUERY,
    {"weeks": 12},
)
