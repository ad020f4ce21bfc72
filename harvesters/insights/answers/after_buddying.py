"""What two people do once they are buddies, and what users did before their first buddy."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import CHOSEN, period, periods
from harvesters.insights.question import Question


def _query(question: Question) -> str:
    first = "SELECT min(day) FROM (SELECT day FROM became UNION ALL SELECT day FROM first_timer)"
    return f"""
    WITH {CHOSEN}, became AS (
        SELECT key, ms, day, a, b FROM pairing
        WHERE change = 1 AND ms >= $start AND ms + $within::BIGINT <= $as_of::BIGINT
            AND (NOT $filtered OR a IN (SELECT id FROM chosen) OR b IN (SELECT id FROM chosen))
    ), message AS (
        SELECT least(one, other) AS a, greatest(one, other) AS b, ms FROM event
        WHERE type = 'private_message' AND one <> other
    ), wrote AS (
        SELECT became.key, became.day, min(message.ms) - became.ms AS took
        FROM became LEFT JOIN message ON message.a = became.a AND message.b = became.b
            AND message.ms >= became.ms AND message.ms < became.ms + $within::BIGINT
        GROUP BY became.key, became.day, became.ms
    ), pair AS (
        SELECT {period(question.by)} AS period, count(*) AS pairs, count(took) AS private_chat,
            median(took) / 3600000 AS median_hours
        FROM wrote GROUP BY ALL
    ), first_timer AS (
        SELECT id, min(ms) AS ms, arg_min(day, ms) AS day FROM tie JOIN chosen USING (id)
        WHERE change = 1 GROUP BY id HAVING min(ms) >= $start
    ), saw AS (
        SELECT id, first_timer.day, count(DISTINCT other) AS profiles
        FROM first_timer LEFT JOIN event ON creator = id AND type = 'page_view' AND other <> id
            AND event.ms < first_timer.ms
        GROUP BY id, first_timer.day
    ), newcomer AS (
        SELECT {period(question.by)} AS period, count(*) AS first_timers, median(profiles) AS median_profiles,
            avg(profiles) AS mean_profiles
        FROM saw GROUP BY ALL
    ), {periods(question.by, first)}
    SELECT period, coalesce(pairs, 0), coalesce(private_chat, 0), private_chat / pairs, median_hours,
        coalesce(first_timers, 0), median_profiles, mean_profiles
    FROM periods LEFT JOIN pair USING (period) LEFT JOIN newcomer USING (period)
    ORDER BY period
    """


INSIGHT = Insight(
    "after-buddying",
    "Whether new buddies write to each other in private, and how many profiles users saw before their first buddy.",
    "pairs are those that become buddies in the period and whose --within days are over; private_chat is how many of "
    "them have a private_message of one to the other in these days, median_hours the time to the first. first_timers "
    "are the users who become anybody's buddy for the first time; their profiles are the different other people whose "
    "profile they saw before that. What comes before or after buddying up need not be its cause or its effect.",
    lambda question: (
        "period",
        "pairs",
        "private_chat",
        "share",
        "median_hours",
        "first_timers",
        "median_profiles",
        "mean_profiles",
    ),
    _query,
    {"within": 1, "by": "month"},
)
