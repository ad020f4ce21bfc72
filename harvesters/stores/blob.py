"""The contract that checkpoint and lease stand on: one small object, written only by whoever read it last.

`s3.py` and `file.py` fulfil it, and `tests/conformance/` runs the same tests over both.
"""

from __future__ import annotations

from dataclasses import dataclass
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
