"""The contract of a place of dead letters; `tests/conformance/` runs the same tests over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harvesters.operate.letters.letter import Letter
from harvesters.stores.blob import Blob

AT_ONCE = 1000
"""Letters of one portion at most, beside what an S3 object holds."""


class Portion(Protocol):
    """Some letters that are changed together."""

    @property
    def letters(self) -> Sequence[Letter]:
        """The letters, oldest first."""

    @property
    def strange(self) -> Sequence[str]:
        """Where something stands that is no letter: torn, or somebody else's. It stays."""

    def settle(self, changes: Mapping[Letter, bytes | None]) -> None:
        """Remove letters (None), or put others in their place. What is not named stays, and so does what came since.

        Killed in its middle each letter is there as it was or as it is to be.

        Raises:
            HarvestError: the place does not answer, or not to us.
        """

    def pass_by(self) -> None:
        """What it holds is changed no more, and must not hide what comes behind it.

        Raises:
            HarvestError: as for `settle`.
        """


class Box(Protocol):
    """A place of dead letters. Nothing is made by looking: no directory, bucket or queue."""

    @property
    def name(self) -> str:
        """Where it is, for people."""

    @property
    def lease(self) -> Blob | None:
        """Where it is said who changes letters here; None where the place can hold no such thing."""

    def count(self) -> int:
        """How many letters there are, as far as the place says without giving them away.

        Raises:
            HarvestError: it does not answer, or not to us.
        """

    def hidden(self) -> int:
        """How many letters, about, `portions` did not give because others are in front of them.

        Raises:
            HarvestError: as for `count`.
        """

    def portions(self) -> Iterator[Portion]:
        """All that is there now, the oldest first where the place can tell.

        Raises:
            HarvestError: as for `count`.
        """

    def close(self) -> None:
        """Let go of what was looked at."""


@dataclass
class Found:
    """What bytes hold, line by line."""

    letters: list[Letter] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    def pass_by(self) -> None:
        """It hides nothing."""
