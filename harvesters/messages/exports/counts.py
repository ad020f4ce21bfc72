"""The analytics file: what was counted, in the order and with the names that 2.3.0 gave it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harvesters.messages import moments
from harvesters.messages.ids import text_of

Row = dict[str, Any]

METRICS = (
    ("total users", "Users who sent or got at least one message"),
    ("active users", "Users who sent at least one message"),
    ("engaged users", "Users who got at least one notification"),
    ("new users", "Users whose first message is of this period"),
    ("total messages", "Messages of all kinds"),
    ("messages from users", "Messages that users sent (requests)"),
    ("user textual messages", "Requests that are texts"),
    ("user action messages", "Requests that are actions, such as a button that was pressed"),
    ("messages from bot", "Messages by which the bot answered (responses)"),
    ("messages from wenet", "Messages that the platform had the bot send (notifications)"),
    ("questions", "Tasks that were created"),
    ("question reports", "Times that a question was reported"),
    ("can't help", "Times that somebody would not answer a question"),
    ("answers", "Answers that were given"),
    ("answer reports", "Times that an answer was reported"),
    ("approved answers", "Answers that were chosen as the best"),
    ("ask more people", "Times that more people were asked"),
)
"""Names and descriptions of the rows."""

_LABELS = {
    "reportQuestionTransaction": "question reports",
    "notAnswerTransaction": "can't help",
    "answerTransaction": "answers",
    "reportAnswerTransaction": "answer reports",
    "bestAnswerTransaction": "approved answers",
    "moreAnswerTransaction": "ask more people",
}
_KINDS = {
    "request": "messages from users",
    "response": "messages from bot",
    "notification": "messages from wenet",
}
_CONTENTS = {"text": "user textual messages", "action": "user action messages"}


def of_segments(all_messages: Mapping[str, int], requests: Mapping[str, int]) -> dict[str, int]:
    """The rows on messages, of how many there are of each type, and requests of each type of content."""
    found = {row: all_messages.get(kind, 0) for kind, row in _KINDS.items()}
    found |= {row: requests.get(kind, 0) for kind, row in _CONTENTS.items()}
    return found | {"total messages": sum(all_messages.values())}


def of_transactions(transactions: Iterable[Row]) -> dict[str, int]:
    """The rows on transactions, by their labels."""
    labels = Counter(str(one.get("label")) for one in transactions)
    return {row: labels[label] for label, row in _LABELS.items()}


def rows(counted: Mapping[str, int]) -> Iterator[tuple[str, int, str]]:
    """The lines below the columns."""
    for name, description in METRICS:
        yield name, counted[name], description


@dataclass
class Tally:
    """What is counted of messages while they are read: so a file of counts agrees with the file of messages."""

    kinds: Counter[str] = field(default_factory=Counter)
    contents: Counter[str] = field(default_factory=Counter)
    activity: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)

    def add(self, message: Row) -> None:
        """One more message."""
        kind = str(message.get("type"))
        self.kinds[kind] += 1
        if kind == "request":
            content = message.get("content")
            self.contents[str(content.get("type") if isinstance(content, dict) else None)] += 1
            self._active(text_of(message.get("userId")) or "", moment_of(message))

    def _active(self, user: str, moment: datetime | None) -> None:
        if moment is not None:
            first, last = self.activity.get(user, (moment, moment))
            self.activity[user] = min(first, moment), max(last, moment)


def moment_of(message: Row) -> datetime | None:
    """When a message was sent; None where older indices hold what is no time."""
    try:
        return moments.aware(moments.parse(message["timestamp"]))
    except (KeyError, TypeError, ValueError):
        return None
