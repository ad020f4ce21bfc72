"""Which indices are ours and dated, and their removal when they are old."""

from __future__ import annotations

import calendar
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused, is_block, reason
from harvesters.search.templates import Template

_DATES = {"day": (r"([0-9]{4}\.[0-9]{2}\.[0-9]{2})", "%Y.%m.%d"), "month": (r"([0-9]{4}-[0-9]{2})", "%Y-%m")}
_ANY_DATE = re.compile(r"(?<![0-9])([0-9]{4})[.-]([0-9]{2})(?:[.-]([0-9]{2}))?(?![0-9])")
_WITH_STACKS = "useractions"  # one Opencast installation of several may be a "stack" in the names of its indices
MIGRATED = re.compile(r"(?:migrated|reverted)-\d{4}-(.+)")
"""Names of the indices that `setup migrate` makes; what follows is the name that their alias has."""


@dataclass(frozen=True)
class DatedIndex:
    """An index of ours: `name` is its own, `logical` the dated one, and `last` the last UTC day that it is for."""

    name: str
    logical: str
    last: date


def last_day(template: Template, name: str, stacks: Collection[str] = ()) -> date | None:
    """The last UTC day that index `name` of `template` is for; None unless it is exactly such an index.

    Args:
        stacks: whose ``useractions-STACK-YYYY.MM.DD`` are ours too.
    """
    pattern, _ = _DATES[template.dated]
    named = [""] if template.name != _WITH_STACKS else ["", *(f"{stack}-" for stack in stacks if stack)]
    for prefix in template.patterns:
        if not prefix.endswith("-*"):
            continue
        for stack in named:
            found = re.fullmatch(re.escape(prefix.removesuffix("*") + stack) + pattern, name)
            if found is not None:
                return _day_of(template, found[1])
    return None


def _day_of(template: Template, text: str) -> date | None:
    try:
        first = datetime.strptime(text, _DATES[template.dated][1]).replace(tzinfo=UTC).date()
    except ValueError:
        return None  # 2026.02.30
    return first if template.dated == "day" else _end_of_month(first)


def _end_of_month(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


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


def dated_indices(
    client: SearchClient, templates: Iterable[Template], stacks: Collection[str] = ()
) -> list[DatedIndex]:
    """Our dated indices, those behind a dated alias that a migration left included; never anybody else's."""
    found = set()
    for template in templates:
        if template.dated:
            for name, logical in indices_of(client, template):
                day = last_day(template, logical, stacks)
                if day is not None:
                    found.add(DatedIndex(name, logical, day))
    return sorted(found, key=lambda index: (index.last, index.name))


@dataclass(frozen=True)
class Left:
    """An index of our kinds that is not ours to remove although its name holds a date: the `oldest`, and why not."""

    name: str
    oldest: date
    why: str


def left_alone(client: SearchClient, templates: Iterable[Template], stacks: Collection[str] = ()) -> list[Left]:
    """The indices of our kinds with a date in their names, however spelled, that `dated_indices` does not have."""
    found = set()
    for template in templates:
        if template.dated:
            for _, logical in indices_of(client, template):
                dates = list(dates_in(logical))
                if dates and last_day(template, logical, stacks) is None:
                    found.add(Left(logical, min(dates), _why(template, logical)))
    return sorted(found, key=lambda left: (left.oldest, left.name))


def dates_in(name: str) -> Iterator[date]:
    """The days that a name holds, of a month the last one."""
    for year, month, day in _ANY_DATE.findall(name):
        try:
            yield date(int(year), int(month), int(day)) if day else _end_of_month(date(int(year), int(month), 1))
        except ValueError:
            continue


def _why(template: Template, name: str) -> str:
    for prefix in template.patterns if template.name == _WITH_STACKS else ():
        found = re.fullmatch(rf"{re.escape(prefix.removesuffix('*'))}(.+)-{_DATES[template.dated][0]}", name)
        if found is not None:
            return f"the stack {found[1]!r} is not named in HARVEST_STACKS"
    form = "YYYY.MM.DD" if template.dated == "day" else "YYYY-MM"
    return f"its name is not exactly {template.patterns[0].removesuffix('*')}{form}"


def _behind(alias: dict[str, Any]) -> list[str]:
    """The indices behind an alias that a migration made for exactly that alias."""
    indices: list[str] = alias["indices"] if isinstance(alias["indices"], list) else [alias["indices"]]
    return [name for name in indices if (made := MIGRATED.fullmatch(name)) and made[1] == alias["name"]]


def first_kept(days: int, now: datetime) -> date:
    """The first UTC day that is kept by who keeps `days` whole ones before today."""
    try:
        return now.astimezone(UTC).date() - timedelta(days=days)
    except OverflowError:  # before the calendar begins
        return date.min


def older_than(indices: Sequence[DatedIndex], days: int, now: datetime) -> list[DatedIndex]:
    """Those whose every moment lies more than `days` whole UTC days back."""
    return [index for index in indices if index.last < first_kept(days, now)]


def remove(client: SearchClient, index: DatedIndex) -> str:
    """Delete it, or what a migration has put in its place meanwhile; returns why it stays, "" where it is gone.

    One that somebody else has removed is no error.
    """
    path = f"/{paths.name(index.name)}"
    try:
        answer = client.request("DELETE", path, accept=(403, 404))
    except Refused as error:
        behind = _in_its_place(client, index)
        return remove(client, behind) if behind is not None else error.reason
    if answer.status != 403:
        return ""
    if not is_block(answer.body):
        client.request("DELETE", path)  # raises what the refusal means
    return reason(answer.body)


def _in_its_place(client: SearchClient, index: DatedIndex) -> DatedIndex | None:
    """The index that a migration has given the name of `index` since."""
    found = client.request("GET", f"/{paths.name(index.logical)}/_settings", accept=(404,))
    for name in found.body if found.found else ():
        made = MIGRATED.fullmatch(name)
        if made is not None and made[1] == index.logical and name != index.name:
            return replace(index, name=name)
    return None
