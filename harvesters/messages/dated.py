"""What the names of indices of messages, analytics and logs say: those of today, and those of older versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Self

from harvesters.elastic.client import SearchClient
from harvesters.search import retention, templates
from harvesters.search.retention import DatedIndex, Left
from harvesters.search.templates import Template

KINDS = ("messages", "analytics", "logging")
"""The templates of these indices. They have no date in the sense of the others: no retention covers them unasked."""

_NAME = re.compile(
    r"(?P<kind>message|analytic|logging)(?:-(?P<project>.+))?-"
    r"(?:(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})|(?P<history>history))(?:-2)*"
)


@dataclass(frozen=True)
class Named:
    """An index by its name: of a `day`, without one the ``history``; older versions had one for each `project`.

    One that ends with ``-2`` stands beside one of an older form until that is migrated (`forms.py`).
    """

    kind: str
    project: str
    day: date | None

    @classmethod
    def read(cls, name: str) -> Self | None:
        """What `name` says; None for one that we do not give, and older versions did not."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        project = found["project"] or ""
        allowed = {"message": True, "analytic": not project, "logging": bool(project) and not found["history"]}
        try:
            day = None if found["history"] else date(int(found["year"]), int(found["month"]), int(found["day"]))
        except ValueError:  # such as 2021-02-30
            return None
        return cls(found["kind"], project, day) if allowed[found["kind"]] else None

    @property
    def today(self) -> str:
        """What it is called today."""
        return f"{self.kind}-{self.day.isoformat() if self.day else 'history'}"


def ours() -> list[Template]:
    """The templates of messages, analytics and logs."""
    return [template for template in templates.read() if template.name in KINDS]


def dated_indices(client: SearchClient) -> list[DatedIndex]:
    """Indices of messages, analytics and logs whose names hold a day as ours do, or those of older versions."""
    found = {
        DatedIndex(name, logical, named.day)
        for name, logical in _indices(client)
        if (named := Named.read(logical)) is not None and named.day is not None
    }
    return sorted(found, key=lambda index: (index.last, index.name))


def left_alone(client: SearchClient) -> list[Left]:
    """Those with a date in their names, however spelled, that `dated_indices` does not have."""
    why = "its name is not exactly message-YYYY-MM-DD, analytic-YYYY-MM-DD or logging-PROJECT-YYYY-MM-DD"
    found = {
        Left(logical, min(dates), why)
        for _, logical in _indices(client)
        if (dates := list(retention.dates_in(logical))) and Named.read(logical) is None
    }
    return sorted(found, key=lambda left: (left.oldest, left.name))


def _indices(client: SearchClient) -> Iterator[tuple[str, str]]:
    for template in ours():
        yield from retention.indices_of(client, template)
