"""What indices of messages, analytics and logs are called, and which of them are asked."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from functools import lru_cache

MESSAGES = "message-*"
"""Every index of messages, older ones included."""
ANALYTICS = "analytic-*"
LOGS = "logging-*"

_LONGEST = 200  # bytes of a project in the name of an index, which may have 255
_REFUSED = re.compile(r'[\\/*?"<>|\s,#:]|[\x00-\x1f]')


@lru_cache(1000)
def messages_of(day: date) -> str:
    """The index of the messages of a day, which is the date of their timestamps as written."""
    return f"message-{day.isoformat()}"


def analytics_of(day: date) -> str:
    """The index of the analytics that were made on a day of UTC."""
    return f"analytic-{day.isoformat()}"


def logs_of(project: str, day: date) -> str:
    """The index of a project's logs of a day.

    A project that no index may be named after is made to fit, and keeps apart from others by a digest.
    """
    name = _REFUSED.sub("_", project.lower())
    if name != project.lower() or len(name.encode()) > _LONGEST:
        digest = hashlib.sha256(project.lower().encode()).hexdigest()[:16]
        name = f"{name.encode()[: _LONGEST - 17].decode(errors='ignore')}_{digest}"
    return f"logging-{name}-{day.isoformat()}"
