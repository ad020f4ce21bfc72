"""Documents of messages as searches find them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from harvesters import exact
from harvesters.elastic.answers import WHOLE, Answer, read_json
from harvesters.elastic.bulk import Version
from harvesters.elastic.client import SearchClient
from harvesters.errors import Unavailable
from harvesters.messages import stored

MOST = 10_000
"""Hits that one search gives at most (``index.max_result_window``)."""

_NOTHING = msgspec.Raw()


class Raw(msgspec.Struct):
    """A hit, its document as the bytes that the cluster keeps."""

    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")
    sort: list[Any] = msgspec.field(default_factory=list)
    source: msgspec.Raw = msgspec.field(name="_source", default=_NOTHING)
    seq_no: int = msgspec.field(name="_seq_no", default=0)
    primary_term: int = msgspec.field(name="_primary_term", default=0)

    @property
    def version(self) -> Version:
        """The version that was found."""
        return Version(self.seq_no, self.primary_term)

    @property
    def fields(self) -> dict[str, Any]:
        """What was posted."""
        return stored.original(bytes(self.source))


class _Hits(msgspec.Struct):
    hits: list[Raw]


class Found(msgspec.Struct):
    """What a search answers."""

    hits: _Hits
    pit_id: str = ""


_READER = msgspec.json.Decoder(Found)


def search(client: SearchClient, path: str, body: Mapping[str, Any]) -> tuple[list[Raw], str]:
    """The hits of one search, of all shards, and the id of the point in time if it was asked in one.

    Raises:
        HarvestError: as `SearchClient.request` says.
    """

    def attempt() -> Found:
        answer = client.attempt("POST", path, body, params=WHOLE, unread=True)
        return _read(answer)

    found = client.retry.call(attempt, client.name, Unavailable)
    return found.hits.hits, found.pit_id


def _read(answer: Answer) -> Found:
    """The hits.

    Raises:
        Transient: the answer was cut off.
    """
    try:
        return _READER.decode(answer.raw)
    except msgspec.DecodeError:  # half of a surrogate pair
        said = read_json(answer.raw, exactly=True)
        hits = [
            Raw(
                hit["_index"],
                hit["_id"],
                hit.get("sort", []),
                msgspec.Raw(exact.dumps(hit["_source"])) if "_source" in hit else _NOTHING,
                hit.get("_seq_no", 0),
                hit.get("_primary_term", 0),
            )
            for hit in said["hits"]["hits"]
        ]
        return Found(_Hits(hits), said.get("pit_id", ""))


@dataclass(frozen=True)
class Hit:
    """A message that was found.

    Attributes:
        fields: as it was posted.
        id: its trace id.
        index: where it is.
    """

    fields: dict[str, Any]
    id: str
    index: str

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """The message of a hit."""
        return cls(raw.fields, raw.id, raw.index)


def chunks(things: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """`things`, so many at a time."""
    for start in range(0, len(things), size):
        yield things[start : start + size]
