"""Which indices are ours and dated, and their removal when they are old."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.search.templates import Template

_DATES = {"day": (r"([0-9]{4}\.[0-9]{2}\.[0-9]{2})", "%Y.%m.%d"), "month": (r"([0-9]{4}-[0-9]{2})", "%Y-%m")}
MIGRATED = re.compile(r"(?:migrated|reverted)-\d{4}-(.+)")
"""Names of the indices that `setup migrate` makes; what follows is the name that their alias has."""


@dataclass(frozen=True)
class DatedIndex:
    """An index of ours: `name` is its own, `logical` the dated one, and `last` the last UTC day that it is for."""

    name: str
    logical: str
    last: date


def last_day(template: Template, name: str) -> date | None:
    """The last UTC day that index `name` of `template` is for; None unless it is exactly such an index."""
    pattern, spelling = _DATES[template.dated]
    for prefix in template.patterns:
        found = re.fullmatch(re.escape(prefix.removesuffix("*")) + pattern, name)
        if found is None or not prefix.endswith("-*"):
            continue
        try:
            first = datetime.strptime(found[1], spelling).replace(tzinfo=UTC).date()
        except ValueError:
            return None  # 2026.02.30
        if template.dated == "day":
            return first
        return (first.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return None


def indices_of(client: SearchClient, template: Template, states: str = "open,closed") -> Iterator[tuple[str, str]]:
    """Indices of a template with what they are called by: their own name, or the alias that a migration left."""
    path = f"/_resolve/index/{paths.pattern(','.join(template.patterns))}"
    answer = client.request("GET", path, params={"expand_wildcards": states}, accept=(404,))
    if not answer.found:
        return
    for index in answer.body.get("indices", ()):
        if "data_stream" not in index:
            yield index["name"], index["name"]
    for alias in answer.body.get("aliases", ()):
        for name in _behind(alias):
            yield name, alias["name"]


def dated_indices(client: SearchClient, templates: Iterable[Template]) -> list[DatedIndex]:
    """Our dated indices, those behind a dated alias that a migration left included; never anybody else's."""
    found = set()
    for template in templates:
        if template.dated:
            for name, logical in indices_of(client, template):
                day = last_day(template, logical)
                if day is not None:
                    found.add(DatedIndex(name, logical, day))
    return sorted(found, key=lambda index: (index.last, index.name))


def _behind(alias: dict[str, Any]) -> list[str]:
    """The indices behind an alias that a migration made for exactly that alias."""
    indices: list[str] = alias["indices"] if isinstance(alias["indices"], list) else [alias["indices"]]
    return [name for name in indices if (made := MIGRATED.fullmatch(name)) and made[1] == alias["name"]]


def older_than(indices: Sequence[DatedIndex], days: int, now: datetime) -> list[DatedIndex]:
    """Those whose every moment lies more than `days` whole UTC days back."""
    first_kept = now.astimezone(UTC).date() - timedelta(days=days)
    return [index for index in indices if index.last < first_kept]


def remove(client: SearchClient, index: DatedIndex) -> None:
    """Delete it; one that is gone by now is no error."""
    client.request("DELETE", f"/{paths.name(index.name)}", accept=(404,))
