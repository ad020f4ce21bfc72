"""How far new users come on their way to the first buddy."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import CHOSEN
from harvesters.insights.question import Question

_STEPS = ("account_created", "signed_up", "added_class", "buddy_request", "buddied_up")

_QUERY = f"""
WITH {CHOSEN}, did AS (
    SELECT type AS step, creator AS id, ms FROM event WHERE type IN ('signed_up', 'added_class') AND creator IS NOT NULL
    UNION ALL SELECT 'buddy_request', id, ms FROM part
    UNION ALL SELECT 'buddied_up', unnest([a, b]), ms FROM pairing WHERE together
), step1 AS (
    SELECT id, min(ms) AS ms FROM chosen JOIN event ON creator = id WHERE type = 'account_created'
    GROUP BY id HAVING min(ms) >= $start
)
"""


def _query(question: Question) -> str:
    reached = [_QUERY]
    for number, step in enumerate(_STEPS[1:], 2):
        reached.append(f""", step{number} AS (
            SELECT id, min(did.ms) AS ms
            FROM step{number - 1} AS before JOIN step1 USING (id) JOIN did USING (id)
            WHERE step = '{step}' AND did.ms >= before.ms
                AND ($within::BIGINT IS NULL OR did.ms <= step1.ms + $within::BIGINT)
            GROUP BY id
        )""")
    lines = ["SELECT 1 AS step, count(*) AS users, NULL::DOUBLE AS hours FROM step1"]
    lines += [
        f"SELECT {number}, count(*), median(this.ms - before.ms) / 3600000 "
        f"FROM step{number} AS this JOIN step{number - 1} AS before USING (id)"
        for number in range(2, len(_STEPS) + 1)
    ]
    names = ", ".join(f"'{step}'" for step in _STEPS)
    return f"""
    {"".join(reached)}, tally AS ({" UNION ALL ".join(lines)})
    SELECT step, [{names}][step], users,
        users / nullif(first(users) OVER (ORDER BY step), 0),
        users / nullif(lag(users) OVER (ORDER BY step), 0),
        lag(users) OVER (ORDER BY step) - users,
        hours
    FROM tally ORDER BY step
    """


INSIGHT = Insight(
    "funnel",
    "How many new users sign up, add a class, ask for a buddy and get one, and where they stop.",
    "In go the users whose first account_created lies in the window. A step is reached at the earliest event of its "
    "kind from the step before it on: the user's own signed_up (the profile) and added_class, a buddy_request in "
    "which the user takes part, a buddied_up of a pair that the user is of; with --within at most so many days after "
    "step 1. of_first and of_previous are shares of the users of step 1 and of the step before, dropped is how many "
    "of those before did not come so far, median_hours the time from the step before. Who created a profile, but "
    "failed to add a class: 1 - of_previous of step 3.",
    lambda question: ("step", "event", "users", "of_first", "of_previous", "dropped", "median_hours"),
    _query,
    {"within": None},
)
