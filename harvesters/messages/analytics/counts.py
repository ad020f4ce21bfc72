"""Counts and segments of messages: one for each project, userId and messageId, however often it is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import groupby, islice

from harvesters.messages.analytics.reading import Chosen, Messages

Segments = Mapping[str, int]

_MESSAGE = ("userId", "messageId")
_BATCH = 20_000  # values that are looked for in earlier messages at once
_FALLBACK = "default"  # the intent of a bot that has understood nothing


def count(messages: Messages, chosen: Chosen, dimension: str, metric: str) -> int:
    """One number."""
    return _COUNTS[dimension, metric](messages, chosen)


def segments(messages: Messages, chosen: Chosen, metric: str) -> Segments:
    """Messages by type; or requests by the type of their content."""
    if metric == "requests":
        return _by(messages, chosen.alike(type="request"), "content.type")
    return _by(messages, chosen, "type")


def _messages(messages: Messages, chosen: Chosen) -> int:
    return sum(1 for _ in messages.distinct(chosen, _MESSAGE, optional=_MESSAGE))


def _by(messages: Messages, chosen: Chosen, name: str) -> Segments:
    return Counter(key[0] for key in messages.distinct(chosen, (name, *_MESSAGE), optional=_MESSAGE))


def _new(messages: Messages, chosen: Chosen, name: str) -> int:
    """Values that there were none of before the window."""
    values = (key[0] for key in messages.distinct(chosen, [name]))
    if chosen.start is None:
        return sum(1 for _ in values)
    found = 0
    while some := [*islice(values, _BATCH)]:
        found += len(some) - len(messages.earlier(chosen, name, some))
    return found


def _with_one_message(messages: Messages, chosen: Chosen) -> int:
    """Users who have exactly one message."""
    keys = messages.distinct(chosen, _MESSAGE, optional=("messageId",))
    return sum(1 for _, theirs in groupby(keys, lambda key: key[0]) if sum(1 for _ in theirs) == 1)


_COUNTS: dict[tuple[str, str], Callable[[Messages, Chosen], int]] = {
    ("user", "total"): lambda messages, chosen: messages.count(chosen, "userId"),
    ("user", "active"): lambda messages, chosen: messages.count(chosen.alike(type="request"), "userId"),
    ("user", "engaged"): lambda messages, chosen: messages.count(chosen.alike(type="notification"), "userId"),
    ("user", "new"): lambda messages, chosen: _new(messages, chosen, "userId"),
    ("message", "requests"): lambda messages, chosen: _messages(messages, chosen.alike(type="request")),
    ("message", "responses"): lambda messages, chosen: _messages(messages, chosen.alike(type="response")),
    ("message", "notifications"): lambda messages, chosen: _messages(messages, chosen.alike(type="notification")),
    ("conversation", "total"): lambda messages, chosen: messages.count(chosen, "conversationId"),
    ("conversation", "new"): lambda messages, chosen: _new(messages, chosen, "conversationId"),
    ("dialogue", "fallback"): lambda messages, chosen: _messages(messages, chosen.alike(intent__name=_FALLBACK)),
    ("dialogue", "intents"): lambda messages, chosen: messages.count(chosen, "intent.name"),
    ("dialogue", "domains"): lambda messages, chosen: messages.count(chosen, "domain"),
    ("bot", "response"): _with_one_message,
}
