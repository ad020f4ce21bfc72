"""Where documents go that can never be delivered: with their raw row and the reason, never to /dev/null."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import urlsplit

from harvesters.clock import Clock
from harvesters.document import Document
from harvesters.errors import ConfigError, SinkUnavailable, TooManyDead
from harvesters.files import LinesFile, refusal
from harvesters.retry import RetryPolicy
from harvesters.sinks.written import Written
from harvesters.timespan import iso

if TYPE_CHECKING:
    from harvesters.stores.s3 import S3Bucket

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
    written: Written | None = None
    job: str = ""

    @property
    def name(self) -> str:
        """The directory."""
        return str(self.directory)

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Append and sync; a letter that stands in a file that is still there is not written again."""
        letters, note = _unwritten(self.written, letters, self._still_there)
        for kind in sorted({letter.kind for letter in letters}):
            file = f"{kind}-{self.clock.now():%Y-%m-%d}.jsonl"
            of_kind = [letter for letter in letters if letter.kind == kind]
            try:
                LinesFile(self.directory / file, mode=0o600).append(
                    [encode(letter, self.clock, self.job) for letter in of_kind]
                )
            except OSError as error:
                remedy = "Dead letters go there: set HARVEST_DEAD_LETTERS or HARVEST_STATE_DIR to a place that can be."
                raise refusal(error, self.directory / file, remedy) from error
            note(of_kind, self._place(file))

    def _place(self, file: str) -> str:
        """Where in the directory: the file, and how long it is now."""
        try:
            status = (self.directory / file).stat()
        except FileNotFoundError:  # a replay was quick
            return f"0 0 {file}"
        return f"{status.st_ino} {status.st_size} {file}"

    def _still_there(self, place: str) -> bool:
        """Whether the file is the one it was: nobody has removed, replaced or cut it since."""
        inode, _, rest = place.partition(" ")
        size, _, file = rest.partition(" ")
        try:
            status = (self.directory / file).stat()
        except OSError:
            return False
        return str(status.st_ino) == inode and size.isdigit() and status.st_size >= int(size)


@dataclass
class S3DeadLetters:
    """JSON lines in S3: one object for each time that letters are written."""

    bucket: str
    prefix: str
    retry: RetryPolicy
    written: Written | None = None
    job: str = ""

    @property
    def name(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Put those that are not there yet as one new object; what stood in one that was changed may be gone."""
        from harvesters.aws import client as aws
        from harvesters.stores.s3 import S3Bucket

        with closing(S3Bucket(self.bucket, self.retry)) as bucket:
            letters, note = _unwritten(self.written, letters, lru_cache(partial(_unchanged, bucket)))
        if not letters:
            return
        now = self.retry.clock.now()
        folder = f"{self.prefix.strip('/')}/" if self.prefix.strip("/") else ""
        key = f"{folder}{letters[0].kind}-{now:%Y-%m-%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}.jsonl"
        content = b"".join(encode(letter, self.retry.clock, self.job) + b"\n" for letter in letters)
        with closing(S3Bucket(self.bucket, self.retry)) as bucket:
            tag = aws.call(self.retry, self.name, lambda: bucket.put(key, content), SinkUnavailable)
        note(letters, f"{tag} {key}")


def _unchanged(bucket: S3Bucket, place: str) -> bool:
    """Whether the object is there as it was written."""
    tag, _, key = place.partition(" ")
    version = bucket.blob(key).read() if key else None
    return version is not None and version.etag == tag


@dataclass
class SqsDeadLetters:
    """One message a letter in an SQS queue; what the queue refuses goes to the directory instead."""

    queue: str
    retry: RetryPolicy
    instead: DirectoryDeadLetters
    written: Written | None = None
    job: str = ""

    @property
    def name(self) -> str:
        """``sqs://queue``."""
        return f"sqs://{self.queue}"

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Send those that were not sent yet, in batches."""
        from harvesters.sinks.sqs import SqsSink

        letters, note = _unwritten(self.written, letters)
        documents = {}
        for letter in letters:
            # A queue that is FIFO must not take one letter about a document for another.
            document = Document(letter.id, letter.kind, self.retry.clock.now(), {}, mutable=True)
            document.encoded = encode(letter, self.retry.clock, self.job)  # it may hold what no document's body can
            documents[document] = letter
        with closing(SqsSink(self.queue, self.retry)) as sink:
            outcomes = sink.send(list(documents))
        refused = [documents[outcome.document] for outcome in outcomes if not outcome.delivered]
        if refused:
            log.warning("%s does not take %d dead letters; they are in %s", self.name, len(refused), self.instead.name)
            self.instead.write(refused)
        note([letter for letter in letters if letter not in refused], self.name)


def _unwritten(
    written: Written | None, letters: Sequence[DeadLetter], there: Callable[[str], bool] = lambda place: True
) -> tuple[Sequence[DeadLetter], Callable[[Sequence[DeadLetter], str], None]]:
    """Those letters that are nowhere yet, and what notes where they were written; `there`: whether a place still is."""
    if written is None:
        return letters, lambda letters, place: None
    fresh = {written.key(*_parts(letter)): letter for letter in letters}
    fresh = {key: letter for key, letter in fresh.items() if not ((place := written.place(key)) and there(place))}

    def note(kept: Sequence[DeadLetter], place: str) -> None:
        written.add([written.key(*_parts(letter)) for letter in kept], place)

    return list(fresh.values()), note


def _parts(letter: DeadLetter) -> tuple[Any, ...]:
    return letter.kind, letter.id, letter.reason, letter.row


def encode(letter: DeadLetter, clock: Clock, job: str = "") -> bytes:
    """One JSON object: time, job, kind, id, reason, row. What is no JSON in the row is written as Python shows it."""
    import json

    fields = {
        "time": iso(clock.now()),
        "job": job,
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


@dataclass(frozen=True)
class Place:
    """Where ``HARVEST_DEAD_LETTERS`` says that letters go: below `prefix` in a bucket, to a queue, or to a directory.

    What a queue refuses goes to the directory.
    """

    directory: Path
    bucket: str = ""
    prefix: str = ""
    queue: str = ""

    @classmethod
    def of(cls, target: str, state_dir: Path) -> Self:
        """What the setting says.

        Raises:
            ConfigError: it is none of these.
        """
        own = state_dir / "dead-letters"
        parts = urlsplit(target)
        if not target:
            return cls(own)
        if parts.scheme == "s3" and parts.netloc:
            return cls(own, parts.netloc, parts.path.strip("/"))
        if parts.scheme == "sqs" and parts.netloc and not parts.path.strip("/"):
            return cls(own, queue=parts.netloc)
        if parts.scheme in ("", "file"):
            return cls(Path(parts.path or target).expanduser())
        raise ConfigError(f"HARVEST_DEAD_LETTERS={target!r} is no directory, s3://bucket/prefix or sqs://queue")


def memory(state_dir: Path) -> Path:
    """The file that says which letters were written."""
    return state_dir / "dead-letters.written"


def open_dead_letters(
    target: str, state_dir: Path, retry: RetryPolicy, job: str = "", telling: str = ""
) -> DeadLetters:
    """The place that ``HARVEST_DEAD_LETTERS`` names: a directory, ``s3://bucket/prefix`` or ``sqs://queue``.

    Args:
        job: whose letters they are. One job writes a letter once, however often its runs come by the row.
        telling: what tells two jobs of that name apart, such as their checkpoints.

    Raises:
        ConfigError: it is none of these.
    """

    def written(place: str) -> Written:
        return Written(memory(state_dir), (f"{job} {telling}", place))

    def in_directory(path: Path) -> DirectoryDeadLetters:
        return DirectoryDeadLetters(path, retry.clock, written(str(path.absolute())), job)

    place = Place.of(target, state_dir)
    if place.bucket:
        return S3DeadLetters(place.bucket, place.prefix, retry, written(target), job)
    if place.queue:
        return SqsDeadLetters(place.queue, retry, in_directory(place.directory), written(target), job)
    return in_directory(place.directory)


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
