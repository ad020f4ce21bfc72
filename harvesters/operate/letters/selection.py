"""Which letters are meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from harvesters.operate.letters.letter import Letter


@dataclass(frozen=True)
class Selection:
    """What all that is given holds for; nothing given is every letter.

    Args:
        names: short names.
        reason: a part of it.
        since, until: ``[since, until)``.
        all: every letter, said explicitly.
    """

    names: frozenset[str] = frozenset()
    job: str = ""
    kind: str = ""
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None
    all: bool = False

    @property
    def given(self) -> bool:
        """Whether anything says which letters are meant."""
        return self != Selection()

    @property
    def whole(self) -> bool:
        """Whether every letter is meant, and so what is no letter as well."""
        return self in (Selection(), Selection(all=True))

    def takes(self, letter: Letter) -> bool:
        """Whether `letter` is meant."""
        return (
            (not self.names or letter.name in self.names)
            and (not self.job or letter.job == self.job)
            and (not self.kind or letter.fields["kind"] == self.kind)
            and self.reason in letter.reason
            and (self.since is None or letter.time >= self.since)
            and (self.until is None or letter.time < self.until)
        )
