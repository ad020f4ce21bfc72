"""The contract that checkpoint and lease stand on: one small object, written only by whoever read it last.

`s3.py` and `file.py` fulfil it, and `tests/conformance/` runs the same tests over both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Conflict(Exception):
    """Somebody else wrote (or created, or deleted) the object since it was read."""


@dataclass(frozen=True)
class Version:
    """The content of a blob, and the tag that a conditional write has to name."""

    content: bytes
    etag: str


class Blob(Protocol):
    """One named object with compare-and-swap."""

    @property
    def name(self) -> str:
        """Where it is, for people: ``s3://bucket/key`` or a path."""

    @property
    def place(self) -> str:
        """Where it is, seen from everywhere: no object of another machine has the same."""
        return self.name

    @property
    def doubtful(self) -> bool:
        """Whether there are stores of this kind that ignore conditions, so that it has to be asked."""
        return False

    def now(self) -> datetime | None:
        """What time it is by the store's own clock, the one that all who use it share; None when it does not tell.

        Raises:
            Unavailable, CredentialsRefused, ConfigError: as for `read`.
        """
        return None

    def read(self) -> Version | None:
        """The current version; None when there is none.

        Raises:
            Unavailable, CredentialsRefused, ConfigError: the store does not answer, or not to us.
        """

    def write(self, content: bytes, etag: str | None) -> str:
        """Replace the version tagged `etag` (None: create it) and return the new tag. Durable when it returns.

        Raises:
            Conflict: the object is no longer that version; nothing was written.
            Unavailable, CredentialsRefused, ConfigError: as for `read`.
        """


def no_conditions(name: str) -> str:
    """What to say of a store that two runs could trample each other on."""
    return (
        f"{name}: this store does not honour conditional writes (If-None-Match, If-Match), without which two runs "
        "overwrite one another's checkpoint. Use one that does, or leave S3_HARVEST_TS_BUCKET empty."
    )
