"""``messages apps_usage``: which applications each user enabled, and whether they took part in the survey."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from harvesters.messages.exports.dumps import Entry
from harvesters.messages.exports.files import whole_files
from harvesters.messages.exports.people import People, Row, yes_or_no
from harvesters.messages.exports.sheet import Sheet, bounded
from harvesters.messages.platform import Platform
from harvesters.messages.windows import Bounds

COLUMNS = ("email", "registered to survey", "completed survey", "chatbot", "ilog")


@dataclass(frozen=True)
class Usage:
    """What is asked: the applications, and whom the survey knows (`completed`: updates and failures)."""

    apps: Sequence[str]
    ilog: str
    survey: str
    completed: Sequence[Entry]
    bounds: Bounds | None

    def users(self, platform: Platform) -> list[str]:
        """Everybody who enabled an application, or whom the survey knows, within the bounds."""
        within = self.bounds or (None, None)
        found: dict[str, None] = {}
        for app in (*self.apps, self.ilog, self.survey):
            found |= dict.fromkeys(platform.users(app, *within))
        return list(found | dict.fromkeys(user for user, moment in self.completed if _holds(self.bounds, moment)))


def write(
    path: Path,
    usage: Usage,
    zone: tzinfo,
    platform: Platform,
    show: Callable[[float, str], None] = lambda part, text: None,
) -> int:
    """Write the file; returns how many users there are."""
    with whole_files([path]) as (stream,):
        names = {app: str(platform.app(app).get("name") or app) for app in usage.apps}
        enabled = {app: set(platform.users(app)) for app in dict.fromkeys((*usage.apps, usage.ilog, usage.survey))}
        completed = {user for user, _ in usage.completed}
        users = usage.users(platform)

        def row(user: str, profile: Row) -> tuple[Any, str, str, str, str]:
            registered = user in completed or user in enabled[usage.survey]
            chatbots = ";".join(names[app] for app in usage.apps if user in enabled[app])
            known = registered, user in completed, user in enabled[usage.ilog]
            survey, done, ilog = map(yes_or_no, known)
            return profile.get("email"), survey, done, chatbots, ilog

        people = People(platform, users, lambda part: show(part, "profiles"))
        rows = sorted((row(user, profile) for user, profile in people), key=lambda row: row[3], reverse=True)
        sheet = Sheet(path, stream, zone)
        sheet.head([*bounded(usage.bounds), ("total users", len(users))], COLUMNS)
        sheet.rows(rows)
        return len(users)


def listed(text: str) -> list[str]:
    """Ids with semicolons between, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))


def _holds(bounds: Bounds | None, moment: datetime) -> bool:
    return bounds is None or ((bounds.start is None or moment >= bounds.start) and moment < bounds.end)
