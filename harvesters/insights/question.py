"""What is asked: the filters that all answers have, and the options of some."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

PERIODS = ("day", "week", "month")
GROUPS = ("type", "school", "class")
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""What can be asked for lies between these; some answers have a row for each day."""


@dataclass(frozen=True)
class Question:
    """What an answer is to say.

    Attributes:
        start: milliseconds since 1970; cuts what is counted, never what is known. None: from the beginning.
        end: nothing at or after it is read; None: until the last event.
        school: the id of one; None: of all. So are `class_` and `student`.
        test_schools: ids of schools that are left out.
        by: how long a period is, one of `PERIODS`.
        group: one of `GROUPS`.
        within: days.
        weeks: that are looked at.
        limit: users that are shown.
        moves: from cohort to cohort, instead of their sizes.
        now: how it is, instead of how it came about.

    Raises:
        ValueError: `by` or `group` is none of these.
    """

    start: int | None = None
    end: int | None = None
    school: str | None = None
    class_: str | None = None
    student: str | None = None
    test_schools: tuple[str, ...] = ()
    by: str = ""
    group: str = "type"
    within: int | None = None
    weeks: int = 12
    limit: int = 20
    moves: bool = False
    now: bool = False

    def __post_init__(self) -> None:
        if self.by not in ("", *PERIODS) or self.group not in GROUPS:  # they become SQL
            raise ValueError(f"{self.by!r} is no period, or {self.group!r} no group")

    @property
    def filtered(self) -> bool:
        """Whether only some are asked for."""
        return (self.school, self.class_, self.student) != (None, None, None)
