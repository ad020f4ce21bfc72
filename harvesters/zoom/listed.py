"""A meeting as a list has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

from harvesters.timespan import day_window
from harvesters.zoom.values import moment


@dataclass
class ListedMeeting:
    """A meeting as it was listed: its row, what is known of its host, and the UTC day that listed it."""

    row: dict[str, Any]
    day: date
    host: dict[str, Any] = field(default_factory=dict)

    @property
    def uuid(self) -> str:
        """Its UUID; "" when the row has none."""
        value = self.row.get("uuid")
        return value if isinstance(value, str) else ""

    @property
    def key(self) -> str:
        """What tells it from others, within one list."""
        return self.uuid or repr(self.row)

    @cached_property
    def start(self) -> datetime | None:
        """When it began, as far as the row says so."""
        return _moment(self.row.get("start_time"))

    @cached_property
    def end(self) -> datetime | None:
        """When it ended, as far as the row says so."""
        return _moment(self.row.get("end_time"))

    @property
    def filed(self) -> datetime:
        """What decides the index: its end, or else the day that listed it."""
        return self.end or day_window(self.day, UTC).start


def _moment(value: Any) -> datetime | None:
    try:
        return moment(value)
    except ValueError:
        return None  # the meeting is kept, and its mapping says what is wrong
