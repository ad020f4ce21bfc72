"""What is known of users: names, genders, cohorts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from harvesters.messages.platform import Platform

Row = dict[str, Any]

log = logging.getLogger(__name__)

GENDERS = {"M": "male", "F": "female", "O": "other", "non-binary": "non_binary", "not-say": "not_say"}
COHORTS = {"0": "badges", "1": "incentives and badges"}
_NAMED = 5  # ids in a warning


class People:
    """The profiles of `users`, one after the other; a warning at the end names those that are gone.

    Args:
        show: takes the part of them that has come.
    """

    def __init__(self, platform: Platform, users: Sequence[str], show: Callable[[float], None]) -> None:
        self._platform = platform
        self._users = users
        self._show = show

    def __iter__(self) -> Iterator[tuple[str, Row]]:
        """Each with the profile, which is empty where it is gone."""
        gone = []
        nameless = 0
        for count, (user, profile) in enumerate(zip(self._users, self._profiles(), strict=True), 1):
            if profile is None:
                gone.append(user)
            elif not profile.get("email"):
                nameless += 1
            yield user, profile or {}
            self._show(count / len(self._users))
        if gone:
            more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
            log.warning(
                "%d profiles are gone: of %s%s. Their rows lack what only those know.",
                *(len(gone), ", ".join(gone[:_NAMED]), more),
            )
        if nameless:
            log.warning("%d profiles have no e-mail address", nameless)

    def _profiles(self) -> Iterable[Row | None]:
        return self._platform.profiles(self._users)


def name_of(profile: Row, part: str) -> Any:
    """`first` or `last` name; None where nobody says."""
    name = profile.get("name")
    return name.get(part) if isinstance(name, dict) else None


def gender_of(profile: Row) -> str | None:
    """The gender in words."""
    return GENDERS.get(str(profile.get("gender")))


def cohorts_of(entries: Iterable[Row], app: str) -> dict[str, str]:
    """The cohort of each user in an application, in words; of several entries the latest."""
    ours = sorted((entry for entry in entries if str(entry.get("app_id")) == app), key=_age)
    return {str(entry.get("user_id")): COHORTS.get(str(entry.get("cohort")), "") for entry in ours}


def _age(entry: Row) -> tuple[float, str]:
    """By when it was made: seconds of the epoch, or a text that sorts as times do."""
    made = entry.get("created_at")
    return (made, "") if isinstance(made, int | float) else (0.0, str(made))


def yes_or_no(value: bool) -> str:
    """As the tables say it."""
    return "yes" if value else "no"
