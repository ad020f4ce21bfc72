"""Events of each day, for a calendar."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import COUNTED, periods

_QUERY = f"""
WITH {COUNTED}, {periods("day", "SELECT min(day) FROM counted")}, tally AS (
    SELECT day AS period, count(*) AS events FROM counted GROUP BY day
), mark AS (SELECT unnest(quantile_cont(events, [0.25, 0.5, 0.75])) AS mark FROM tally)
SELECT period, isodow(period), coalesce(events, 0),
    CASE WHEN events IS NULL THEN 0 ELSE 1 + (SELECT count(*) FROM mark WHERE events > mark) END
FROM periods LEFT JOIN tally USING (period)
ORDER BY period
"""

INSIGHT = Insight(
    "heatmap",
    "How much happens on each day: of all, a school, a class or a student.",
    "Events of each day; weekday 1 is Monday. level is 0 for a day without events, else 1 and one more for each of "
    "the 25th, 50th and 75th percentile (over the days with events) that the day is above.",
    lambda question: ("date", "weekday", "events", "level"),
    lambda question: _QUERY,
)
