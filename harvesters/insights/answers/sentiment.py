"""How the messages of classes sound."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.clauses import COUNTED, period
from harvesters.insights.question import Question


def _query(question: Question) -> str:
    return f"""
    WITH {COUNTED}
    SELECT {period(question.by)} AS period, class, count(polarity), avg(polarity),
        avg(subjectivity) FILTER (polarity IS NOT NULL), count(*) FILTER (polarity > 0),
        count(*) FILTER (polarity = 0), count(*) FILTER (polarity < 0), count(*) FILTER (polarity IS NULL)
    FROM counted WHERE type = 'chat_message'
    GROUP BY ALL
    ORDER BY 1, 2
    """


INSIGHT = Insight(
    "sentiment",
    "How the chat messages of each class sound.",
    "Chat messages that have a score, from `firebase … --sentiment` or from --score: the means of their polarity "
    "(-100 bad to 100 good) and subjectivity (0 to 100), and how many are above, at and below 0. unscored are not "
    "among the messages. The scores know English only.",
    lambda question: (
        "period",
        "class",
        "messages",
        "mean_polarity",
        "mean_subjectivity",
        "positive",
        "neutral",
        "negative",
        "unscored",
    ),
    _query,
    {"by": "week", "score": False},
)
