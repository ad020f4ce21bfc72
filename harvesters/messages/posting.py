"""Messages into the cluster: each triple of project, user and message id once, wherever it was before.

What is there already is looked for first, then the new version is written, and only then are others deleted: the very
versions that were found, so that a version somebody else writes meanwhile stays. Of two posts of one triple, each looks
before it writes, so they cannot both find, and delete, what the other has written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache

from harvesters.elastic import bulk
from harvesters.elastic.bulk import ItemRefusal
from harvesters.elastic.client import SearchClient
from harvesters.errors import ProtocolError
from harvesters.messages import questions, stored
from harvesters.messages.forms import Forms
from harvesters.messages.hits import MOST, Raw, chunks, search
from harvesters.messages.model import Message
from harvesters.messages.names import MESSAGES, messages_of

_BULK = 4_000_000  # bytes of a request
_ASKED = 1000  # trace ids of a question
_ASKED_OLD = 100  # triples of a question to old indices: OpenSearch takes 1,024 conditions
_RECENT = 10.0  # seconds for which it is known where a message was written, before every search finds it
_ROUNDS = 5  # in which indices are replaced by others under our hands
_GONE = (404, 409)

Triple = tuple[str, str, str]


class Rejected(ProtocolError):
    """The cluster will not take a message as it is."""


@dataclass(frozen=True)
class Draft:
    """A message on its way: its document, and the index of its day."""

    trace_id: str
    ids: Triple
    index: str
    body: bytes

    @classmethod
    def of(cls, message: Message) -> Draft:
        """The draft of a message.

        Raises:
            Invalid: it cannot be stored.
        """
        return cls(message.trace_id, message.ids, messages_of(message.day), stored.document(message))


class Poster:
    """Writes drafts; for all threads of a process."""

    def __init__(self, forms: Forms, now: Callable[[], float] = time.monotonic) -> None:
        self.forms = forms
        self._lock = threading.Lock()
        self._recent: TTLCache[str, str] = TTLCache(200_000, _RECENT, now)

    def post(self, client: SearchClient, drafts: Sequence[Draft], progress: Callable[[], None] = lambda: None) -> None:
        """Store each; of two with the same ids the later one.

        Args:
            progress: called when some of it is done.

        Raises:
            Rejected: the cluster refuses one for good; the others may be stored.
            HarvestError: it does not answer, or takes nothing.
        """
        for part in parts(drafts):
            self._post(client, part)
            progress()

    def _post(self, client: SearchClient, drafts: Sequence[Draft]) -> None:
        places = self.forms.places(client, {draft.index for draft in drafts})
        earlier = [*self._earlier(client, drafts, places), *self._just_written(client, drafts, places)]
        actions = [bulk.write(places[draft.index], draft.trace_id, draft.body) for draft in drafts]
        refused = bulk.deliver(client, actions)
        with self._lock:
            for number, draft in enumerate(drafts):
                if number not in refused:
                    self._recent[draft.trace_id] = places[draft.index]
        if refused:
            self.forms.forget()
            raise Rejected(told(client, refused))
        written = {(places[draft.index], draft.trace_id) for draft in drafts}
        self._delete(client, drafts, places, [hit for hit in earlier if (hit.index, hit.id) not in written])

    def _delete(
        self, client: SearchClient, drafts: Sequence[Draft], places: Mapping[str, str], earlier: Sequence[Raw]
    ) -> None:
        """Delete what was there earlier, in the versions that were found. Nobody but the service of old times made
        other ids than ours, so these go in any version; and a migration may just have put them elsewhere."""
        traces = {draft.trace_id for draft in drafts}
        for _ in range(_ROUNDS):
            if not earlier:
                return
            results: dict[int, str] = {}
            actions = [
                bulk.delete(hit.index, hit.id, **(hit.version.conditions if hit.id in traces else {}))
                for hit in earlier
            ]
            refused = bulk.deliver(client, actions, settled=_GONE, results=results)
            if refused:
                raise ProtocolError(told(client, refused))
            gone = [hit for number, hit in enumerate(earlier) if results[number] == "404" and hit.id not in traces]
            again = self._earlier(client, drafts, places) if gone else ()
            earlier = [hit for hit in again if hit.id not in traces]

    def _earlier(self, client: SearchClient, drafts: Sequence[Draft], places: Mapping[str, str]) -> Iterator[Raw]:
        """What searches find of these triples, as it was a moment ago; but not what is written over anyway."""
        for part in chunks(drafts, _ASKED):
            yield from self._of_ours(client, part, places)
        if old := self.forms.old(client):
            for part in chunks(drafts, _ASKED_OLD):
                triples = {draft.ids for draft in part}
                for hit in _all(client, _of_triples(triples, old), [*_TRIPLE]):
                    if stored.ids_of(hit.fields) in triples:
                        yield hit

    def _of_ours(self, client: SearchClient, drafts: Sequence[Draft], places: Mapping[str, str]) -> list[Raw]:
        traces: dict[str, list[str]] = {}
        for draft in drafts:
            traces.setdefault(places[draft.index], []).append(draft.trace_id)
        elsewhere = [
            {"bool": {"filter": [{"ids": {"values": ids}}], "must_not": [questions.among([place])]}}
            for place, ids in traces.items()
        ]
        renamed = {"terms": {"harvest.triple": [draft.trace_id for draft in drafts]}}
        hits = _all(client, {"bool": {"should": [*elsewhere, renamed], "minimum_should_match": 1}})
        if len(hits) < MOST or len(drafts) == 1:
            return hits
        half = len(drafts) // 2
        return [*self._of_ours(client, drafts[:half], places), *self._of_ours(client, drafts[half:], places)]

    def _just_written(self, client: SearchClient, drafts: Sequence[Draft], places: dict[str, str]) -> Iterator[Raw]:
        """What this process has written elsewhere so recently that no search may find it yet."""
        with self._lock:
            recent = [(draft, self._recent.get(draft.trace_id)) for draft in drafts]
        wanted = [
            {"_index": index, "_id": draft.trace_id, "_source": False}
            for draft, index in recent
            if index is not None and index != places[draft.index]
        ]
        if wanted:
            for found in client.request("POST", "/_mget", {"docs": wanted}).body["docs"]:
                if found.get("found"):
                    yield Raw(
                        found["_index"], found["_id"], [], seq_no=found["_seq_no"], primary_term=found["_primary_term"]
                    )


_TRIPLE = ("project", "userId", "messageId")


def _of_triples(triples: set[Triple], indices: frozenset[str]) -> dict[str, Any]:
    """Documents that may be of one of `triples`: one question for each user, who has messages of ids like others'."""
    of_users: dict[tuple[str, str], list[str]] = {}
    for project, user, message in triples:
        of_users.setdefault((project, user), []).append(message)
    each = [
        {
            "bool": {
                "filter": [
                    questions.term("messageId", *messages),
                    questions.term("userId", user),
                    questions.term("project", project),
                ]
            }
        }
        for (project, user), messages in of_users.items()
    ]
    return {"bool": {"filter": [questions.among(indices)], "should": each, "minimum_should_match": 1}}


def _all(client: SearchClient, query: dict[str, Any], source: list[str] | bool = False) -> list[Raw]:
    """Every document that `query` finds."""
    body = {"size": MOST, "_source": source, "track_total_hits": False, "seq_no_primary_term": True, "query": query}
    hits, _ = search(client, f"/{MESSAGES}/_search", body)
    return hits


def parts(drafts: Sequence[Draft]) -> Iterator[list[Draft]]:
    """`drafts` by requests that are not too large; of two with the same trace id the later one."""
    part: list[Draft] = []
    size = 0
    for draft in {draft.trace_id: draft for draft in drafts}.values():
        if part and size + len(draft.body) > _BULK:
            yield part
            part, size = [], 0
        part.append(draft)
        size += len(draft.body)
    if part:
        yield part


def told(client: SearchClient, refused: dict[int, ItemRefusal]) -> str:
    """Why, without what the cluster quotes of a message."""
    first = next(iter(refused.values()))
    return f"{client.name} refused {len(refused)} messages ({first.status} {first.kind}, field {first.field or 'none'})"
