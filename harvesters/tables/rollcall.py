"""Who takes the courses that have episodes; under the pseudonyms of the user actions, where those have some."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harvesters.opencast.episodes import series_parts
from harvesters.outbound import Outbound
from harvesters.tables.banner import BannerClient
from harvesters.tables.selection import Selection

log = logging.getLogger(__name__)


@dataclass
class Rollcall:
    """The people of each series, as the registrar knows them."""

    selection: Selection
    banner: BannerClient
    outbound: Outbound = field(default_factory=Outbound)
    columns: tuple[str, ...] = ("series", "huid", "status", "first_name", "mi", "last_name", "reg_level")

    def rows(self) -> Iterator[dict[str, Any]]:
        """One for each series and person; a series whose id names no course is left out, with a warning."""
        for series in self.selection.series():
            parts = series_parts(series)
            if not parts:
                log.warning("series %s is left out: its id is no YYYYTTCCCCC, so it has no course", series)
                continue
            for person in self.banner.people(parts["year"] + parts["term"], parts["crn"]):
                told = self.outbound.fields({name: _text(person.get(name)) for name in self.columns[1:]})
                yield {"series": series, **told}


def _text(value: Any) -> str:
    """A field of a person; an empty one is ``{}`` or absent."""
    return "" if value is None or isinstance(value, dict | list) else str(value)
