"""``messages id_email``: ids of users and their e-mail addresses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path

from harvesters.messages.exports.files import whole_files
from harvesters.messages.exports.people import People
from harvesters.messages.exports.sheet import Sheet, bounded
from harvesters.messages.platform import Platform
from harvesters.messages.windows import Bounds

COLUMNS = ("id", "email")


def write(
    path: Path,
    app: str,
    bounds: Bounds | None,
    zone: tzinfo,
    platform: Platform,
    show: Callable[[float, str], None] = lambda part, text: None,
) -> int:
    """Write the file, of those who enabled `app` within the bounds; returns how many."""
    with whole_files([path]) as (stream,):
        sheet = Sheet(path, stream, zone)
        users = platform.users(app, *(bounds or (None, None)))
        sheet.head([("app id", app), *bounded(bounds), ("total users", len(users))], COLUMNS)
        for user, profile in People(platform, users, lambda part: show(part, "profiles")):
            sheet.row(user, profile.get("email"))
        return len(users)
