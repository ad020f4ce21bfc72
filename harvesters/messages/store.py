"""The messages in the cluster: stored, found, read in time order, deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harvesters.elastic import bulk, paths
from harvesters.elastic.answers import SEEN_AT_ONCE
from harvesters.elastic.client import SearchClient
from harvesters.errors import ProtocolError
from harvesters.messages import questions
from harvesters.messages.forms import Forms
from harvesters.messages.hits import MOST, Hit, search
from harvesters.messages.model import Message
from harvesters.messages.names import MESSAGES
from harvesters.messages.posting import Draft, Poster
from harvesters.messages.reading import Place, Reader, Selection

PAGE = 1000
"""Messages that are read at once."""

_ROUNDS = 10
_GONE = (404,)


@dataclass
class MessageStore:
    """The messages of a cluster; each call may also raise what `SearchClient.request` does.

    Args:
        forms: what is known of the indices; stores that share it ask once.
    """

    client: SearchClient
    forms: Forms = field(default_factory=Forms)

    def __post_init__(self) -> None:
        self.poster = Poster(self.forms)

    def post(self, messages: Sequence[Message]) -> list[str]:
        """Store messages, each in the place of the one with its ids; their trace ids.

        Raises:
            Invalid: one cannot be stored; nothing is.
            Rejected: the cluster refuses one; others may be stored.
        """
        drafts = [Draft.of(message) for message in messages]
        self.poster.post(self.client, drafts)
        return [draft.trace_id for draft in drafts]

    def between(
        self, project: str, start: datetime | None, end: datetime | None, words: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Every message of a project in ``[start, end)`` as it is now, in time order, ties fixed, each once.

        Args:
            words: what other fields are, such as ``type``.
        """
        selection = Selection.between({"project": project, **(words or {})}, start, end)
        for _, hit in Reader(self.client, self.forms).read(selection, PAGE, frozen=True):
            yield hit.fields

    def page(self, selection: Selection, size: int, after: Place | None = None) -> tuple[list[Hit], Place | None]:
        """The next messages behind `after`, and the place of the last if there are more."""
        found = Reader(self.client, self.forms).read(selection, min(size + 1, PAGE), after)
        hits: list[Hit] = []
        last: Place | None = None
        for place, hit in found:
            if len(hits) == size:
                return hits, last
            hits.append(hit)
            last = place
        return hits, None

    def find(self, *, trace: str | None = None, words: Mapping[str, str] | None = None) -> list[Hit]:
        """Messages of a trace id, or whose fields are as `words` says, or both; ten thousand at most."""
        given = words or {}
        more = [{"ids": {"values": [trace]}}] if trace is not None else []
        body = {"size": MOST, "query": questions.where(given, *more), "track_total_hits": False}
        hits, _ = search(self.client, f"/{MESSAGES}/_search", body)
        return [hit for hit in map(Hit.of, hits) if questions.matches(hit.fields, given)]

    def delete(self, *, trace: str | None = None, words: Mapping[str, str] | None = None) -> int:
        """Delete what `find` finds, what was stored a moment ago too; how many there were."""
        deleted = 0
        for _ in range(_ROUNDS):
            self.client.request("POST", f"/{paths.pattern(MESSAGES)}/_refresh")
            found = self.find(trace=trace, words=words)
            if not found:
                return deleted
            results: dict[int, str] = {}
            actions = [bulk.delete(hit.index, hit.id) for hit in found]
            refused = bulk.deliver(self.client, actions, params=SEEN_AT_ONCE, settled=_GONE, results=results)
            deleted += sum(result == "deleted" for result in results.values())
            if refused:
                break
            if len(results) < MOST and all(result == "deleted" for result in results.values()):
                return deleted
        raise ProtocolError(f"{self.client.name} did not delete all of {len(found)} messages.")
