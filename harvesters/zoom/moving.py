"""Meetings that move: one whose end becomes known later stands in the index of that day, and no more in the old one."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from harvesters.document import Document, Outcome
from harvesters.elastic import bulk
from harvesters.elastic.answers import SEEN_AT_ONCE, WHOLE
from harvesters.errors import CredentialsRefused, SinkUnavailable
from harvesters.sinks.elastic import ElasticSink
from harvesters.zoom import meetings, sessions

log = logging.getLogger(__name__)

_DAY = re.compile(rf"{meetings.KIND}-(\d{{4}}\.\d\d\.\d\d)$")
_AT_ONCE = 1000
_ROUNDS = 1000  # of so many sessions each
_ANY = {"ignore_unavailable": "true", "allow_no_indices": "true"}
_UNASKED = (400, 403, 404)  # no index yet, or an API key that may write and nothing else


class MovingSink:
    """Elasticsearch, with each meeting on one day alone.

    A meeting is filed by its end, and one without an end by the day that listed it. When it is delivered for another
    day than it stands on, its old document and their sessions are removed, after the new ones are there and before the
    run counts them as done: whatever breaks in between, the next run does it again.
    """

    durable = True

    def __init__(self, sink: ElasticSink) -> None:
        self.sink = sink
        self.client = sink.client
        self.removed = 0
        self._refreshed = False
        self._may_delete = True

    @property
    def name(self) -> str:
        """That of the cluster."""
        return self.sink.name

    @property
    def address(self) -> str:
        """That of the cluster."""
        return self.sink.address

    def identity(self) -> tuple[str, bool]:
        """That of the cluster."""
        return self.sink.identity()

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Index `documents`, and remove what stands of their meetings on other days."""
        outcomes = self.sink.send(documents)
        days = {
            outcome.document.id: f"{outcome.document.timestamp:%Y.%m.%d}"
            for outcome in outcomes
            if outcome.delivered and outcome.document.kind == meetings.KIND
        }
        uuids = list(days)
        for first in range(0, len(uuids), _AT_ONCE // 2):
            for index, uuid, day in list(self._old(uuids[first : first + _AT_ONCE // 2])):
                if day != days[uuid] and self._may_delete:
                    self._try_to_remove(index, uuid, day)
        return outcomes

    def finish(self) -> None:
        """As Elasticsearch does."""
        self.sink.finish()

    def close(self) -> None:
        """Drop the connections."""
        self.sink.close()

    def _old(self, uuids: list[str]) -> Iterator[tuple[str, str, str]]:
        """Where these meetings stand: index, UUID, day."""
        if not self._refreshed:  # what an earlier run wrote a moment ago is to be found
            self._refreshed = True
            self.client.request("POST", f"/{meetings.KIND}-*/_refresh", params=_ANY, accept=_UNASKED)
        for hit in self._search(f"{meetings.KIND}-*", {"ids": {"values": uuids}}):
            match = _DAY.search(hit["_index"])
            if match is not None:
                yield hit["_index"], hit["_id"], match[1]

    def _try_to_remove(self, index: str, uuid: str, day: str) -> None:
        try:
            self._remove(index, uuid, day)
        except CredentialsRefused as error:
            self._may_delete = False
            log.warning("meetings that have moved stay where they were as well: %s", error)

    def _remove(self, index: str, uuid: str, day: str) -> None:
        """The sessions first, so that what is left after a failure is found again by its meeting."""
        where = f"{sessions.KIND}-{day}"
        self.client.request("POST", f"/{where}/_refresh", params=_ANY, accept=_UNASKED)
        for _ in range(_ROUNDS):
            hits = self._search(where, _of_meeting(uuid))
            if not hits:
                break
            self._delete([(hit["_index"], hit["_id"]) for hit in hits])
        else:
            raise SinkUnavailable(f"{self.name} goes on finding sessions in {where} that were deleted; run again later")
        self._delete([(index, uuid)])
        self.removed += 1
        log.info("a meeting has moved: it is not in %s any more", index)

    def _search(self, where: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        body = {"size": _AT_ONCE, "_source": False, "track_total_hits": False, "query": query}
        answer = self.client.request("POST", f"/{where}/_search", body, params={**_ANY, **WHOLE}, accept=_UNASKED)
        hits: list[dict[str, Any]] = answer.body["hits"]["hits"] if answer.status == 200 else []
        return hits

    def _delete(self, documents: list[tuple[str, str]]) -> None:
        """Delete (index, id); what is gone already is."""
        actions = [bulk.delete(index, id) for index, id in documents]
        refused = bulk.deliver(self.client, actions, params=SEEN_AT_ONCE, settled=(404,))
        for refusal in refused.values():
            raise SinkUnavailable(f"{self.name} does not delete {len(refused)} documents: {refusal.reason}")


def _of_meeting(uuid: str) -> dict[str, Any]:
    """Finds the sessions of a meeting; without our template the field guesses that it is text, with a keyword in it."""
    return {"bool": {"should": [{"term": {name: uuid}} for name in ("meeting", "meeting.keyword")]}}
