"""The most active users."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import COUNTED, period
from harvesters.insights.question import Question

_EVER = f"""
WITH {COUNTED}
SELECT row_number() OVER (ORDER BY events DESC, id), name, coalesce(school, ''), events, days, epoch_ms(first),
    epoch_ms(last)
FROM (
    SELECT creator AS id, count(*) AS events, count(DISTINCT day) AS days, min(ms) AS first, max(ms) AS last
    FROM counted WHERE creator IS NOT NULL GROUP BY creator
) JOIN named USING (id)
ORDER BY 1
LIMIT $limit
"""


def _query(question: Question) -> str:
    if not question.by:
        return _EVER
    return f"""
    WITH {COUNTED}, active AS (
        SELECT {period(question.by)} AS period, creator AS id, count(*) AS events,
            row_number() OVER (PARTITION BY period ORDER BY events DESC, id) AS rank
        FROM counted WHERE creator IS NOT NULL
        GROUP BY period, creator
        QUALIFY rank <= $limit
    )
    SELECT period, rank, name, events FROM active JOIN named USING (id) ORDER BY period, rank
    """


def _columns(question: Question) -> tuple[str, ...]:
    if question.by:
        return ("period", "rank", "user", "events")
    return ("rank", "user", "school", "events", "active_days", "first", "last")


INSIGHT = Insight(
    "most-active",
    "The users who did most; with --by, those of each period.",
    "Users by their events, more first, then by id. active_days are the different days with an own event.",
    _columns,
    _query,
    {"limit": 20, "by": ""},
)
