"""Ids of messages, as texts; and the trace id, which is made of them."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

LONGEST = 512
"""Characters of an id."""


def text_of(value: Any) -> str | None:
    """The id that `value` is, as a text: 5 and "5" are the same. None for what is no id."""
    if isinstance(value, str):  # a number as it was spelled, too
        text = str(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        text = orjson.dumps(value).decode()  # as the cluster reads it in a document
    else:
        return None
    return text if 0 < len(text) <= LONGEST and is_text(text) else None


def is_text(text: str) -> bool:
    """Whether it holds no half of a surrogate pair, which nobody could ask for."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def trace_id(project: str, user: str, message: str) -> str:
    """The id under which the message is stored. No two triples share one: each part tells where it ends."""
    one, two, three = project.encode(), user.encode(), message.encode()
    return hashlib.sha256(b"%d:%b%d:%b%d:%b" % (len(one), one, len(two), two, len(three), three)).hexdigest()
