"""Messages into the cluster: each triple of project, user and message id once, wherever it was before.

What is there already is looked for first, then the new version is written, and only then are others deleted: the very
versions that were found, so that a version somebody else writes meanwhile stays. Of two posts of one triple, each looks
before it writes, so they cannot both find, and delete, what the other has written. Where there are others, searches see
what is written and deleted at once: indices refreshed one after the other would show both for a while, or neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from harvesters.elastic import bulk
from harvesters.elastic.answers import SEEN_AT_ONCE
from harvesters.elastic.bulk import ItemRefusal
from harvesters.elastic.client import SearchClient
from harvesters.errors import ProtocolError
from harvesters.messages import questions, stored
from harvesters.messages.dated import Named
from harvesters.messages.forms import Forms
from harvesters.messages.hits import MOST, Raw, chunks, search
from harvesters.messages.model import Message
from harvesters.messages.names import MESSAGES, messages_of
from harvesters.messages.recent import Notes, Recent, Silence
from harvesters.search import retention

_BULK = 4_000_000  # bytes of a request
_ASKED = 1000  # trace ids of a question
_ASKED_OLD = 100  # triples of a question to old indices: OpenSearch takes 1,024 conditions
_FEW = 10  # hits beyond one for each draft that are asked for at first
_ROUNDS = 5  # in which indices are replaced by others under our hands
_GONE = (404, 409)
_LEFT = [*map(str, _GONE)]

Triple = tuple[str, str, str]
Query = dict[str, Any]


class Rejected(ProtocolError):
    """The cluster will not take a message as it is."""


class Draft(msgspec.Struct, frozen=True):
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
    """Writes drafts; for all threads of a process.

    Args:
        forms: what is known of the indices.
        notes: of other processes that write to this cluster.
        now: seconds that only ever grow.
    """

    def __init__(self, forms: Forms, notes: Notes | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self.forms = forms
        self._recent = Recent(now, notes or Silence())

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
        for _ in range(_ROUNDS):
            places = self.forms.places(client, {draft.index for draft in drafts})
            self._write(client, drafts, places)
            drafts = self._moved(client, drafts, places)
            if not drafts:
                return

    def _moved(self, client: SearchClient, drafts: Sequence[Draft], places: Mapping[str, str]) -> list[Draft]:
        """Those that were written beside an index of an older form after that was migrated: what they were to be
        written over is elsewhere now, and they have to be written there."""
        beside = {name for name, place in places.items() if name != place}
        moved = {name for name, place in self.forms.places(client, beside).items() if place != places[name]}
        return [draft for draft in drafts if draft.index in moved]

    def _write(self, client: SearchClient, drafts: Sequence[Draft], places: dict[str, str]) -> None:
        earlier = [*self._earlier(client, drafts, places), *self._just_written(client, drafts, places)]
        written = {(places[draft.index], draft.trace_id) for draft in drafts}
        earlier = [hit for hit in earlier if (hit.index, hit.id) not in written]
        actions = [bulk.write(places[draft.index], draft.trace_id, draft.body) for draft in drafts]
        try:
            refused = bulk.deliver(client, actions, params=SEEN_AT_ONCE if earlier else None)
        finally:  # where it fails, some may be written, too
            self._recent.note({draft.trace_id: places[draft.index] for draft in drafts})
        if refused:
            self.forms.forget()
            taken = [draft for number, draft in enumerate(drafts) if number not in refused]
            if taken:  # once more, so that what was there earlier of them goes: the others may be refused for ever
                self._write(client, taken, places)
            raise Rejected(told(client, refused))
        self._delete(client, drafts, places, earlier)

    def _delete(
        self, client: SearchClient, drafts: Sequence[Draft], places: Mapping[str, str], earlier: Sequence[Raw]
    ) -> None:
        """Delete what was there earlier, in the versions that were found. Nobody but the service of old times made
        other ids than ours, so these go in any version; and a migration may just have put either elsewhere."""
        traces = {draft.trace_id for draft in drafts}
        for _ in range(_ROUNDS):
            if not earlier:
                return
            results: dict[int, str] = {}
            actions = [
                bulk.delete(hit.index, hit.id, **(hit.version.conditions if hit.id in traces else {}))
                for hit in earlier
            ]
            refused = bulk.deliver(client, actions, params=SEEN_AT_ONCE, settled=_GONE, results=results)
            if refused:
                raise ProtocolError(told(client, refused))
            left = [(hit, results[number]) for number, hit in enumerate(earlier) if results[number] in _LEFT]
            gone = any(result == "404" and hit.id not in traces for hit, result in left)
            again = self._earlier(client, drafts, places) if gone else ()
            ours = [hit for hit, _ in left if hit.id in traces]
            earlier = [*(hit for hit in again if hit.id not in traces), *_migrated(client, ours, drafts)]

    def _earlier(self, client: SearchClient, drafts: Sequence[Draft], places: Mapping[str, str]) -> Iterator[Raw]:
        """What searches find of these triples, as it was a moment ago; but not what is written over anyway.

        Older forms come first: what a migration puts elsewhere meanwhile is found there then.
        """
        foreign, mixed = self.forms.older(client)
        for size, indices, question in ((_ASKED_OLD, foreign, _of_triples), (_ASKED, mixed, _of_strangers)):
            for part in chunks(drafts, size) if indices else ():
                triples = {draft.ids for draft in part}
                for hit in _all(client, part, partial(question, indices=indices), [*_TRIPLE]):
                    if stored.ids_of(hit.fields) in triples:
                        yield hit
        for part in chunks(drafts, _ASKED):
            yield from _all(client, part, partial(_of_ours, places=places))

    def _just_written(self, client: SearchClient, drafts: Sequence[Draft], places: dict[str, str]) -> Iterator[Raw]:
        """What was written elsewhere so recently that no search may find it yet."""
        known = {draft.trace_id: places[draft.index] for draft in drafts}
        wanted = [
            {"_index": index, "_id": trace, "_source": False}
            for trace, index in self._recent.places(known)
            if index != known[trace]
        ]
        yield from _get(client, wanted)


_TRIPLE = ("project", "userId", "messageId")


def _of_ours(drafts: Sequence[Draft], places: Mapping[str, str]) -> Query:
    """Documents of these trace ids, or of their triples under other ids, but not what is written over anyway."""
    traces: dict[str, list[str]] = {}
    for draft in drafts:
        traces.setdefault(places[draft.index], []).append(draft.trace_id)
    elsewhere = [
        {"bool": {"filter": [{"ids": {"values": ids}}], "must_not": [questions.among([place])]}}
        for place, ids in traces.items()
    ]
    renamed = {"terms": {"harvest.triple": [draft.trace_id for draft in drafts]}}
    return {"bool": {"should": [*elsewhere, renamed], "minimum_should_match": 1}}


def _of_triples(drafts: Sequence[Draft], indices: frozenset[str]) -> Query:
    """Documents of dynamic mapping that may be of one of these triples: one question for each user, who has messages
    of ids like others'."""
    of_users: dict[tuple[str, str], list[str]] = {}
    for project, user, message in {draft.ids for draft in drafts}:
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


def _of_strangers(drafts: Sequence[Draft], indices: frozenset[str]) -> Query:
    """Documents in our form of mapping, but not by us, that may be of one of these triples."""
    ids = zip(*(draft.ids for draft in drafts), strict=True)
    words = [{"terms": {field: sorted({*texts})}} for field, texts in zip(_TRIPLE, ids, strict=True)]
    ours = {"exists": {"field": "harvest.id"}}
    return {"bool": {"filter": [questions.among(indices), *words], "must_not": [ours]}}


def _all(
    client: SearchClient,
    drafts: Sequence[Draft],
    question: Callable[[Sequence[Draft]], Query],
    source: list[str] | bool = False,
) -> list[Raw]:
    """Every document that `question` of these drafts finds."""
    body = {"_source": source, "track_total_hits": False, "seq_no_primary_term": True, "query": question(drafts)}
    for size in (len(drafts) + _FEW, MOST):  # the cluster makes room for as many as it is asked for
        hits, _ = search(client, f"/{MESSAGES}/_search", {"size": size, **body})
        if len(hits) < size:
            return hits
    half = len(drafts) // 2
    if not half:
        return hits
    return [*_all(client, drafts[:half], question, source), *_all(client, drafts[half:], question, source)]


def _migrated(client: SearchClient, hits: Sequence[Raw], drafts: Sequence[Draft]) -> Iterator[Raw]:
    """These, where an index that a migration has put into the place of theirs has them now; never what was written."""
    before = {(hit.index, hit.id) for hit in hits}
    written = {(draft.index, draft.trace_id) for draft in drafts}
    wanted = [
        {"_index": named.today, "_id": hit.id, "_source": False}
        for hit in hits
        if (named := Named.read(retention.MIGRATED.sub(r"\1", hit.index))) is not None
        and (named.today, hit.id) not in written
    ]
    return (found for found in _get(client, wanted) if (found.index, found.id) not in before)


def _get(client: SearchClient, wanted: Sequence[Mapping[str, Any]]) -> Iterator[Raw]:
    """Those of these documents that are there, whether searches find them or not."""
    if not wanted:
        return
    for found in client.request("POST", "/_mget", {"docs": wanted}).body["docs"]:
        if found.get("found"):
            yield Raw(found["_index"], found["_id"], [], seq_no=found["_seq_no"], primary_term=found["_primary_term"])


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
