"""Which index a document goes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

from harvesters.document import Document
from harvesters.errors import ConfigError
from harvesters.firebase.documents import EPOCH
from harvesters.search.templates import Template

PREFIX = "buddyup"
"""What the names in the template files begin with."""

PERIODS = ("day", "month", "year", "none")
_FORMATS = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
UNDATED = "undated"
"""Ends the name of the index of events that do not say when they happened."""


@dataclass(frozen=True)
class Indices:
    """Names of indices and of the aliases that they stand behind.

    Args:
        prefix: what all begin with (``FIREBASE_INDEX_PREFIX``).
        period: how long an index of events is (``FIREBASE_INDEX_PERIOD``), in UTC.

    Raises:
        ConfigError: Elasticsearch does not take such names.
    """

    prefix: str = "buddyup"
    period: str = "month"

    def __post_init__(self) -> None:
        bad = set(self.prefix) & set('\\/*?"<>| ,#:')
        if bad or self.prefix != self.prefix.lower() or self.prefix[:1] in "-_+.":
            raise ConfigError(
                f"FIREBASE_INDEX_PREFIX={self.prefix!r} cannot begin the name of an index: use lower-case letters, "
                "digits, - and _, and begin with a letter or a digit"
            )

    @property
    def events(self) -> str:
        """The alias of all indices of events."""
        return f"{self.prefix}events"

    @property
    def profiles(self) -> str:
        """The index of profiles."""
        return f"{self.prefix}profiles"

    @property
    def classes(self) -> str:
        """The index of classes."""
        return f"{self.prefix}classes"

    def of_event(self, document: Document) -> str:
        """The index of an event: by when it happened."""
        if self.period == "none":
            return f"{self.events}-all"
        if document.timestamp == EPOCH:
            return f"{self.events}-{UNDATED}"
        return f"{self.events}-{_dated(_FORMATS[self.period], document.timestamp.date())}"

    def over(self, now: datetime) -> Callable[[Document], str]:
        """For an event the index that it goes to, if the period of that is over `now`; "" if not."""
        if self.period == "none":
            return lambda document: ""
        current = _dated(_FORMATS[self.period], now.astimezone(UTC).date())

        def name(document: Document) -> str:
            if document.timestamp == EPOCH or _dated(_FORMATS[self.period], document.timestamp.date()) >= current:
                return ""
            return self.of_event(document)

        return name


@lru_cache(maxsize=1024)
def _dated(spelling: str, day: date) -> str:
    return day.strftime(spelling)


def with_prefix(found: Iterable[Template], prefix: str) -> list[Template]:
    """Templates, those of Firebase for indices whose names begin with `prefix` (``FIREBASE_INDEX_PREFIX``).

    Raises:
        ConfigError: no index may be called so.
    """
    prefix = Indices(prefix).prefix
    return [
        each.renamed(f"{prefix}{each.name.removeprefix(PREFIX)}") if each.name.startswith(PREFIX) else each
        for each in found
    ]
