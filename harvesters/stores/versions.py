"""Which versions of a document a FIFO queue was sent lately.

SQS drops a second message with one deduplication id for five minutes, also when another version of the document came
between: the text A, then B, then A again would end as B. So the id holds the version's digest, and a number from the
second time on that the document goes back to that digest. (The first version of what should not change goes without.)
A version that is sent again unchanged keeps its id, and is dropped.

The memory is Redis, which hosts share, and a file on this host, which outlives a Redis that was emptied; it is written
before the message is sent, so that a kill between the two costs nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson

from harvesters import canonical, files
from harvesters.clock import Clock
from harvesters.errors import ConfigError, Unavailable
from harvesters.stores.cache import Cache

log = logging.getLogger(__name__)

KEPT = 600.0  # seconds; twice of what SQS remembers, for clocks that differ
_MOST = 100_000  # documents: some 20 MB
_SLACK = 20_000  # lines that the file may have too many


class _Sent(NamedTuple):
    digest: str
    number: int  # 1 for the first time; 0 without a tag
    at: int  # epoch seconds

    @property
    def tag(self) -> str:
        return self.digest if self.number == 1 else f"{self.digest}.{self.number}" if self.number else ""


class DocumentVersion(NamedTuple):
    """A document that is about to be sent; `plain`: there should be no other version of it."""

    id: str
    digest: str
    plain: bool


@dataclass
class Versions:
    """What one queue was sent within the last `KEPT` seconds.

    Args:
        queue: which one, such as its URL.
        clock: says how old something is.
        cache: None, or what hosts share; of no use when it ends with this process.
        path: None, or the file of this host.
    """

    queue: str
    clock: Clock
    cache: Cache | None = None
    path: Path | None = None
    _sent: dict[str, list[_Sent]] | None = None
    _lines: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tags(self, versions: Sequence[DocumentVersion]) -> list[str]:
        """What makes the deduplication id of each its own, in the order in which they will be sent."""
        now = int(self.clock.now().timestamp())
        with self._lock:
            sent = self._load(now)
            self._adopt(sent, {version.id for version in versions}, now)
            fresh: list[tuple[str, _Sent]] = []
            tags = []
            for id, digest, plain in versions:
                earlier = _young(sent.pop(id, ()), now)
                if not earlier or earlier[-1].digest != digest:
                    times = [one.number for one in earlier if one.digest == digest]
                    number = 0 if plain and not earlier else max(times, default=0) + 1
                    earlier.append(_Sent(digest, number, now))
                    fresh.append((id, earlier[-1]))
                sent[id] = earlier  # at the end: what was sent last is forgotten last
                tags.append(earlier[-1].tag)
            if fresh:
                self._share({id: sent[id] for id, _ in fresh})
                self._keep(fresh, now)
            return tags

    def _adopt(self, sent: dict[str, list[_Sent]], ids: set[str], now: int) -> None:
        """Take over what another host has sent."""
        if self.cache is None or self.cache.volatile:
            return
        names = {self._key(id): id for id in ids}
        for key, content in self.cache.get(names).items():
            shared = _young(_read(content), now)
            mine = sent.get(names[key], [])
            if shared and (not mine or shared[-1].at >= mine[-1].at):
                sent[names[key]] = shared

    def _share(self, sent: dict[str, list[_Sent]]) -> None:
        if self.cache is not None and not self.cache.volatile:
            self.cache.put(
                {self._key(id): orjson.dumps([list(one) for one in versions]) for id, versions in sent.items()}, KEPT
            )

    def _key(self, id: str) -> str:
        name = canonical.digest(self.queue.encode()).hex()
        return f"harvest:fifo:{name}:{id.encode('ascii', 'backslashreplace').decode()}"

    def _load(self, now: int) -> dict[str, list[_Sent]]:
        if self._sent is None:
            self._sent = {}
            for line in self._read_file():
                try:
                    id, digest, number, at = orjson.loads(line)
                    self._sent.setdefault(id, []).append(_Sent(digest, number, at))
                except (ValueError, TypeError):
                    continue  # torn by a kill
                self._lines += 1
            self._forget(now)
        elif len(self._sent) > _MOST + _SLACK:
            self._forget(now)
        return self._sent

    def _forget(self, now: int) -> None:
        assert self._sent is not None
        young = {id: kept for id, versions in self._sent.items() if (kept := _young(versions, now))}
        for id in list(young)[: max(0, len(young) - _MOST)]:
            del young[id]
        self._sent.clear()
        self._sent.update(young)

    def _read_file(self) -> Iterable[bytes]:
        try:
            return self.path.read_bytes().splitlines() if self.path is not None else ()
        except FileNotFoundError:
            return ()
        except OSError as error:
            self._give_up(error)
            return ()

    def _keep(self, fresh: Sequence[tuple[str, _Sent]], now: int) -> None:
        """Append to the file, or write it anew once most of it is old."""
        if self.path is None:
            return
        try:
            with files.locked(self.path, 0o600) as handle:
                if self._lines > len(self._sent or ()) + _SLACK:
                    self._forget(now)
                    files.replace(
                        self.path, _lines((id, one) for id, sent in (self._sent or {}).items() for one in sent)
                    )
                    self._lines = len(self._sent or ())
                else:
                    # A torn line of a killed run stays its own.
                    torn = os.fstat(handle).st_size > 0 and os.pread(handle, 1, os.fstat(handle).st_size - 1) != b"\n"
                    files.write_all(handle, b"\n" * torn + _lines(fresh))
                    self._lines += len(fresh)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        assert self.path is not None
        meaning = files.refusal(error, self.path, "", unavailable=Unavailable)
        if not isinstance(meaning, ConfigError):
            raise meaning from error
        log.warning("%sEdits back to an earlier text within five minutes may be lost when Redis is, too.", meaning)
        self.path = None


def _young(versions: Iterable[_Sent], now: int) -> list[_Sent]:
    return [one for one in versions if one.at > now - KEPT]


def _read(content: bytes) -> list[_Sent]:
    try:
        return [_Sent(*one) for one in orjson.loads(content)]
    except (ValueError, TypeError):
        return []


def _lines(versions: Iterable[tuple[str, _Sent]]) -> bytes:
    return b"".join(orjson.dumps([id, *one]) + b"\n" for id, one in versions)
