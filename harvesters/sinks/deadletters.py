"""Where documents go that can never be delivered: with their raw row and the reason, never to /dev/null."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from harvesters.clock import Clock
from harvesters.document import Document
from harvesters.errors import ConfigError, SinkUnavailable, TooManyDead
from harvesters.retry import RetryPolicy
from harvesters.sinks.jsonl import JsonLinesFile
from harvesters.timespan import iso

log = logging.getLogger(__name__)

_COMMITTED = "The checkpoint stays at the last committed batch; raise the budget, or mend the source, and run again."


@dataclass(frozen=True)
class DeadLetter:
    """One row that could not become a delivered document: `id` where it has one, the raw `row`, and why."""

    kind: str
    id: str
    reason: str
    row: Any


class DeadLetters(Protocol):
    """Keeps dead letters; what `write` returned from is kept for good."""

    @property
    def name(self) -> str:
        """Where they are, for people."""

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Keep them.

        Raises:
            SinkUnavailable, ConfigError, CredentialsRefused: they cannot be kept, so the run must not go on.
        """


@dataclass
class DirectoryDeadLetters:
    """JSON lines in a directory, one file a kind and UTC day, readable by their owner only."""

    directory: Path
    clock: Clock

    @property
    def name(self) -> str:
        """The directory."""
        return str(self.directory)

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Append and sync."""
        for kind in sorted({letter.kind for letter in letters}):
            path = self.directory / f"{kind}-{self.clock.now():%Y-%m-%d}.jsonl"
            lines = [encode(letter, self.clock) for letter in letters if letter.kind == kind]
            try:
                JsonLinesFile(path, mode=0o600).append(lines)
            except OSError as error:
                raise ConfigError(
                    f"dead letters cannot be written to {path}: {error.strerror}. Set HARVEST_DEAD_LETTERS or "
                    "HARVEST_STATE_DIR to a place that can be written."
                ) from error


@dataclass
class S3DeadLetters:
    """JSON lines in S3: one object for each time that letters are written."""

    bucket: str
    prefix: str
    retry: RetryPolicy

    @property
    def name(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Put them as one new object."""
        from harvesters import aws
        from harvesters.stores.s3 import S3Bucket

        now = self.retry.clock.now()
        folder = f"{self.prefix.strip('/')}/" if self.prefix.strip("/") else ""
        key = f"{folder}{letters[0].kind}-{now:%Y-%m-%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}.jsonl"
        content = b"".join(encode(letter, self.retry.clock) + b"\n" for letter in letters)
        bucket = S3Bucket(self.bucket, self.retry)
        aws.call(self.retry, self.name, lambda: bucket.put(key, content), SinkUnavailable)


@dataclass
class SqsDeadLetters:
    """One message a letter in an SQS queue; what the queue refuses goes to the directory instead."""

    queue: str
    retry: RetryPolicy
    instead: DirectoryDeadLetters

    @property
    def name(self) -> str:
        """``sqs://queue``."""
        return f"sqs://{self.queue}"

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Send them in batches."""
        from harvesters.sinks.sqs import SqsSink

        documents = {}
        for letter in letters:
            document = Document(letter.id, letter.kind, self.retry.clock.now(), {})
            document.encoded = encode(letter, self.retry.clock)  # it may hold what no document's body can
            documents[document] = letter
        sink = SqsSink(self.queue, self.retry)
        try:
            refused = [documents[outcome.document] for outcome in sink.send(list(documents)) if not outcome.delivered]
        finally:
            sink.close()
        if refused:
            log.warning("%s does not take %d dead letters; they are in %s", self.name, len(refused), self.instead.name)
            self.instead.write(refused)


def encode(letter: DeadLetter, clock: Clock) -> bytes:
    """One JSON object: time, kind, id, reason, row. What is no JSON in the row is written as its representation."""
    import json

    fields = {
        "time": iso(clock.now()),
        "kind": letter.kind,
        "id": letter.id,
        "reason": letter.reason,
        "row": letter.row,
    }
    # Python's own writer escapes everything beyond ASCII, and so takes rows that orjson refuses.
    try:
        return json.dumps(fields, default=repr, allow_nan=False).encode()
    except (ValueError, TypeError):
        return json.dumps({**fields, "row": repr(letter.row)}).encode()


def open_dead_letters(target: str, state_dir: Path, retry: RetryPolicy) -> DeadLetters:
    """The place that ``HARVEST_DEAD_LETTERS`` names: a directory, ``s3://bucket/prefix`` or ``sqs://queue``.

    Raises:
        ConfigError: it is none of these.
    """
    directory = DirectoryDeadLetters(state_dir / "dead-letters", retry.clock)
    if not target:
        return directory
    parts = urlsplit(target)
    if parts.scheme == "s3" and parts.netloc:
        return S3DeadLetters(parts.netloc, parts.path.strip("/"), retry)
    if parts.scheme == "sqs" and parts.netloc and not parts.path.strip("/"):
        return SqsDeadLetters(parts.netloc, retry, directory)
    if parts.scheme in ("", "file"):
        return DirectoryDeadLetters(Path(parts.path or target).expanduser(), retry.clock)
    raise ConfigError(f"HARVEST_DEAD_LETTERS={target!r} is no directory, s3://bucket/prefix or sqs://queue")


@dataclass
class ErrorBudget:
    """How many rows of a run may die: `share` of its rows, but at least `least`."""

    share: float
    least: int
    dead: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def spend(self, letters: Sequence[DeadLetter]) -> None:
        """Count dead letters."""
        self.dead += len(letters)
        for letter in letters:
            self.reasons[letter.reason] = self.reasons.get(letter.reason, 0) + 1

    def check(self, rows: int, where: str, then: str = _COMMITTED) -> None:
        """Raise `TooManyDead` if more died than a run of `rows` rows may lose.

        Args:
            where: says where they are.
            then: what became of the rest, and what to do.
        """
        allowed = max(self.least, int(self.share * rows))
        if self.dead <= allowed:
            return
        worst = max(self.reasons, key=lambda reason: self.reasons[reason])
        raise TooManyDead(
            f"{self.dead} rows went to the dead letters, more than the {allowed} that HARVEST_ERROR_BUDGET allows. "
            f"They are in {where} with their reasons (most often: {worst}). {then}"
        )
