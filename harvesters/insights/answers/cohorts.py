"""How regularly users come, month by month."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import CHOSEN, periods
from harvesters.insights.question import Question

_COHORTS = ("daily", "weekly", "monthly", "once", "inactive")
_NAMES = ", ".join(f"'{name}'" for name in (*_COHORTS, "new", "deleted"))

# The first month is preceded by one more, for the moves out of it.
_MEMBERS = """active AS (
    SELECT id, date_trunc('month', day)::DATE AS month, count(*) AS days
    FROM (SELECT DISTINCT creator AS id, day FROM event) JOIN chosen USING (id) GROUP BY ALL
), months AS (
    FROM periods UNION ALL SELECT (min(period) - INTERVAL 1 month)::DATE FROM periods HAVING count(*) > 0
), member AS (
    SELECT months.period AS month, chosen.id, coalesce(days, 0) AS a,
        last_day(months.period) - months.period + 1 AS n,
        CASE WHEN 7 * a >= 5 * n THEN 1 WHEN 7 * a > n THEN 2 WHEN a >= 2 THEN 3 WHEN a = 1 THEN 4 ELSE 5 END AS cohort
    FROM months JOIN chosen ON first_day <= last_day(months.period)
        AND (deleted_day IS NULL OR deleted_day >= months.period)
    LEFT JOIN active ON active.id = chosen.id AND active.month = months.period
)"""

_SIZES = """
SELECT period, list_extract([{names}], cohort), users,
    users / nullif(sum(users) OVER (PARTITION BY period), 0),
    CASE WHEN cohort < 5 THEN users / nullif(sum(users) FILTER (cohort < 5) OVER (PARTITION BY period), 0) END
FROM (
    SELECT period, each.cohort, count(id) AS users
    FROM periods CROSS JOIN (SELECT unnest(range(1, 6)) AS cohort) AS each
        LEFT JOIN member ON month = period AND member.cohort = each.cohort
    GROUP BY ALL
)
ORDER BY period, cohort
"""

_MOVES = """
SELECT period, CASE came WHEN 0 THEN 'new' ELSE list_extract([{names}], came) END,
    CASE went WHEN 6 THEN 'deleted' ELSE list_extract([{names}], went) END, count(*)
FROM (
    SELECT period, id, coalesce(max(cohort) FILTER (month < period), 0) AS came,
        coalesce(max(cohort) FILTER (month = period), 6) AS went
    FROM periods JOIN member ON month IN (period, (period - INTERVAL 1 month)::DATE)
    GROUP BY ALL
)
GROUP BY period, came, went
ORDER BY period, came, went
"""


def _query(question: Question) -> str:
    shown = (_MOVES if question.moves else _SIZES).format(names=_NAMES)
    return f"WITH {CHOSEN}, {periods('month', 'SELECT min(first_day) FROM chosen')}, {_MEMBERS}{shown}"


def _columns(question: Question) -> tuple[str, ...]:
    if question.moves:
        return ("month", "from", "to", "users")
    return ("month", "cohort", "users", "share", "share_of_active")


INSIGHT = Insight(
    "cohorts",
    "How many users come daily, weekly, a few times a month, once, or not at all; and who moves between these.",
    "Known in a month are the users whose first event is before its end and who are not deleted before it begins. "
    "With own events on a of the n days of the calendar month a user is daily (7a >= 5n), weekly (more than once a "
    "week, 7a > n), monthly (a few times a month, a >= 2), once (a = 1) or inactive; the first that fits. A month "
    "that --start cuts is counted whole. share is of all who are known, share_of_active of those without the "
    "inactive. --moves: from the cohort of the month before (new: not known then) to that of this month (deleted: "
    "known no more).",
    _columns,
    _query,
    {"moves": False},
)
