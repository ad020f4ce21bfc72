"""The Dublin Core of an episode that only the index of episodes keeps: its people, subjects, room and planned times."""

from __future__ import annotations

import re
from typing import Any

from harvesters.opencast.episodes import instant, is_rounded, plain
from harvesters.opencast.jettison import as_dict, as_list

_LISTS = ("creator", "contributor", "publisher", "subject")
_TEXTS = ("license", "language", "spatial")
_PERIOD = re.compile(r"(?:^|;)\s*(start|end)\s*=\s*([^;]+)")  # of "start=…; end=…; scheme=W3C-DTF;"


def metadata(result: dict[str, Any]) -> dict[str, Any]:
    """What a search result of either shape says beyond `to_episode`: only the fields that it has."""
    fields: dict[str, Any] = {name: _values(result, name) for name in _LISTS}
    fields |= {name: next(iter(_values(result, name)), None) for name in _TEXTS}
    found = _PERIOD.findall(next(iter(_values(result, "temporal")), ""))
    period = {name: value.strip() for name, value in found}
    fields |= {"start_planned": instant(period.get("start")), "end_planned": instant(period.get("end"))}
    return {name: value for name, value in fields.items() if value}


def _values(result: dict[str, Any], name: str) -> list[str]:
    """Of the first place that has some: ``dc`` (from Opencast 16 on), the media package, ``dcName`` (up to 15).

    The media package tells of every creator, where ``dcCreator`` is a single one.
    """
    package = as_dict(result.get("mediapackage"))
    several = as_dict(package.get(f"{name}s")).get(name)
    rounded = is_rounded(result)
    for values, mangled in (
        (as_dict(result.get("dc")).get(name), False),
        (several or package.get(name), rounded),
        (result.get(f"dc{name.capitalize()}"), False),
    ):
        texts = [found for value in as_list(values) if (found := plain(value, mangled))]
        if texts:
            return texts
    return []
