"""Where analytics lie: one document each, in the index of the UTC day on which it was made, or in an older one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.answers import SEEN_AT_ONCE
from harvesters.elastic.client import SearchClient
from harvesters.messages import descriptors, windows
from harvesters.messages.descriptors import Descriptor
from harvesters.messages.forms import Forms
from harvesters.messages.names import ANALYTICS, analytics_of
from harvesters.messages.windows import Window
from harvesters.search import scan
from harvesters.search.reader import IndexReader

_MANY = 100  # documents of one id that are looked at together; there is one, unless somebody copied it


@dataclass(frozen=True)
class Stored:
    """An analytic as it lies there.

    Attributes:
        place: index and `_id` of its document.
        version: sequence number and primary term, by which a later change of it is noticed.
        fields: ``id``, ``descriptor`` and ``result``.
    """

    place: tuple[str, str]
    version: tuple[int, int]
    fields: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its own, not the document's."""
        return str(self.fields["id"])

    @property
    def descriptor(self) -> Descriptor:
        """What it is to compute.

        Raises:
            ValueError: nobody knows that, as of one that was made by an older version and was not migrated.
        """
        return descriptors.parse(self.fields["descriptor"])

    @property
    def kind(self) -> str:
        """``moving``, ``fixed``, or "" where its window cannot be read."""
        window = self._window
        return str(window.out()["type"]) if window is not None else ""

    @property
    def is_due(self) -> bool:
        """Whether it is to be computed again: a moving one, and a fixed one whose window was not over then."""
        window = self._window
        if window is None:
            return False
        if isinstance(window, windows.Moving):
            return True
        result = self.fields.get("result")
        try:
            made = windows.instant(result["creationDt"]) if isinstance(result, Mapping) else None
        except (KeyError, TypeError, ValueError):
            made = None
        return made is None or window.bounds().end > made

    @property
    def _window(self) -> Window | None:
        """None where it cannot be read."""
        try:
            return windows.parse(self.fields["descriptor"].get("timespan"))
        except ValueError:
            return None

    def out(self) -> dict[str, Any]:
        """As it is given out."""
        try:
            said = self.descriptor.out()
        except ValueError:
            said = self.fields["descriptor"]
        return {"id": self.id, "descriptor": said, "result": self.fields.get("result")}


@dataclass
class AnalyticStore:
    """All analytics of a cluster. What is written is found at once."""

    client: SearchClient
    forms: Forms = field(default_factory=lambda: Forms("analytics"))
    pattern: str = ANALYTICS

    def create(self, descriptor: Descriptor, now: datetime) -> str:
        """Keep a new one, without a result; its id."""
        id = str(uuid.uuid4())
        fields = {"id": id, "descriptor": descriptor.out(), "result": None}
        index = analytics_of(now.astimezone(UTC).date())
        place = self.forms.places(self.client, [index])[index]
        self.client.request("PUT", _path(place, id), fields, params=SEEN_AT_ONCE)
        return id

    def find(self, id: str) -> Stored | None:
        """The analytic; None where there is none."""
        found = self._found(id)
        return max(found, key=lambda one: one.place) if found else None

    def settle(self, stored: Stored, result: Any) -> bool:
        """Keep its result, where it is; False where there is no such analytic any more.

        It is written only over what was read, so that one that was deleted meanwhile stays deleted.
        """
        current: Stored | None = stored
        while current is not None:
            path = _path(*current.place)
            number, term = current.version
            params = {"if_seq_no": number, "if_primary_term": term, **SEEN_AT_ONCE}
            fields = {**current.fields, "result": result}
            # 404: its index went away, as when it was migrated.
            answer = self.client.request("PUT", path, fields, params=params, accept=(404, 409))
            if answer.status not in (404, 409):
                return True
            current = self.find(stored.id)
            if current is not None and current.fields.get("result") == result:  # written, and the answer was lost
                return True
        return False

    def delete(self, id: str) -> int:
        """Remove it; how many documents that were."""
        count = 0
        while found := self._found(id):
            for one in found:
                answer = self.client.request("DELETE", _path(*one.place), params=SEEN_AT_ONCE, accept=(404,))
                count += answer.found
        return count

    def all(self, wanted: Callable[[Stored], bool] = lambda stored: True) -> Iterator[Stored]:
        """Each of them that is `wanted`, once."""
        self.client.request("POST", f"/{paths.pattern(self.pattern)}/_refresh", accept=(404,))
        if not self._reader.exists():
            return
        seen: set[str] = set()
        for page in scan.pages(self.client, self.pattern):
            for hit in page:
                stored = _stored({"_seq_no": -1, "_primary_term": 0, **hit})
                if stored is not None and stored.id not in seen and wanted(stored):
                    seen.add(stored.id)
                    yield stored

    def _found(self, id: str) -> list[Stored]:
        query = {"term": {"id.keyword": id}}
        answer = self._reader.search({"size": _MANY, "seq_no_primary_term": True, "query": query})
        return [one for hit in answer["hits"]["hits"] if (one := _stored(hit)) is not None and one.id == id]

    @property
    def _reader(self) -> IndexReader:
        return IndexReader(self.client, self.pattern, filled_by="messages serve")


def _stored(hit: Mapping[str, Any]) -> Stored | None:
    """The analytic of a search hit; None of a document that is none, as of before analytics had these fields."""
    fields = hit.get("_source", {})
    if not isinstance(fields.get("descriptor"), Mapping) or not isinstance(fields.get("id"), str):
        return None
    return Stored((hit["_index"], hit["_id"]), (hit["_seq_no"], hit["_primary_term"]), fields)


def _path(index: str, id: str) -> str:
    return f"/{paths.name(index)}/_doc/{paths.name(id)}"
