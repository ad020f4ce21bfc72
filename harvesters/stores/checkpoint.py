"""How far a live harvest got: one plain text, ``YYYYMMDDHHmmssZ``, that a person can read, write and delete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from harvesters.errors import ConfigError, RaceLost
from harvesters.stores.blob import Blob, Conflict
from harvesters.timespan import format_checkpoint, parse_checkpoint


@dataclass
class Checkpoint:
    """The checkpoint in `blob`; a value without ``Z``, as older installations wrote it, is read in `zone`."""

    blob: Blob
    zone: tzinfo

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return self.blob.name

    def load(self) -> tuple[datetime | None, str | None]:
        """The value (UTC) and the tag to commit against; both None when there is no checkpoint yet.

        Raises:
            ConfigError: the object holds something else; it is left as it is.
        """
        version = self.blob.read()
        if version is None:
            return None, None
        try:
            return parse_checkpoint(version.content.decode(), self.zone), version.etag
        except (ValueError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the checkpoint {self.name} cannot be read: {error}. It was left as it is; correct it, or delete it "
                "and harvest what was missed with --start/--end."
            ) from error

    def commit(self, value: datetime, etag: str | None) -> str:
        """Store the second that holds `value`, if the checkpoint is still the version tagged `etag`; the new tag.

        Raises:
            RaceLost: somebody else moved, made or deleted it.
        """
        try:
            return self.blob.write(format_checkpoint(value).encode(), etag)
        except Conflict as error:
            raise RaceLost(f"another run moved the checkpoint {self.name} while this one worked") from error
