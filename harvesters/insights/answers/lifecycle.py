"""What happens to a user, and when."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import CHOSEN
from harvesters.insights.question import Question

_MILESTONES = (
    "account_created",
    "signed_up",
    "added_class",
    "buddy_request",
    "buddied_up",
    "third_buddy",
    "chat_message",
    "private_message",
    "created_group",
    "last_event",
    "delete_account",
)
_OWN = ", ".join(
    f"'{name}'" for name in _MILESTONES if name not in ("buddy_request", "buddied_up", "third_buddy", "last_event")
)
_NAMES = ", ".join(f"'{name}'" for name in _MILESTONES)

_REACHED = f"""
WITH {CHOSEN}, born AS (SELECT id, first_at, last_at FROM chosen WHERE first_at >= $start), reached AS (
    SELECT type AS milestone, creator AS id, ms FROM event WHERE type IN ({_OWN}) AND creator IS NOT NULL
    UNION ALL SELECT 'buddy_request', id, ms FROM part
    UNION ALL SELECT 'buddied_up', id, ms FROM tie WHERE change = 1
    UNION ALL SELECT 'third_buddy', id, ms FROM third
    UNION ALL SELECT 'last_event', id, last_at FROM born
), first AS (
    SELECT milestone, id, min(ms) AS ms, min(ms) - any_value(first_at) AS took
    FROM reached JOIN born USING (id) GROUP BY milestone, id
), milestone AS (SELECT unnest([{_NAMES}]) AS milestone, unnest(range(1, {len(_MILESTONES) + 1})) AS number)
"""
_OF_ALL = """
SELECT milestone, count(id), count(id) / nullif((SELECT count(*) FROM born), 0), median(took) / 86400000,
    quantile_cont(took, 0.25) / 86400000, quantile_cont(took, 0.75) / 86400000
FROM milestone LEFT JOIN first USING (milestone)
GROUP BY milestone, number
ORDER BY number
"""
_OF_ONE = """
SELECT milestone, epoch_ms(ms), took / 86400000 FROM milestone LEFT JOIN first USING (milestone) ORDER BY number
"""


def _columns(question: Question) -> tuple[str, ...]:
    if question.student is not None:
        return ("milestone", "at", "days")
    return ("milestone", "users", "share", "median_days", "p25_days", "p75_days")


INSIGHT = Insight(
    "lifecycle",
    "What an average student does first, and after how many days; with --student, what this one did.",
    "Of the users whose first event lies in the window, which is day 0: how many come to each milestone, and after "
    "how many days. Milestones are the first own event of a type, the first buddy request in which the user takes "
    "part, the first time that the user becomes somebody's buddy, the first time with three buddies at once, and the "
    "last event. That successful users did something earlier does not prove that it made them successful.",
    _columns,
    lambda question: _REACHED + (_OF_ONE if question.student is not None else _OF_ALL),
)
