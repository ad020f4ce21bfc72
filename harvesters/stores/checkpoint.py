"""How far a live harvest got: one plain text that a person can read, write and delete.

Beside it stand whose it is, and while there is none yet where the first run began.
"""

from __future__ import annotations

from dataclasses import dataclass

from harvesters.cursor import Cursor, CursorKind
from harvesters.errors import ConfigError, RaceLost
from harvesters.stores.blob import Blob, Conflict


@dataclass
class Checkpoint:
    """The checkpoint in `blob`; `kind` reads what it says."""

    blob: Blob
    kind: CursorKind

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return self.blob.name

    def load(self) -> tuple[Cursor | None, str | None]:
        """The cursor and the tag to commit against; both None when there is no checkpoint yet.

        Raises:
            ConfigError: the object holds something else; it is left as it is.
        """
        version = self.blob.read()
        if version is None:
            return None, None
        try:
            return self.kind.decode(version.content.decode().strip()), version.etag
        except (ValueError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the checkpoint {self.name} cannot be read: {error}. It was left as it is; correct it, or "
                f"{self.kind.remedy}."
            ) from error

    def commit(self, cursor: Cursor, etag: str | None) -> str:
        """Store `cursor`, if the checkpoint is still the version tagged `etag`; the new tag.

        Raises:
            RaceLost: somebody else moved, made or deleted it.
        """
        try:
            return self.blob.write(cursor.encode().encode(), etag)
        except Conflict as error:
            raise RaceLost(f"another run moved the checkpoint {self.name} while this one worked") from error


@dataclass
class Beginning:
    """Where the first run began, in a blob beside the checkpoint: what it missed is made up for by later ones.

    Its second line names the output that began: that run may end before it is written down as the owner. It counts only
    while there is no checkpoint, and is emptied with the first one.
    """

    blob: Blob
    kind: CursorKind

    def stands(self) -> bool:
        """Whether one is written down, whatever it says."""
        version = self.blob.read()
        return version is not None and bool(version.content)

    def output(self) -> str:
        """The name of the output that began; "" when none did, or none was named."""
        version = self.blob.read()
        lines = version.content.decode("utf-8", "replace").splitlines() if version is not None else []
        return lines[1] if len(lines) > 1 else ""

    def load(self) -> Cursor | None:
        """The cursor; None when no first run has failed.

        Raises:
            ConfigError: the object holds something else; it is left as it is.
        """
        version = self.blob.read()
        if version is None or not version.content:
            return None
        try:
            return self.kind.decode(version.content.split(b"\n")[0].decode().strip())
        except (ValueError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.blob.name} cannot be read: {error}. It was left as it is; delete it.") from error

    def store(self, cursor: Cursor | None, output: str = "") -> None:
        """Write it down with the `output` that begins, or (None) that it counts no more; only who holds the lease may.

        Raises:
            RaceLost: somebody else wrote it in between.
        """
        version = self.blob.read()
        text = f"{cursor.encode()}\n{output}" if cursor is not None else ""
        try:
            self.blob.write(text.encode("utf-8", "surrogateescape"), version.etag if version is not None else None)
        except Conflict as error:
            raise RaceLost(f"another run wrote {self.blob.name} while this one worked") from error


@dataclass
class Owner:
    """The output that moved a checkpoint last, in a blob beside it: its kind and name (see `Sink.address`)."""

    blob: Blob

    def load(self) -> str:
        """The owner's address; "" when nobody has moved the checkpoint since owners are written down."""
        version = self.blob.read()
        return version.content.decode("utf-8", "replace").strip() if version is not None else ""

    def store(self, address: str) -> None:
        """Make this output the owner; only who holds the lease may.

        Raises:
            RaceLost: somebody else wrote it in between.
        """
        version = self.blob.read()
        try:
            self.blob.write(address.encode("utf-8", "surrogateescape"), version.etag if version is not None else None)
        except Conflict as error:
            raise RaceLost(f"another run wrote {self.blob.name} while this one worked") from error
