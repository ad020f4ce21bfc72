"""What the platform counts: tasks and their transactions, and the people who use an application."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from harvesters.messages.platform import Platform
from harvesters.messages.windows import Bounds

UNAVAILABLE = "unavailable"

Row = Mapping[str, Any]

_AGES = ((18, "0-18"), (25, "19-25"), (35, "26-35"), (45, "36-45"), (55, "46-55"))  # up to so many years
_OLDER = "55+"
_GENDERS = {
    "M": "male",
    "F": "female",
    "non-binary": "non-binary",
    "O": "in-another-way",
    "not-say": "prefer-not-to-say",
}


def tasks(platform: Platform, app: str, window: Bounds, metric: str) -> int:
    """Tasks of an application, by when they were created and closed."""
    counted = _TASKS[metric]
    end = window.end if metric != "closed" else None  # which says nothing of when they were created
    return sum(counted(_Task(task, window)) for task in platform.tasks(app, end=end))


def transactions(platform: Platform, app: str, window: Bounds, task: str | None = None) -> int:
    """Transactions that were made in the window."""
    return len(platform.transactions(app, window.start, window.end, task))


def labels(platform: Platform, app: str, window: Bounds, task: str | None = None) -> Mapping[str, int]:
    """Those, by what they are called."""
    found = platform.transactions(app, window.start, window.end, task)
    return Counter(label for done in found if isinstance(label := done.get("label"), str))


def ages(platform: Platform, app: str, window: Bounds, today: date) -> Mapping[str, int]:
    """People by the years that they have lived, as of today."""
    return _people(platform, app, window, [*(name for _, name in _AGES), _OLDER], lambda row: age_group(row, today))


def genders(platform: Platform, app: str, window: Bounds) -> Mapping[str, int]:
    """People by gender."""
    return _people(platform, app, window, [*_GENDERS.values()], gender)


def age_group(profile: Row, today: date) -> str:
    """The age group of who has this profile."""
    born = profile.get("dateOfBirth")
    try:
        day = date(*(born[part] for part in ("year", "month", "day"))) if isinstance(born, Mapping) else None
    except (KeyError, TypeError, ValueError, OverflowError):  # a part is missing, or there is no such day
        day = None
    if day is None or day > today:
        return UNAVAILABLE
    years = today.year - day.year - ((today.month, today.day) < (day.month, day.day))
    return next((name for most, name in _AGES if years <= most), _OLDER)


def gender(profile: Row) -> str:
    """The gender of who has this profile."""
    said = profile.get("gender")
    return _GENDERS.get(said, UNAVAILABLE) if isinstance(said, str) else UNAVAILABLE


def _people(
    platform: Platform, app: str, window: Bounds, groups: list[str], group: Callable[[Row], str]
) -> Mapping[str, int]:
    """How many are in each group; whose profile is gone is in the last."""
    counts = Counter(
        group(profile) if profile is not None else UNAVAILABLE
        for profile in platform.profiles(platform.users(app, window.start, window.end))
    )
    return {name: counts[name] for name in (*groups, UNAVAILABLE)}


class _Task:
    """When a task was created (C) and closed (X), as seen from a window."""

    def __init__(self, task: Row, window: Bounds) -> None:
        created, closed = _moment(task.get("_creationTs")), _moment(task.get("closeTs"))
        self.created = created is not None and created < window.end
        self.created_within = self.created and (window.start is None or _is_since(created, window.start))
        self.closed = closed is not None and closed < window.end
        self.closed_before = closed is not None and window.start is not None and closed < window.start


_TASKS: Mapping[str, Callable[[_Task], bool]] = {
    "total": lambda task: task.created and not task.closed_before,
    "new": lambda task: task.created_within,
    "new_active": lambda task: task.created_within and not task.closed,
    "active": lambda task: task.created and not task.closed,
    "new_closed": lambda task: task.created_within and task.closed,
    "closed": lambda task: task.closed,
}


def _is_since(moment: datetime | None, start: datetime) -> bool:
    return moment is not None and moment >= start


def _moment(seconds: Any) -> datetime | None:
    """A time of the platform, which is seconds of the epoch."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
